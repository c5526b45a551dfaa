"""WebDataset shards: written, trained from like the clips themselves, and what can be wrong with them."""

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from tests.data.media import moving_texture, write_folder, write_video
from tests.data.test_clip_dataset import NOISY, batch_digests, dataset, digest
from tests.paths import ROOT
from vrestore.cli import main
from vrestore.data import StreamSampler, clip_collate
from vrestore.data import shard as module
from vrestore.data.clips import load_clips
from vrestore.data.shard import check_shards, shard
from vrestore.data.shards import read_shards
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.video import archive, probe, read_clip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A video with two scenes, a folder of images, and a video in a subfolder with dots in its name and a caption."""
    root = tmp_path_factory.mktemp("clips")
    cut = moving_texture(12, 40, 56, seed=1)
    cut[6:] = 255 - cut[6:] // 4
    write_video(root / "video.mkv", cut)
    write_folder(root / "frames", moving_texture(9, 36, 48, seed=2))
    write_video(root / "deep" / "er.v2.mkv", moving_texture(7, 48, 40, seed=3), fps=30)
    (root / "deep" / "er.v2.txt").write_text("a texture that slides\n")
    return root


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "shards"
    shard(source, target, shard_clips=2, progress=False)
    return target


def write_tar(file, members):
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


# --- written


def test_a_manifest_tells_every_clip(source, shards):
    manifest = check_shards(shards, progress=False)
    assert sorted(p.name for p in shards.iterdir()) == ["shard-000000.tar", "shard-000001.tar", "shards.json"]
    assert (manifest["clips"], manifest["frames"], manifest["skipped"]) == (3, 28, [])
    told = {clip["name"]: clip for each in manifest["shards"] for clip in each["clips"]}
    assert list(told) == ["deep/er.v2.mkv", "frames", "video.mkv"]
    deep = told["deep/er.v2.mkv"]
    assert (deep["key"], deep["fps"], deep["caption"]) == ("deep/er_v2", "30", "a texture that slides")
    assert (deep["frames"], deep["height"], deep["width"], deep["cuts"]) == (7, 48, 40, [])
    assert told["video.mkv"]["cuts"] == [6]
    assert told["frames"]["fps"] is None
    assert len(told["frames"]["members"]) == 9


def test_members_are_the_files_themselves_at_the_offsets_told(source, shards):
    for each in read_shards(shards)["shards"]:
        content = (shards / each["file"]).read_bytes()
        for clip in each["clips"]:
            path = source / clip["name"]
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            for (_, first, size), file in zip(clip["members"], files, strict=True):
                assert content[first : first + size] == file.read_bytes()
        with tarfile.open(shards / each["file"]) as tar:
            infos = {m.name: json.load(tar.extractfile(m)) for m in tar if m.name.endswith(".json")}
        for clip in each["clips"]:
            assert infos[f"{clip['key']}.json"] == {k: clip[k] for k in infos[f"{clip['key']}.json"]}


def test_the_same_clips_make_the_same_bytes(source, shards, tmp_path):
    again = shard(source, tmp_path / "again", shard_clips=2, progress=False)
    assert again == read_shards(shards)


def test_shards_are_filled_up_to_their_size(source, tmp_path):
    largest = max(p.stat().st_size for p in source.rglob("*") if p.is_file())
    one_each = shard(source, tmp_path / "small", shard_bytes=1, scenes=False, progress=False)
    assert [len(each["clips"]) for each in one_each["shards"]] == [1, 1, 1]
    limit = largest + 40 * 1024
    for each in shard(source, tmp_path / "limited", shard_bytes=limit, scenes=False, progress=False)["shards"]:
        assert each["bytes"] <= limit + 20 * 512  # tar ends in up to 20 empty blocks


def test_webdataset_reads_them(shards):
    webdataset = pytest.importorskip("webdataset")
    files = sorted(str(file) for file in shards.glob("*.tar"))
    samples = {s["__key__"]: s for s in webdataset.WebDataset(files, shardshuffle=False)}
    assert sorted(samples) == ["deep/er_v2", "frames", "video"]
    assert json.loads(samples["video"]["json"])["cuts"] == [6]
    assert samples["video"]["mkv"][:4] == b"\x1a\x45\xdf\xa3"
    assert sorted(k for k in samples["frames"] if k.endswith("png")) == [f"{i:06d}.png" for i in range(9)]


def test_names_that_would_share_a_key_get_keys_of_their_own(tmp_path):
    for name in ("reef.a.mkv", "reef_a.mkv", "Reef_a.mkv"):
        write_video(tmp_path / "in" / name, moving_texture(2, 16, 16))
    manifest = shard(tmp_path / "in", tmp_path / "out", progress=False)
    keys = [clip["key"] for clip in manifest["shards"][0]["clips"]]
    assert sorted(keys) == ["Reef_a", "reef_a_2", "reef_a_3"]
    assert [c.name for c in load_clips(tmp_path / "out")] == ["Reef_a.mkv", "reef.a.mkv", "reef_a.mkv"]


# --- trained from


@pytest.mark.parametrize("with_manifest", [True, False])
def test_samples_are_those_of_the_clips_themselves(source, shards, tmp_path, with_manifest):
    shutil.copytree(shards, tmp_path / "shards")
    if not with_manifest:
        (tmp_path / "shards" / "shards.json").unlink()
    options = dict(degradation=NOISY, seed=4, frame_stride=(1, 2), captions=True, fps=25)
    plain = dataset(source, index=tmp_path / "index.json", **options)
    packed = dataset(tmp_path / "shards", **options)
    for draw in range(24):
        assert digest(packed[draw]) == digest(plain[draw])
        assert packed[draw].get("prompt") == plain[draw].get("prompt")


def test_a_manifest_spares_opening_the_clips(shards, monkeypatch):
    monkeypatch.setattr(archive, "open_file", lambda path: pytest.fail(f"{path} was opened"))
    monkeypatch.setattr(archive, "_scanned", lambda path, size: pytest.fail(f"{path} was gone through"))
    for file in shards.glob("*.tar"):
        archive._known.pop(file, None)
    assert len(load_clips(shards)) == 3


@pytest.mark.parametrize(("workers", "start_method"), [(0, None), (2, "fork"), (1, "spawn")])
def test_workers_and_processes_change_nothing_and_a_stream_is_resumed(shards, workers, start_method):
    data = dataset(shards, degradation={"type": "BicubicDown", "scale": 4}, seed=1)
    expected = [digest(data[i]) for i in range(8)]
    for rank in range(2):
        sampler = StreamSampler(data, start=4, rank=rank, world_size=2)
        loader = DataLoader(
            data, 1, sampler=sampler, num_workers=workers, collate_fn=clip_collate, multiprocessing_context=start_method
        )
        got = [batch_digests(batch)[0] for batch in islice(loader, 2)]
        assert got == expected[4 + rank :: 2]


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_caches_hold_clips_of_shards(shards, tmp_path, cache):
    plain, cached = dataset(shards), dataset(shards, cache=cache, cache_dir=tmp_path)
    assert len(cached.cache.kept) == 3
    assert [digest(cached[i]) for i in range(8)] == [digest(plain[i]) for i in range(8)]


def test_an_index_may_stand_beside_shards(shards, tmp_path):
    with_index = load_clips(shards, index=tmp_path / "index.json")
    assert with_index == load_clips(shards)


def test_patterns_name_shards(shards):
    clips = load_clips(shards)
    assert load_clips(f"{shards}/shard-{{000000..000001}}.tar") == clips
    assert load_clips(f"{shards}/shard-*.tar") == clips
    assert [c.name for c in load_clips(shards / "shard-000001.tar")] == ["video.mkv"]
    with pytest.raises(DataError, match=r"shard-000002.tar does not exist"):
        load_clips(f"{shards}/shard-{{000000..000002}}.tar")
    with pytest.raises(DataError, match="no file fits"):
        load_clips(f"{shards}/other-*.tar")


def test_a_folder_of_clips_does_not_read_the_tar_files_beside_them(source, shards, tmp_path):
    shutil.copytree(source, tmp_path / "clips")
    shutil.copy(shards / "shard-000000.tar", tmp_path / "clips" / "backup.tar")
    assert len(load_clips(tmp_path / "clips")) == 3


def test_shards_can_be_cut_anew(source, shards, tmp_path):
    again = shard(shards, tmp_path / "again", shard_clips=1, progress=False)
    clips = [clip for each in again["shards"] for clip in each["clips"]]
    assert [clip["caption"] for clip in clips] == ["a texture that slides", None, None]
    assert [digest(a) for a in map(dataset(tmp_path / "again").__getitem__, range(4))] == [
        digest(a) for a in map(dataset(source, index=tmp_path / "index.json").__getitem__, range(4))
    ]


def test_a_shard_of_other_hands(source, tmp_path):
    """Videos and texts alone, as WebDataset's own writer makes them."""
    video = (source / "video.mkv").read_bytes()
    write_tar(tmp_path / "a.tar", {"x.mkv": video, "x.txt": b" a wall \n", "y.mkv": video, "y.json": b"[1, 2]"})
    clips = load_clips(tmp_path / "a.tar")
    assert [(c.name, c.n_frames, c.width, c.cuts) for c in clips] == [("x.mkv", 12, 56, ()), ("y.mkv", 12, 56, ())]
    data = dataset(tmp_path / "a.tar", captions=True)
    assert {(s["clip"], s["prompt"]) for s in map(data.__getitem__, range(12))} == {
        ("x.mkv", "a wall"),
        ("y.mkv", None),
    }


