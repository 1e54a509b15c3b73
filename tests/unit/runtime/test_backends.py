"""The setting that decides where models run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.runtime.backends import BackendSettings, model_client
from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.resilient import ResilientClient
from tests.unit.runtime.tiny_graphs import graph, write_bundle

pytestmark = pytest.mark.unit

URL = {"ANTIPHON_TRITON_URL": "127.0.0.1:1"}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    write_bundle(tmp_path / "sum", graph([("Add", ["x", "x"], ["y"])], ["x"], ["y"]), ["x"], ["y"])
    return ModelStore([tmp_path])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, BackendSettings("embedded", "", "embedded")),
        ({"ANTIPHON_BACKEND": ""}, BackendSettings("embedded", "", "embedded")),
        ({"ANTIPHON_BACKEND": "triton", **URL}, BackendSettings("triton", "127.0.0.1:1", "embedded")),
        ({"ANTIPHON_BACKEND": " Triton ", **URL}, BackendSettings("triton", "127.0.0.1:1", "embedded")),
        ({"ANTIPHON_NLU_BACKEND": "triton", **URL}, BackendSettings("triton", "127.0.0.1:1", "embedded")),
        ({"ANTIPHON_ASR_BACKEND": "triton", **URL}, BackendSettings("embedded", "127.0.0.1:1", "embedded")),
        (
            {"ANTIPHON_BACKEND": "triton", "ANTIPHON_NLU_BACKEND": "embedded", **URL},
            BackendSettings("embedded", "127.0.0.1:1", "embedded"),
        ),
        (
            {"ANTIPHON_BACKEND": "triton", "ANTIPHON_TRITON_FALLBACK": "none", **URL},
            BackendSettings("triton", "127.0.0.1:1", "none"),
        ),
    ],
)
def test_environment_is_read(environ: dict[str, str], expected: BackendSettings) -> None:
    assert BackendSettings.read("nlu", environ) == expected


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"ANTIPHON_BACKEND": "gpu"}, "ANTIPHON_BACKEND"),
        ({"ANTIPHON_NLU_BACKEND": "gpu"}, "ANTIPHON_NLU_BACKEND"),
        ({"ANTIPHON_BACKEND": "triton", "ANTIPHON_TRITON_FALLBACK": "cloud", **URL}, "ANTIPHON_TRITON_FALLBACK"),
        ({"ANTIPHON_BACKEND": "triton"}, "ANTIPHON_TRITON_URL"),
    ],
)
def test_what_cannot_be_is_refused_by_name(environ: dict[str, str], named: str) -> None:
    with pytest.raises(FailedPrecondition, match=named) as caught:
        BackendSettings.read("nlu", environ)
    assert caught.value.reason == "SETTINGS_INVALID"


async def test_embedded_needs_no_client_of_a_server(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch)
    client = await model_client(store, "nlu", environ={})
    assert isinstance(client, OnnxClient)
    assert client.backend("test/sum") == "embedded"
    await client.close()


async def test_missing_client_says_what_to_install(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch)
    with pytest.raises(FailedPrecondition, match=r"pip install antiphon\[triton\]") as caught:
        await model_client(store, "nlu", environ={"ANTIPHON_BACKEND": "triton", **URL})
    assert caught.value.reason == "BACKEND_NOT_INSTALLED"


@pytest.mark.parametrize("fallback", ["embedded", "none"])
async def test_triton_is_wrapped_against_its_failures(store: ModelStore, fallback: str) -> None:
    environ = {"ANTIPHON_BACKEND": "triton", "ANTIPHON_TRITON_FALLBACK": fallback, **URL}
    client = await model_client(store, "nlu", environ=environ)
    assert isinstance(client, ResilientClient)
    assert client.backend("test/sum") == "triton"
    await client.close()


def _hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the extra."""
    for name in [name for name in sys.modules if name.startswith(("tritonclient", "services.runtime.triton"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tritonclient", None)
