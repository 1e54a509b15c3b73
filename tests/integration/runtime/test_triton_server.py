"""What the local Triton server says when it cannot run: no environment, no repository, a server that ends at once."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.triton.server import SERVER_VARIABLE, TritonEnvironment, TritonServer

pytestmark = pytest.mark.integration

PACKAGE = "lib/python3.11/site-packages/pytriton/tritonserver"


def _environment(folder: Path, script: str) -> TritonEnvironment:
    """One whose server is a shell script."""
    for file in (
        "bin/tritonserver",
        "python_backend_stubs/3.11/triton_python_backend_stub",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
    ):
        path = folder / PACKAGE / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return TritonEnvironment.find({SERVER_VARIABLE: str(folder)})


def test_without_an_environment_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="make triton-setup") as caught:
        TritonEnvironment.find({SERVER_VARIABLE: str(tmp_path)})
    assert caught.value.reason == "TRITON_SERVER_MISSING"


def test_an_old_c_library_is_told_before_the_server_fails_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    with pytest.raises(FailedPrecondition, match=r"glibc 2\.35 or newer, and this machine has glibc 2\.31") as caught:
        _environment(tmp_path, "exit 0")
    assert caught.value.reason == "TRITON_SERVER_UNSUPPORTED"


def test_a_missing_repository_is_told(tmp_path: Path) -> None:
    server = TritonServer(tmp_path / "nowhere", environment=_environment(tmp_path, "sleep 60"))
    with pytest.raises(FailedPrecondition, match="nowhere") as caught:
        server.start()
    assert caught.value.reason == "TRITON_REPOSITORY_MISSING"


def test_a_server_that_ends_at_once_is_told_with_its_last_lines(tmp_path: Path) -> None:
    server = TritonServer(tmp_path, environment=_environment(tmp_path, "echo no such luck; exit 3"))
    with pytest.raises(Unavailable, match=r"(?s)ended with 3.*no such luck") as caught:
        server.start()
    assert caught.value.reason == "TRITON_START_FAILED"
    assert server.pid == 0


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    server = TritonServer(tmp_path, environment=_environment(tmp_path, "exec sleep 600"))
    with pytest.raises(Unavailable, match="did not answer in time"):
        server.start(timeout_s=0.5)
    assert server.pid == 0


def test_a_start_can_be_given_up(tmp_path: Path) -> None:
    environment = _environment(tmp_path, "exec sleep 600")
    server = TritonServer(tmp_path, environment=environment, cancelled=lambda: True)
    with pytest.raises(Unavailable) as caught:
        server.start()
    assert caught.value.reason == "CANCELLED"
    assert server.pid == 0