# --- paths into archives


def test_a_path_into_an_archive_is_read_like_a_file(source, shards):
    inside = shards / "shard-000001.tar" / "video.mkv"
    assert probe(inside).frame_count == probe(source / "video.mkv").frame_count
    assert torch.equal(read_clip(inside, 5, 4), read_clip(source / "video.mkv", 5, 4))
    assert torch.equal(read_clip(shards / "shard-000000.tar" / "frames"), read_clip(source / "frames"))
    with pytest.raises(MediaError, match=r"no 'other.mkv'"):
        probe(shards / "shard-000001.tar" / "other.mkv")


def test_names_that_lead_out_of_an_archive_are_data(source, tmp_path):
    secret = write_video(tmp_path / "secret.mkv", moving_texture(3, 16, 16, seed=9))
    video = (source / "video.mkv").read_bytes()
    (tmp_path / "in").mkdir()
    names = {"../secret.mkv": video, str(secret): video, "a/../../b.mkv": video}
    write_tar(tmp_path / "in" / "s.tar", names)
    with tarfile.open(tmp_path / "in" / "s.tar", "a") as tar:
        link = tarfile.TarInfo("link.mkv")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    clips = load_clips(tmp_path / "in" / "s.tar")
    assert [clip.n_frames for clip in clips] == [12, 12, 12]
    assert all(len(clip.read()) == 12 for clip in clips)
    assert sorted(tmp_path.rglob("*")) == before


