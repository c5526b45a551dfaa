"""Downloads against a server on this machine: whole, broken off and resumed, changed, refused."""

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vrestore.checkpoints.download import cache_folder, cached_path, fetch
from vrestore.errors import WeightsError

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file with ranges, and misbehaves as it is told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.ranges = True
        self.break_after: list[int] = []  # bytes after which the next answers break off
        self.status = 200
        self.seen: list[dict] = []

    def url(self, name: str = "weights.pth") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server = self.server
        server.seen.append(dict(self.headers))
        if server.status != 200:
            return self.send_error(server.status)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", server.etag) == server.etag
        start = int(asked[1]) if asked and same and server.ranges else 0
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.break_after:
            body = body[: server.break_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def leftovers(folder):
    return [p.name for p in folder.rglob("*") if p.suffix in (".part", ".mark")]


@pytest.mark.parametrize("sha256", [SHA, SHA[:8], None])
def test_download_once(server, cache, sha256):
    path = fetch(server.url(), sha256=sha256, progress=False)
    assert path.read_bytes() == CONTENT
    assert path == cached_path(server.url())
    assert cache in path.parents
    assert fetch(server.url(), sha256=sha256) == path
    assert len(server.seen) == 1
    assert leftovers(cache) == []


def test_the_bar_is_shown_on_stderr_only(server, cache, capsys):
    fetch(server.url(), progress=True)
    assert capsys.readouterr().out == ""


def test_a_connection_that_breaks_is_taken_up_again_at_once(server, cache):
    server.break_after = [100_000, 300_000]
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=100000-", "bytes=400000-"]
    assert leftovers(cache) == []


def test_a_later_run_goes_on_where_the_first_stopped(server, cache):
    server.break_after = [1000, 1000, 1000]
    with pytest.raises(WeightsError, match="could not download"):
        fetch(server.url(), sha256=SHA, progress=False)
    assert not cached_path(server.url()).exists()
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT
    assert server.seen[-1]["Range"] == "bytes=3000-"


def test_a_file_that_changed_meanwhile_is_begun_anew(server, cache):
    server.break_after = [1000, 1000, 1000]
    with pytest.raises(WeightsError):
        fetch(server.url(), progress=False)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch(server.url(), progress=False).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("how", ["no ranges", "no mark"])
def test_servers_that_cannot_resume(server, cache, how):
    server.ranges, server.etag = how != "no ranges", "" if how == "no mark" else '"one"'
    server.break_after = [1000]
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT


def test_a_part_that_was_whole_already(server, cache):
    path = cached_path(server.url())
    path.parent.mkdir(parents=True)
    (path.parent / "weights.pth.part").write_bytes(CONTENT)
    (path.parent / "weights.pth.part.mark").write_text('"one"')
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server, cache):
    path = cached_path(server.url())
    path.parent.mkdir(parents=True)
    (path.parent / "weights.pth.part").write_bytes(CONTENT + b"more")
    (path.parent / "weights.pth.part.mark").write_text('"one"')
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT


def test_another_file_than_expected(server, cache):
    with pytest.raises(WeightsError, match=rf"gave another file than expected: .*{SHA[:8]}.*should be 00000000"):
        fetch(server.url(), sha256="00000000", progress=False)
    assert not cached_path(server.url()).exists()
    assert leftovers(cache) == []
    assert fetch(server.url(), sha256=SHA, progress=False).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache(server, cache):
    path = fetch(server.url(), sha256=SHA, progress=False)
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="is damaged or another file"):
        fetch(server.url(), sha256=SHA, progress=False)


def test_errors_of_the_server_name_the_address_and_the_place_for_the_file(server, cache):
    server.status = 404
    with pytest.raises(WeightsError) as caught:
        fetch(server.url(), progress=False)
    assert server.url() in str(caught.value)
    assert "404" in str(caught.value)
    assert f"put it at {cached_path(server.url())}" in str(caught.value)
    assert len(server.seen) == 1


def test_offline(cache):
    with pytest.raises(WeightsError, match=r"could not download http://127\.0\.0\.1:9/w\.pth \(.*refused.*put it at"):
        fetch("http://127.0.0.1:9/w.pth", progress=False)


def test_a_file_that_was_put_there_by_hand_is_taken(cache):
    path = cached_path("http://127.0.0.1:9/w.pth")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert fetch("http://127.0.0.1:9/w.pth", sha256=SHA) == path


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/w.pth", "w.pth"])
def test_other_schemes_are_refused(url, cache):
    with pytest.raises(WeightsError, match="no http or https address"):
        fetch(url)


def test_many_at_once_download_once(server, cache):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(server.url(), sha256=SHA, progress=False), range(4)))
    assert len(set(paths)) == 1
    assert len(server.seen) == 1


def test_addresses_with_one_file_name_do_not_share_a_place(server, cache):
    assert cached_path(server.url("a/latest.pth")) != cached_path(server.url("b/latest.pth"))
    assert cached_path(server.url("a%20b.pth?x=1")).name == "a b.pth"


def test_a_place_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"could not write .*\$VRESTORE_CACHE"):
        fetch(server.url(), folder=tmp_path / "file", progress=False)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("VRESTORE_CACHE")
    assert cache_folder().name == "vrestore"
