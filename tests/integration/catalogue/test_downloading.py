"""Downloads over real sockets: what comes whole, what is taken up again, and what is refused."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalogue.downloading import Downloader, Wanted
from services.catalogue.http_source import HttpSource
from services.runtime.errors import AntiphonError
from tests.fixtures import certificates
from tests.integration.catalogue.file_server import FileServer, Served, running

pytestmark = pytest.mark.integration

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as server:
        yield server


def wanted(server: FileServer, path: str = "/model.bin", *, size: int | None = None, sha256: str = DIGEST) -> Wanted:
    return Wanted(server.url(path), "model.bin", size, sha256)


def downloader(*, tries: int = 4, max_bytes: int = 1_000_000, timeout_s: float = 5.0) -> Downloader:
    return Downloader(HttpSource(timeout_s=timeout_s), tries=tries, max_bytes=max_bytes, pause=lambda seconds: None)


def reason(error: pytest.ExceptionInfo[AntiphonError]) -> str:
    return error.value.reason


def test_a_file_comes_whole_and_leaves_nothing_beside_it(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT)
    done = downloader().fetch(wanted(server, size=len(CONTENT)), tmp_path / "new" / "folder")
    assert done.read_bytes() == CONTENT
    assert [path.name for path in done.parent.iterdir()] == ["model.bin"]
    downloader().fetch(wanted(server), done.parent)
    assert len(server.asked) == 1, "what is there and right is not fetched again"


def test_a_connection_that_is_cut_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, cuts=[30_000, 0, 50_000])
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert [one.range for one in server.asked] == ["", "bytes=30000-", "bytes=30000-", "bytes=80000-"]
    assert {one.if_range for one in server.asked[1:]} == {'"one"'}


def test_without_ranges_it_begins_again_and_is_right(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, ranges=False, cuts=[30_000, 60_000])
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_a_chunked_body_that_is_cut_is_not_taken_for_whole(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, length=-1, cuts=[30_000])
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[1].range == "bytes=30000-"


def test_an_interrupted_download_is_taken_up_by_the_next_call(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, cuts=[40_000, 0, 0])
    with pytest.raises(AntiphonError, match="goes on from there") as error:
        downloader(tries=2).fetch(wanted(server), tmp_path)
    assert reason(error) == "DOWNLOAD_INTERRUPTED"
    assert (tmp_path / "model.bin.partial").stat().st_size == 40_000
    assert not (tmp_path / "model.bin").exists()
    server.asked.clear()
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[0].range == "bytes=40000-"


def test_a_file_that_was_exchanged_is_fetched_from_its_beginning(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(b"x" * len(CONTENT), etag='"old"', cuts=[40_000, 0])
    with pytest.raises(AntiphonError):
        downloader(tries=1).fetch(wanted(server), tmp_path)
    server.files["/model.bin"] = Served(CONTENT, etag='"new"')
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_what_came_from_another_address_or_without_a_name_is_not_continued(server: FileServer, tmp_path: Path) -> None:
    server.files |= {"/other.bin": Served(b"y" * 90_000, cuts=[40_000]), "/model.bin": Served(CONTENT, etag="")}
    with pytest.raises(AntiphonError):
        downloader(tries=1).fetch(wanted(server, "/other.bin"), tmp_path)
    server.files["/model.bin"].cuts = [50_000]
    done = downloader().fetch(wanted(server, sha256=""), tmp_path)
    assert done.read_bytes() == CONTENT
    assert [one.range for one in server.asked if one.path == "/model.bin"] == ["", ""]


def test_what_is_longer_than_the_file_begins_again(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT + b"more", cuts=[len(CONTENT) + 2])
    with pytest.raises(AntiphonError):
        downloader(tries=1).fetch(wanted(server), tmp_path)
    server.files["/model.bin"] = Served(CONTENT)  # shorter now, and of the same name
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_what_came_whole_just_before_the_interruption_is_only_checked(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, cuts=[len(CONTENT) - 1])
    with pytest.raises(AntiphonError):
        downloader(tries=1).fetch(wanted(server), tmp_path)
    with (tmp_path / "model.bin.partial").open("ab") as partial:
        partial.write(CONTENT[-1:])
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_a_wrong_digest_names_both_and_removes_the_file(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT)
    with pytest.raises(AntiphonError) as error:
        downloader().fetch(wanted(server, sha256="0" * 64), tmp_path)
    assert reason(error) == "DIGEST_MISMATCH"
    assert DIGEST in str(error.value)
    assert "0" * 64 in str(error.value)
    assert not list(tmp_path.iterdir())


def test_another_size_than_the_catalogue_names_is_refused_before_it_comes(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT)
    with pytest.raises(AntiphonError, match="102400 bytes there, and 77 are expected") as error:
        downloader().fetch(wanted(server, size=77), tmp_path)
    assert reason(error) == "SIZE_MISMATCH"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "served", [Served(CONTENT), Served(CONTENT, length=-1), Served(CONTENT, length=-1, endless=True)]
)
def test_no_file_is_larger_than_the_limit(server: FileServer, tmp_path: Path, served: Served) -> None:
    server.files["/model.bin"] = served
    with pytest.raises(AntiphonError) as error:
        downloader(max_bytes=50_000).fetch(wanted(server), tmp_path)
    assert reason(error) == "TOO_LARGE"
    assert not list(tmp_path.iterdir())


def test_a_size_that_nobody_told_is_held_to_the_catalogues(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT[:-1], length=-1)
    with pytest.raises(AntiphonError) as error:
        downloader().fetch(wanted(server, size=len(CONTENT), sha256=""), tmp_path)
    assert reason(error) == "SIZE_MISMATCH"
    assert not (tmp_path / "model.bin").exists()


def test_redirects_are_followed_to_where_they_may_lead(server: FileServer, tmp_path: Path) -> None:
    server.files |= {"/model.bin": Served(redirect="/there"), "/there": Served(CONTENT, cuts=[1_000])}
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1].range == "bytes=1000-", "the range survives the redirect"


@pytest.mark.parametrize(
    ("leads", "why"),
    [
        ("http://models.invalid/model.bin", "ADDRESS_REFUSED"),
        ("http://127.0.0.1.models.invalid/model.bin", "ADDRESS_REFUSED"),
        ("file:///etc/hostname", "DOWNLOAD_MISSING"),
        ("/model.bin", "DOWNLOAD_MISSING"),
    ],
)
def test_redirects_elsewhere_are_refused(server: FileServer, tmp_path: Path, leads: str, why: str) -> None:
    server.files["/model.bin"] = Served(redirect=leads)
    with pytest.raises(AntiphonError) as error:
        downloader().fetch(wanted(server), tmp_path)
    assert reason(error) == why
    assert not list(tmp_path.iterdir())


def test_https_never_becomes_http(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    trusting = ssl.create_default_context(cafile=str(made.authority))
    with running(made.server) as safe, running() as plain:
        safe.files |= {"/model.bin": Served(CONTENT), "/weaker": Served(redirect=plain.url("/model.bin"))}
        plain.files["/model.bin"] = Served(CONTENT)
        fetcher = Downloader(HttpSource(timeout_s=5, context=trusting), pause=lambda seconds: None)
        assert fetcher.fetch(wanted(safe), tmp_path / "safe").read_bytes() == CONTENT
        with pytest.raises(AntiphonError, match="only https") as error:
            fetcher.fetch(wanted(safe, "/weaker"), tmp_path / "weaker")
        assert reason(error) == "ADDRESS_REFUSED"
        assert not plain.asked


def test_a_server_that_does_not_prove_who_it_is_gets_nothing(tmp_path: Path) -> None:
    with running(certificates.make(tmp_path).server) as server, pytest.raises(AntiphonError, match="prove") as error:
        downloader().fetch(wanted(server), tmp_path / "out")
    assert reason(error) == "NETWORK_MISSING"


@pytest.mark.parametrize("url", ["http://models.invalid/x", "ftp://127.0.0.1/x", "file:///etc/hostname", "x"])
def test_only_https_is_spoken_beyond_this_machine(tmp_path: Path, url: str) -> None:
    with pytest.raises(AntiphonError) as error:
        downloader().fetch(Wanted(url, "x"), tmp_path)
    assert reason(error) == "ADDRESS_REFUSED"


def test_a_server_that_is_busy_is_asked_again_and_one_without_the_file_is_not(
    server: FileServer, tmp_path: Path
) -> None:
    server.files["/model.bin"] = Served(CONTENT, statuses=[503, 429, 500])
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    server.asked.clear()
    with pytest.raises(AntiphonError, match="no such file") as error:
        downloader().fetch(wanted(server, "/none"), tmp_path / "none")
    assert reason(error) == "DOWNLOAD_MISSING"
    assert len(server.asked) == 1


def test_lengths_of_absurd_size_are_not_believed(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, length=10**5000)
    with pytest.raises(AntiphonError) as error:
        downloader(timeout_s=0.3, tries=1).fetch(wanted(server), tmp_path)
    assert reason(error) == "DOWNLOAD_INTERRUPTED"


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(AntiphonError, match=r"127\.0\.0\.1 cannot be reached") as error:
            downloader().fetch(Wanted(f"http://127.0.0.1:{taken.getsockname()[1]}/x", "x"), tmp_path)
    assert reason(error) == "NETWORK_MISSING"
    assert not list(tmp_path.iterdir())


def test_a_silent_server_is_not_waited_for(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(AntiphonError, match="no answer in time") as error,
    ):
        downloader(timeout_s=0.2).fetch(Wanted(f"http://127.0.0.1:{silent.getsockname()[1]}/x", "x"), tmp_path)
    assert reason(error) == "NETWORK_MISSING"


def test_a_body_that_stalls_counts_as_cut(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT, pause_s=5)
    with pytest.raises(AntiphonError) as error:
        downloader(tries=2, timeout_s=0.2).fetch(wanted(server), tmp_path)
    assert reason(error) == "DOWNLOAD_INTERRUPTED"


def test_two_at_a_time_do_not_write_one_file(server: FileServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(CONTENT)
    with (tmp_path / "model.bin.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AntiphonError) as error:
            downloader().fetch(wanted(server), tmp_path)
        assert reason(error) == "DOWNLOAD_RUNNING"
    assert downloader().fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_said_before_anything_comes(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/model.bin"] = Served(CONTENT)
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(AntiphonError, match=r"0\.1 MB are needed and 0\.0 MB are free") as error:
        downloader().fetch(wanted(server), tmp_path)
    assert reason(error) == "NO_SPACE"
