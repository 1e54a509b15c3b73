"""Folders and ports of the real machine."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from services.runtime.errors import FailedPrecondition
from services.runtime.machine import LONGEST_PLACE, free_ports, is_serving, new_folder, refuse_taken_ports

pytestmark = pytest.mark.integration


def test_a_long_place_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(str(tmp_path)) > LONGEST_PLACE
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = new_folder()
    try:
        assert len(str(folder.parent)) <= LONGEST_PLACE
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        folder.rmdir()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(FailedPrecondition, match=f"port {taken.getsockname()[1]} on 127.0.0.1 is taken"):
            refuse_taken_ports([address])
        assert not is_serving(address)


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    refuse_taken_ports(f"127.0.0.1:{port}" for port in ports)