# --- bad input


def test_a_shard_that_is_cut_off_gives_what_is_whole(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "s")
    file = tmp_path / "s" / "shard-000000.tar"
    last = read_shards(shards)["shards"][0]["clips"][1]["members"][-1]
    with open(file, "r+b") as opened:
        opened.truncate(last[1] + last[2] // 2)
    with pytest.warns(UserWarning, match=r"1 of 3 clips .* cannot be read: frames"):
        clips = load_clips(tmp_path / "s")
    assert [clip.name for clip in clips] == ["deep/er.v2.mkv", "video.mkv"]
    with open(file, "r+b") as opened:
        opened.truncate(last[1] - 512)  # at the end of a member: nothing but the count tells
    with pytest.warns(UserWarning, match=r"1 of 3 clips .* cannot be read: frames"):
        load_clips(tmp_path / "s")
    with pytest.raises(DataError, match=r"1 of 2 shards are not as written: shard-000000.tar \(its bytes have changed"):
        check_shards(tmp_path / "s", progress=False)


def test_a_missing_shard_is_named(shards, tmp_path):
    shutil.copytree(shards, tmp_path / "s")
    (tmp_path / "s" / "shard-000001.tar").unlink()
    with pytest.warns(UserWarning, match="shard-000001.tar"):
        assert len(load_clips(tmp_path / "s")) == 2


def test_damaged_members_are_skipped_counted_and_named(source, shards, tmp_path):
    video = (source / "video.mkv").read_bytes()
    write_tar(tmp_path / "a.tar", {"good.mkv": video, "bad.mkv": b"no video", "empty.mkv": b""})
    with pytest.warns(UserWarning, match=r"2 of 3 clips .* cannot be read: bad.mkv, empty.mkv"):
        assert [clip.name for clip in load_clips(tmp_path / "a.tar")] == ["good.mkv"]
    # With a manifest nothing is opened before it is drawn: damage is noticed, and drawn around, then.
    shutil.copytree(shards, tmp_path / "s")
    _, first, size = read_shards(shards)["shards"][0]["clips"][0]["members"][0]
    with open(tmp_path / "s" / "shard-000000.tar", "r+b") as opened:
        opened.seek(first)
        opened.write(bytes(size))
    data = dataset(tmp_path / "s")
    with pytest.warns(UserWarning, match=r"deep/er.v2.mkv is damaged"):
        clips = {data[i]["clip"] for i in range(20)}
    assert clips == {"frames", "video.mkv"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not a tar at all" * 99, "no plain tar archive"),
        (b"", "no plain tar archive"),
        (None, "holds no clip"),
    ],
)
def test_a_tar_without_clips_is_told(tmp_path, content, told):
    if content is None:
        write_tar(tmp_path / "a.tar", {"notes.txt": b"hello"})
    else:
        (tmp_path / "a.tar").write_bytes(content)
    for root in (tmp_path / "a.tar", tmp_path):
        with pytest.raises(DataError, match=told):
            load_clips(root)


