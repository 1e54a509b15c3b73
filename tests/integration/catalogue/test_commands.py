"""`antiphon models list | pull | import | verify`, as they are typed, against a server on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from services.model_commands import models
from services.runtime.model_store import ModelStore
from tests.fixtures import public_models
from tests.integration.catalogue.file_server import FileServer, Served, running

pytestmark = pytest.mark.integration

ARCHIVE = "sherpa-onnx-streaming-zipformer-xx.tar.bz2"
PATH = f"/releases/{ARCHIVE}"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ANTIPHON_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "antiphon" / "models"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A published recogniser as it is downloaded: small, of the true form."""
    folder = tmp_path_factory.mktemp("published")
    made = folder / "made"
    made.mkdir()
    public_models.zipformer2(made)
    (made / "README.md").write_text("A recogniser.\n")
    with tarfile.open(folder / "a.tar.bz2", "w:bz2") as packed:
        packed.add(made, arcname=ARCHIVE.removesuffix(".tar.bz2"))
    return (folder / "a.tar.bz2").read_bytes()


def catalogue(folder: Path, url: str, content: bytes = b"", **changes: object) -> list[str]:
    """The option that names a catalogue of one model, which lies at `url`."""
    entry: dict[str, object] = {
        "capability": "asr",
        "publisher": "acme",
        "version": "1",
        "summary": "Hears.",
        "url": url,
        "locales": ["xx"],
        "engine": "transducer",
    }
    if content:
        entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump({"models": {"hears": entry | changes}}), encoding="utf-8")
    return ["--catalogue", str(path)]


def command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "antiphon", "models", *arguments]


