from fractions import Fraction

import pytest
import torch

from tests.data.media import moving_texture, write_folder, write_video
from tests.paths import SHARED_DATA, needs_shared_data
from vrestore.data.clips import find_clips, load_clips, some
from vrestore.errors import DataError, MediaError


def test_finds_videos_and_frame_folders_at_any_depth(clip_root):
    clips = load_clips(clip_root)
    described = [(c.name, c.n_frames, c.height, c.width, c.fps) for c in clips]
    assert described == [
        ("deep/er.mkv", 7, 48, 40, Fraction(30)),
        ("frames", 9, 36, 48, None),
        ("video.mkv", 12, 40, 56, Fraction(25)),
    ]
    assert clips[1].nbytes == 9 * 3 * 36 * 48


def test_frames_are_those_that_were_written(clip_root):
    by_name = {clip.name: clip for clip in load_clips(clip_root)}
    for name, seed in (("video.mkv", 1), ("frames", 2), ("deep/er.mkv", 3)):
        clip = by_name[name]
        written = torch.from_numpy(moving_texture(clip.n_frames, clip.height, clip.width, seed)).permute(0, 3, 1, 2)
        assert torch.equal(clip.read(), written)
        assert torch.equal(clip.read(2, 3, stride=2), written[2:7:2])
    with pytest.raises(MediaError):
        by_name["frames"].read(7, 5)


def test_several_roots_single_clips_and_filters(clip_root):
    names = [clip.name for clip in load_clips([clip_root / "frames", clip_root / "video.mkv"])]
    assert names == ["frames", "video.mkv"]
    assert [c.name for c in load_clips(clip_root, include=["*.mkv"])] == ["deep/er.mkv", "video.mkv"]
    assert [c.name for c in load_clips(clip_root, exclude=["deep/*", "frames"])] == ["video.mkv"]


def test_nothing_to_find(clip_root, tmp_path):
    with pytest.raises(DataError, match="does not exist; expected a folder of clips"):
        load_clips(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no clip under .*expected video files or folders of frames"):
        load_clips(tmp_path)
    with pytest.raises(DataError, match="left none of 3"):
        load_clips(clip_root, include=["*.avi"])
    with pytest.raises(DataError, match="no root at all"):
        load_clips([])


def test_unreadable_clips_are_skipped_counted_and_named(tmp_path):
    write_folder(tmp_path / "good", moving_texture(3, 8, 8))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    write_folder(tmp_path / "mixed", moving_texture(2, 8, 8))
    write_folder(tmp_path / "mixed" / ".hidden", moving_texture(2, 8, 8))
    (tmp_path / "mixed" / "00000001.png").write_bytes(
        (write_folder(tmp_path / "other", moving_texture(1, 12, 8)) / "00000000.png").read_bytes()
    )
    with pytest.warns(
        UserWarning, match=r"3 of 5 clips .* cannot be read: empty.mp4, mixed, text.mp4; they are left out"
    ):
        clips = load_clips(tmp_path)
    assert [clip.name for clip in clips] == ["good", "other"]
    with pytest.raises(
        DataError, match=r"2 of 2 clips .* cannot be read: empty.mp4, text.mp4; the first says: .*empty"
    ):
        load_clips(tmp_path, include=["*.mp4"])


def test_hidden_files_and_folders_are_no_clips(tmp_path):
    write_folder(tmp_path / "clip", moving_texture(1, 8, 8))
    write_folder(tmp_path / ".cache", moving_texture(1, 8, 8))
    (tmp_path / "._video.mp4").touch()
    (tmp_path / "notes.txt").touch()
    assert [name for _, name in find_clips(tmp_path)] == ["clip"]


def test_long_lists_are_cut():
    assert some(["a", "b"]) == "a, b"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"


@needs_shared_data
def test_odd_files_are_read_or_named():
    """Of the collection of broken files, exactly those without any picture are left out."""
    with pytest.warns(UserWarning, match="cannot be read"):
        clips = load_clips(SHARED_DATA / "odd", exclude=["fps_120*", "interlaced*", "prores*"])
    names = {clip.name for clip in clips}
    assert not names & {"audio_only.mp4", "empty.mp4", "not_a_video.mp4", "truncated_no_moov.mp4", "frames_mixed"}
    assert {"vfr.mp4", "single_frame.mp4", "frames_gap", "space and ünïcode.mp4", "rotate90.mp4"} <= names
    rotated = next(clip for clip in clips if clip.name == "rotate90.mp4")
    assert (rotated.height, rotated.width, rotated.n_frames) == (320, 180, 20)


def test_a_video_named_like_a_glob(tmp_path):
    write_video(tmp_path / "a[1].mkv", moving_texture(2, 8, 8))
    assert [clip.name for clip in load_clips(tmp_path)] == ["a[1].mkv"]