def test_a_compressed_tar_is_refused(source, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        tar.add(source / "video.mkv", "video.mkv")
    with pytest.raises(DataError, match="must be decompressed first"):
        load_clips(tmp_path / "a.tar")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "vrestore-shards-1"}'])
def test_a_broken_manifest_is_told(shards, tmp_path, content):
    shutil.copytree(shards, tmp_path / "s")
    (tmp_path / "s" / "shards.json").write_text(content)
    with pytest.raises(DataError, match=r"shards\.json"):
        load_clips(tmp_path / "s")


@pytest.mark.parametrize("options", [{"shard_bytes": 0}, {"shard_clips": 0}, {"prefix": "a/b"}])
def test_wrong_arguments_are_refused(source, tmp_path, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        shard(source, tmp_path / "out", **options)


def test_a_target_that_exists_or_a_source_without_clips_is_refused(source, shards, tmp_path):
    with pytest.raises(DataError, match="exists already"):
        shard(source, shards)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no clip under"):
        shard(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the command


def test_the_command_packs_and_checks(source, tmp_path, capsys):
    target = tmp_path / "out"
    assert main(["shard", str(source), str(target), "--shard-size", "40k", "--no-scenes", "--exclude", "deep/*"]) == 0
    assert "2 clips, 21 frames, in" in capsys.readouterr().err
    assert main(["shard", "--check", str(target)]) == 0
    assert main(["shard", str(source)]) == 2
    assert main(["shard", "--check", str(target), str(source)]) == 2
    assert main(["shard", "--check", str(source)]) == 2
    with pytest.raises(SystemExit):
        main(["shard", str(source), str(tmp_path / "b"), "--shard-size", "large"])


def test_clips_that_cannot_be_read_are_left_out_and_told(source, tmp_path, capsys):
    shutil.copytree(source, tmp_path / "in")
    (tmp_path / "in" / "bad.mkv").write_bytes(b"no video")
    with pytest.warns(UserWarning, match=r"1 of 4 clips .* cannot be read: bad.mkv"):
        assert shard(tmp_path / "in", tmp_path / "out", progress=False)["clips"] == 3


def test_an_interrupted_run_goes_on(source, tmp_path, monkeypatch):
    written = []
    whole = module._write_shard

    def breaking(folder, file, *rest):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(file)
        return whole(folder, file, *rest)

    monkeypatch.setattr(module, "_write_shard", breaking)
    with pytest.raises(DataError, match="No space left on device; the same command goes on"):
        shard(source, tmp_path / "out", shard_clips=1, progress=False)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(
        module, "_write_shard", lambda folder, file, *rest: written.append(file) or whole(folder, file, *rest)
    )
    resumed = shard(source, tmp_path / "out", shard_clips=1, progress=False)
    assert written == [f"shard-{i:06d}.tar" for i in range(3)]
    assert resumed == shard(source, tmp_path / "at_once", shard_clips=1, progress=False)
    assert check_shards(tmp_path / "out", progress=False) == resumed


def test_a_killed_run_goes_on(source, tmp_path):
    slow = (
        "import sys, time; from vrestore.data import shard as m; w = m._write_shard\n"
        "def slowly(*a):\n    r = w(*a); time.sleep(1); return r\n"
        "m._write_shard = slowly; m.shard(sys.argv[1], sys.argv[2], shard_clips=1, progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, str(source), str(tmp_path / "out")], cwd=ROOT)
    partial = tmp_path / ".out.partial"
    for _ in range(600):
        if (partial / "shard-000000.tar").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert partial.exists()
    assert not (tmp_path / "out").exists()
    manifest = shard(source, tmp_path / "out", shard_clips=1, progress=False)
    assert manifest["clips"] == 3
    assert not partial.exists()
    assert check_shards(tmp_path / "out", progress=False) == manifest
