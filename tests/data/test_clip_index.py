import json
import os

import numpy as np
import pytest

from tests.data.media import moving_texture, write_folder, write_video
from tests.paths import SHARED_DATA, needs_shared_data
from vrestore.data import ClipDataset, clip_index
from vrestore.data.clip_index import ClipIndex
from vrestore.data.clips import load_clips
from vrestore.data.scenes import cuts_of, scene_cuts
from vrestore.errors import DataError


@pytest.fixture
def root(tmp_path):
    """A clip with cuts at frames 5 and 9 of 16, one without, a folder of frames, and what is no clip."""
    shots = [
        moving_texture(n, 32, 48, seed=seed) // 2 + shade for n, seed, shade in ((5, 1, 0), (4, 2, 120), (7, 3, 0))
    ]
    write_video(tmp_path / "clips" / "shots.mkv", np.concatenate(shots))
    write_video(tmp_path / "clips" / "deep" / "one.mkv", moving_texture(6, 32, 48, seed=4), fps=30)
    write_folder(tmp_path / "clips" / "frames", moving_texture(6, 32, 48, seed=5))
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"nothing")
    return tmp_path / "clips"


def loaded(root, index):
    with pytest.warns(UserWarning, match=r"1 of 4 clips .* cannot be read: broken\.mp4"):
        return load_clips(root, index=index)


def test_an_index_is_made_once_and_knows_the_cuts(root, tmp_path, monkeypatch):
    index = tmp_path / "index.json"
    clips = {clip.name: clip for clip in loaded(root, index)}
    assert clips["shots.mkv"].cuts == (5, 9)
    assert clips["shots.mkv"].scenes == [(0, 5), (5, 4), (9, 7)]
    assert clips["frames"].cuts == clips["deep/one.mkv"].cuts == ()
    plain = {clip.name: clip for clip in loaded(root, None)}
    for name, clip in clips.items():
        expected = plain[name]
        assert (clip.n_frames, clip.height, clip.width, clip.fps) == (
            *(expected.n_frames, expected.height, expected.width, expected.fps),
        )
        assert expected.cuts == ()
        assert expected.scenes == [(0, expected.n_frames)]

    def opened(*_):
        raise AssertionError("a known clip was opened")

    monkeypatch.setattr(clip_index, "describe", opened)
    before = index.read_bytes()
    assert loaded(root, index) == list(clips.values())
    assert index.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["clips", "index.json"]


def test_changed_clips_are_looked_at_again(root, tmp_path):
    index = tmp_path / "index.json"
    loaded(root, index)
    write_video(root / "deep" / "one.mkv", moving_texture(9, 32, 48, seed=4))
    write_video(root / "new.mkv", moving_texture(3, 32, 48, seed=6))
    with pytest.warns(UserWarning, match="1 of 5"):
        frames = {clip.name: clip.n_frames for clip in load_clips(root, index=index)}
    assert frames == {"deep/one.mkv": 9, "frames": 6, "new.mkv": 3, "shots.mkv": 16}
    assert len(ClipIndex(index)) == 5


def test_clips_and_index_move_together(root, tmp_path, monkeypatch):
    loaded(root, root / "index.json")
    root.rename(tmp_path / "moved")
    monkeypatch.setattr(clip_index, "describe", None)
    assert len(loaded(tmp_path / "moved", tmp_path / "moved" / "index.json")) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other", "clips": {}}', '{"format": "vrestore-index-1"}'])
def test_what_is_no_index(text, root, tmp_path):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match="is no index of clips"):
        load_clips(root, index=tmp_path / "index.json")
    assert (tmp_path / "index.json").read_text() == text


def data(root, **kwargs):
    settings = dict(degradation=dict(type="Identity"), crop_px=16, include=["*.mkv"], progress=False)
    return ClipDataset(root, **{**settings, **kwargs})


def test_windows_do_not_cross_cuts(root, tmp_path):
    index = tmp_path / "index.json"
    inside = data(root, frames=4, include=["shots.mkv"], index=index)
    starts = [inside[i]["record"]["source"]["start_frame"] for i in range(200)]
    assert set(starts) == {0, 1, 5, 9, 10, 11, 12}
    strided = data(root, frames=3, include=["shots.mkv"], index=index, frame_stride=(1, 5))
    for i in range(60):
        source = strided[i]["record"]["source"]
        last = source["start_frame"] + 2 * source["frame_stride"]
        assert any(a <= source["start_frame"] and last < a + n for a, n in ((0, 5), (5, 4), (9, 7)))


def test_a_clip_without_a_scene_that_is_long_enough(root, tmp_path):
    assert len(data(root, frames=6, index=tmp_path / "index.json").clips) == 2
    with pytest.raises(DataError, match=r"shots\.mkv \(7 frames"):
        data(root, frames=8, index=tmp_path / "index.json", include=["shots.mkv"])
    assert data(root, frames=8, include=["shots.mkv"])[0]["hq"].shape[0] == 8


def test_without_cuts_an_index_changes_no_sample(root, tmp_path):
    plain, indexed = (data(root, frames=4, include=["deep/*"], index=i) for i in (None, tmp_path / "index.json"))
    for i in range(6):
        assert json.dumps(plain[i]["record"]) == json.dumps(indexed[i]["record"])


# --- cuts


def test_flashes_and_motion_are_no_cuts():
    rng = np.random.default_rng(0)
    still = np.repeat(rng.random((1, 1024)), 20, 0)
    assert cuts_of(still) == []
    flash = still.copy()
    flash[8] = 1
    assert cuts_of(flash) == []
    flash[9] = 1
    assert cuts_of(flash) == []
    restless = np.cumsum(rng.normal(0, 0.2, (20, 1024)), 0) * 0.5
    assert cuts_of(restless) == []
    cut = still.copy()
    cut[12:] = rng.random(1024)
    assert cuts_of(cut) == [12]
    assert cuts_of(still[:1]) == []
    assert cuts_of(cut[11:13]) == [1]


@needs_shared_data
@pytest.mark.parametrize(("clip", "cuts"), [
    ("odd/scene_cut.mp4", [10]), ("odd/static.mp4", []), ("train/toy_crystal.mp4", []),
    ("bench/car_turn_360p/gt.mp4", []), ("aigc/bison_field.mp4", []),
])  # fmt: skip
def test_cuts_of_real_clips(clip, cuts):
    assert scene_cuts(SHARED_DATA / clip) == cuts
