"""The local Triton server: it starts, dies, comes back and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from services.runtime.errors import Unavailable
from services.runtime.triton.server import TritonServer
from tests.fixtures.processes import descendants
from tests.fixtures.triton import write_toys

pytestmark = pytest.mark.triton


def _regions() -> list[Path]:
    return list(Path("/dev/shm").glob(f"antiphon-triton-{os.getpid()}-*"))  # noqa: S108 - looked at only


def _environments() -> set[Path]:
    """What the python backend makes at its start, and a killed one leaves."""
    return set(Path("/tmp").glob("python_env_*"))  # noqa: S108 - looked at only


def _listens_beyond_loopback(server: TritonServer) -> bool:
    port = int(server.address.rpartition(":")[2])
    with socket.socket(socket.AF_INET) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.2", port)) == 0


def _await_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_it_loads_every_model_and_listens_on_its_own_address_alone(triton_server: TritonServer) -> None:
    assert triton_server.index() == {"toy.double@1": "", "toy.sum@1": ""}
    assert len(triton_server.stub_pids()) == 2
    assert len(triton_server.stub_pids("toy.sum@1")) == 1
    assert not _listens_beyond_loopback(triton_server)


def test_killed_it_comes_back_at_the_same_address(triton_server: TritonServer) -> None:
    address, pid = triton_server.address, triton_server.pid
    stubs = triton_server.stub_pids()
    triton_server.kill()
    assert triton_server.pid == 0
    _await_gone(stubs)
    with pytest.raises(Unavailable):
        triton_server.index()
    triton_server.start()
    assert triton_server.address == address
    assert triton_server.pid not in (0, pid)
    assert triton_server.unready() == {}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_leaves_no_process_no_shared_memory_and_no_folder(tmp_path: Path, end: str) -> None:
    before, regions, environments = {process.pid for process in descendants()}, _regions(), _environments()
    server = TritonServer(write_toys(tmp_path / "repository"))
    server.start()
    made = _environments() - environments
    (folder,) = {Path(one.title.split()[0]).parents[2] for one in descendants() if one.pid in server.stub_pids()[:1]}
    assert folder.name.startswith("antiphon-")
    assert len(_regions()) > len(regions)
    began = time.monotonic()
    getattr(server, end)()
    assert time.monotonic() - began < 20
    assert {process.pid for process in descendants()} <= before
    assert _regions() == regions
    assert not folder.exists()
    assert made
    assert not made & _environments()
    server.stop()


def test_a_model_that_does_not_load_is_told_and_harms_no_other(tmp_path: Path) -> None:
    repository = write_toys(tmp_path / "repository")
    (repository / "toy.sum@1" / "1" / "model.py").write_text("raise RuntimeError('broken')")
    with TritonServer(repository) as server:
        unready = server.unready()
        assert list(unready) == ["toy.sum@1"]
        assert "broken" in unready["toy.sum@1"]
        assert server.index()["toy.double@1"] == ""
