import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.media import moving_texture, write_folder, write_video
from vrestore.data.cache import ClipCache, DiskCache, RamCache, build_cache, default_folder
from vrestore.data.clips import load_clips
from vrestore.errors import ConfigError, MediaError

PLENTY = 2**30


@pytest.fixture(scope="module")
def caches(clip_root, tmp_path_factory):
    clips = load_clips(clip_root)
    folder = tmp_path_factory.mktemp("cache")
    return clips, [ClipCache(clips), RamCache(clips, PLENTY, progress=False), DiskCache(clips, PLENTY, folder)]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_cache_serves_the_same_bytes(caches, data):
    clips, stores = caches
    clip = data.draw(st.sampled_from(clips))
    stride = data.draw(st.integers(1, 3))
    count = data.draw(st.integers(1, (clip.n_frames - 1) // stride + 1))
    start = data.draw(st.integers(0, clip.n_frames - (count - 1) * stride - 1))
    windows = [store.window(clip, start, count, stride) for store in stores]
    assert windows[0].shape == (count, 3, clip.height, clip.width)
    assert windows[0].dtype == torch.uint8
    assert torch.equal(windows[0], windows[1])
    assert torch.equal(windows[0], windows[2])


def files(folder):
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_disk_cache_decodes_once_and_serves_later_runs(tmp_path):
    source = write_folder(tmp_path / "clip", moving_texture(5, 16, 24))
    (clip,) = load_clips(source)
    cache = DiskCache([clip], PLENTY, tmp_path / "cache")
    assert files(cache.folder) == []
    first = cache.window(clip, 1, 3).clone()
    (file,) = files(cache.folder)
    assert file.suffix == ".npy"
    assert np.load(file).shape == (5, 3, 16, 24)
    for image in source.iterdir():  # same names, sizes and times: the file alone can serve what is gone from the source
        status = image.stat()
        image.write_bytes(b"x" * status.st_size)
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    later = DiskCache([clip], PLENTY, tmp_path / "cache")
    assert torch.equal(later.window(clip, 1, 3), first)
    assert files(cache.folder) == [file]


def test_disk_cache_notices_a_changed_clip(tmp_path):
    path = write_video(tmp_path / "clip.mkv", moving_texture(4, 16, 16, seed=1))
    (clip,) = load_clips(path)
    old = DiskCache([clip], PLENTY, tmp_path / "cache").window(clip, 0, 4).clone()
    write_video(path, moving_texture(4, 16, 16, seed=2))
    os.utime(path, ns=(1, 1))
    (clip,) = load_clips(path)
    new = DiskCache([clip], PLENTY, tmp_path / "cache").window(clip, 0, 4)
    assert not torch.equal(new, old)
    assert torch.equal(new, clip.read())


@pytest.mark.parametrize("damage", ["cut", "junk", "other shape"])
def test_disk_cache_makes_a_damaged_file_anew(tmp_path, damage):
    (clip,) = load_clips(write_folder(tmp_path / "clip", moving_texture(5, 16, 24)))
    cache = DiskCache([clip], PLENTY, tmp_path / "cache")
    whole = cache.window(clip, 0, 5).clone()
    (file,) = files(cache.folder)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:500])
    elif damage == "junk":
        file.write_bytes(b"not an array")
    else:
        np.save(file, np.zeros((1, 3, 16, 24), np.uint8))
    assert torch.equal(DiskCache([clip], PLENTY, tmp_path / "cache").window(clip, 0, 5), whole)
    assert np.load(file).shape == (5, 3, 16, 24)


def test_a_damaged_clip_leaves_no_file_and_its_good_frames_are_served(tmp_path):
    source = write_folder(tmp_path / "clip", moving_texture(6, 16, 24))
    (clip,) = load_clips(source)
    (source / "00000004.png").write_bytes(b"not an image")
    for cache in (DiskCache([clip], PLENTY, tmp_path / "cache"), RamCache([clip], PLENTY, progress=False)):
        assert torch.equal(cache.window(clip, 0, 4), clip.read(0, 4))
        with pytest.raises(MediaError):
            cache.window(clip, 2, 4)
    assert files(tmp_path / "cache") == []


def test_budget_keeps_the_first_clips_that_fit(clip_root, tmp_path):
    clips = sorted(load_clips(clip_root), key=lambda clip: -clip.nbytes)
    budget = clips[0].nbytes + clips[2].nbytes  # the second one no longer fits, the third one does
    ram = RamCache(clips, budget, progress=False)
    assert [ram.whole(clip) is not None for clip in clips] == [True, False, True]
    disk = DiskCache(clips, budget, tmp_path)
    assert disk.kept == {clips[0].path, clips[2].path}
    for clip in clips:
        assert torch.equal(disk.window(clip, 1, 2), clip.read(1, 2))
        assert torch.equal(ram.window(clip, 1, 2), clip.read(1, 2))
    assert len(files(tmp_path)) == 2


def test_mapped_frames_are_never_written_back(tmp_path):
    (clip,) = load_clips(write_folder(tmp_path / "clip", moving_texture(3, 16, 24)))
    DiskCache([clip], PLENTY, tmp_path / "cache").window(clip, 0, 3).zero_()
    assert torch.equal(DiskCache([clip], PLENTY, tmp_path / "cache").window(clip, 0, 3), clip.read())


def test_a_disk_cache_travels_to_a_worker_without_its_frames(clip_root, tmp_path):
    clips = load_clips(clip_root)
    cache = DiskCache(clips, PLENTY, tmp_path)
    window = cache.window(clips[0], 0, 2).clone()
    assert len(pickle.dumps(cache)) < 10_000
    assert torch.equal(pickle.loads(pickle.dumps(cache)).window(clips[0], 0, 2), window)


def test_kinds_and_default_folder(clip_root, monkeypatch, tmp_path):
    clips = load_clips(clip_root)
    assert type(build_cache(None, clips, 0, None, False)) is ClipCache
    with pytest.raises(ConfigError, match="cache must be 'ram', 'disk' or None, got 'gpu'"):
        build_cache("gpu", clips, 0, None, False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "vrestore" / "clips"
    assert build_cache("disk", clips, 0, None, False).folder == default_folder()