def test_a_public_model_is_pulled_listed_verified_and_read_by_the_services(
    server: FileServer, tmp_path: Path, store: Path, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files[PATH] = Served(archive)
    named = catalogue(tmp_path, server.url(PATH), archive, licence="Apache-2.0")
    assert models(["pull", "hears", *named]) == 0
    told = capsys.readouterr()
    assert told.out == f"acme/hears@1 is in {store / 'acme' / 'hears' / '1'}\n"
    assert "licence of hears: Apache-2.0" in told.err
    assert f"downloading {ARCHIVE}" in told.err
    assert "\r" not in told.err, "no line that moves where no terminal is"
    assert not list((store / ".incoming").iterdir())
    assert models(["list", "--locale", "xx", *named]) == 0
    assert "installed  asr         acme/hears@1  transducer" in capsys.readouterr().out
    assert models(["verify"]) == 0
    verified = capsys.readouterr().out
    assert "download pinned" in verified
    assert "ok   acme/hears.encoder@1" in verified
    assert ModelStore.with_bundled().get("acme/hears.encoder").states, "the services find it without being told"
    assert models(["pull", "hears", *named]) == 2, "it is there"
    assert "--again" in capsys.readouterr().err
    assert models(["pull", "hears", "--again", *named]) == 0


def test_verify_names_every_bad_file(
    server: FileServer, tmp_path: Path, store: Path, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files[PATH] = Served(archive)
    assert models(["pull", "hears", *catalogue(tmp_path, server.url(PATH))]) == 0
    assert "hears is not pinned" in capsys.readouterr().err
    (store / "acme" / "hears" / "1" / "tokens.txt").write_text("x 0\n")
    assert models(["verify", "hears"]) == 1
    told = capsys.readouterr().out
    assert "BAD  acme/hears@1: tokens.txt: sha256 is" in told
    assert "ok   acme/hears.encoder@1: 1 file" in told
    assert models(["verify", "nothing"]) == 2


def test_what_was_downloaded_elsewhere_is_imported(
    tmp_path: Path, store: Path, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive)
    named = catalogue(tmp_path, f"https://models.invalid{PATH}", archive)
    assert models(["import", str(tmp_path / ARCHIVE), *named]) == 0, "known by the name of the file"
    assert capsys.readouterr().out.startswith("acme/hears@1 is in")
    with (tmp_path / ARCHIVE).open("ab") as changed:
        changed.write(b"more")
    assert models(["import", str(tmp_path / ARCHIVE), "--again", *named]) == 1
    assert "is not what the catalogue names" in capsys.readouterr().err
    own = ["--name", "mine", "--publisher", "me", "--locale", "xx", "--licence", "MIT", "--model-version", "2.1"]
    (tmp_path / ARCHIVE).write_bytes(archive)
    assert models(["import", str(tmp_path / ARCHIVE), *own, *named]) == 0
    assert capsys.readouterr().out == f"me/mine@2.1 is in {store / 'me' / 'mine' / '2.1'}\n"
    assert models(["import", str(tmp_path / "nothing")]) == 2


def test_a_model_that_is_no_recogniser_of_a_kind_that_is_known(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made").mkdir()
    public_models.zipformer2(tmp_path / "made", model_type="lstm")
    assert models(["import", str(tmp_path / "made"), "--locale", "xx"]) == 1
    told = capsys.readouterr().err
    assert "model_type" in told
    assert "Traceback" not in told
    assert not [path for path in store.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("engine", "code"), [("", 1), ("transducer", 0)])
def test_what_no_engine_runs_can_only_be_downloaded(
    server: FileServer, tmp_path: Path, archive: bytes, capsys: pytest.CaptureFixture[str], engine: str, code: int
) -> None:
    server.files[PATH] = Served(archive)
    named = catalogue(tmp_path, server.url(PATH), archive, engine=engine)
    assert models(["pull", "hears", *named]) == code
    if not engine:
        assert "--download-only" in capsys.readouterr().err
    assert models(["pull", "hears", "--download-only", str(tmp_path / "files"), *named]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "files" / ARCHIVE)
    assert (tmp_path / "files" / ARCHIVE).read_bytes() == archive


def test_without_a_network_it_says_which_host_and_what_to_do(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url(PATH)
    server.stop()
    assert models(["pull", "hears", *catalogue(tmp_path, url)]) == 1
    told = capsys.readouterr().err
    assert "127.0.0.1 cannot be reached: connection refused" in told
    assert f"download {url}" in told
    assert f"antiphon models import {ARCHIVE}" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"<!doctype html>", "expected"), (b"", "bytes there"), (None, "no such file")],
)
def test_what_comes_is_another_thing(
    server: FileServer,
    tmp_path: Path,
    store: Path,
    archive: bytes,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
) -> None:
    if content is not None:
        server.files[PATH] = Served(content)
    named = catalogue(tmp_path, server.url(PATH), archive)
    if content:
        named = catalogue(tmp_path, server.url(PATH), sha256="0" * 64)
    assert models(["pull", "hears", *named]) == 1
    assert said in capsys.readouterr().err
    assert not [path for path in store.rglob("*") if path.is_file()]


def test_a_page_that_came_instead_of_the_archive_is_not_kept(
    server: FileServer, tmp_path: Path, archive: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files[PATH] = Served(b"<!doctype html>")
    named = catalogue(tmp_path, server.url(PATH))
    assert models(["pull", "hears", *named]) == 1
    assert "neither a folder nor an archive" in capsys.readouterr().err
    server.files[PATH] = Served(archive)
    assert models(["pull", "hears", *named]) == 0


def test_an_interrupted_pull_is_taken_up_again(server: FileServer, tmp_path: Path, store: Path, archive: bytes) -> None:
    server.files[PATH] = Served(archive, pause_s=0.5)
    named = catalogue(tmp_path, server.url(PATH), archive)
    partial = store / ".incoming" / f"{ARCHIVE}.partial"
    with subprocess.Popen(
        command(["pull", "hears", *named]), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as pulling:
        until(lambda: partial.is_file() and partial.stat().st_size > 0)
        pulling.send_signal(signal.SIGINT)
        _, told = pulling.communicate(timeout=30)
    assert pulling.returncode == 130
    assert "goes on from there" in told
    assert "Traceback" not in told
    kept = partial.stat().st_size
    assert 0 < kept < len(archive)
    server.files[PATH].pause_s = 0
    server.asked.clear()
    assert models(["pull", "hears", *named]) == 0
    assert server.asked[0].range == f"bytes={kept}-"


def test_a_disk_that_runs_full_leaves_no_bundle(
    server: FileServer, tmp_path: Path, store: Path, archive: bytes
) -> None:
    server.files[PATH] = Served(archive)
    limited = ["bash", "-c", f'ulimit -f {len(archive) // 1024 // 2} && exec "$@"', "bash"]
    finished = subprocess.run(
        [*limited, *command(["pull", "hears", *catalogue(tmp_path, server.url(PATH), archive)])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert finished.returncode == 1, finished.stderr
    assert "no space in" in finished.stderr
    assert not list(store.rglob("model.yaml"))


def test_list_is_json_for_programs_and_says_when_there_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models(["list", "--json", "--capability", "denoise"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in read] == ["gtcrn"]
    assert models(["list", "--locale", "tlh"]) == 0
    assert "gtcrn" in capsys.readouterr().out
    assert models(["list", "--capability", "tts", "--locale", "tlh"]) == 1
    (tmp_path / "bad.yaml").write_text("models: {x: {}}")
    assert models(["list", "--catalogue", str(tmp_path / "bad.yaml")]) == 1
    assert "entry 'x': key 'capability' is missing" in capsys.readouterr().err
    assert models(["pull", "nothing-like-it"]) == 2


def until(true: object, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not (callable(true) and true()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
