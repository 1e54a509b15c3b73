"""A Triton server for each module here. A module overrides `triton_repository` to run it over models of its own.

`triton_server.address` is where it listens; `kill()` and `start()` have it die and come back at the same address;
`stub_pids(model)` are the processes that run a model. A test that breaks it mends it before it ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.errors import FailedPrecondition
from services.runtime.triton.server import TritonEnvironment, TritonServer
from tests.fixtures.triton import server, write_toys


@pytest.fixture(scope="session", autouse=True)
def _server_is_there() -> None:
    try:
        TritonEnvironment.find()
    except FailedPrecondition as missing:
        if os.environ.get("CI"):
            pytest.fail(missing.message)
        pytest.skip(missing.message)


@pytest.fixture(scope="module")
def triton_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the module's server runs; the toys unless the module says otherwise."""
    return write_toys(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def triton_server(triton_repository: Path) -> Iterator[TritonServer]:
    """A running server over `triton_repository`, every model loaded, in explicit model control."""
    with server(triton_repository) as running:
        yield running
