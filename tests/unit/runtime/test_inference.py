"""Definitions, the store and the checks before a model runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.inference import Batching, StateSpec, Streaming, TensorSpec
from services.runtime.model_store import ModelStore, read_definition

pytestmark = pytest.mark.unit

CONTENT = b"not a graph, but a file with a digest"


def write_bundle(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(CONTENT)
    definition = {
        "publisher": "antiphon",
        "name": "toy",
        "version": "1",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["en"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 1]}],
    } | changes
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in definition.items() if value is not None}))
    return path


def test_definition_reads_what_was_declared(tmp_path: Path) -> None:
    definition = read_definition(write_bundle(tmp_path / "toy"))
    assert definition.id == "antiphon/toy@1"
    assert definition.inputs == (TensorSpec("x", "float32", (None, 2)),)
    assert definition.card == tmp_path / "toy" / "CARD.md"
    assert definition.verified_bytes() == CONTENT


@pytest.mark.parametrize(
    "changes",
    [{"version": None}, {"inputs": [{"name": "x", "dtype": "string", "shape": [1]}]}, {"inputs": 3}, {"locales": None}],
)
def test_broken_definition_names_the_file(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(FailedPrecondition, match=r"model\.yaml") as caught:
        read_definition(write_bundle(tmp_path / "toy", **changes))
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"


def test_altered_file_is_not_loaded(tmp_path: Path) -> None:
    definition = read_definition(write_bundle(tmp_path / "toy"))
    definition.path.write_bytes(CONTENT + b"!")
    with pytest.raises(FailedPrecondition) as caught:
        definition.verified_bytes()
    assert caught.value.reason == "MODEL_DIGEST_MISMATCH"


def test_store_takes_the_newest_version_and_the_first_folder(tmp_path: Path) -> None:
    for version in ("2", "10", "1.9"):
        write_bundle(tmp_path / "bundled" / version, version=version)
    write_bundle(tmp_path / "operator" / "antiphon" / "toy" / "2", version="2", licence="MIT")
    store = ModelStore.with_bundled(tmp_path / "bundled", environ={"ANTIPHON_MODELS": str(tmp_path / "operator")})
    assert store.get("antiphon/toy").version == "10"
    assert store.get("antiphon/toy@2").licence == "MIT"
    assert len(store.models()) == 3


def test_models_lie_in_the_data_folder_of_the_user_where_no_other_is_named(tmp_path: Path) -> None:
    write_bundle(tmp_path / "antiphon" / "models" / "acme" / "toy")
    assert len(ModelStore.with_bundled(environ={"XDG_DATA_HOME": str(tmp_path)}).models()) == 1
    assert not ModelStore.with_bundled(
        environ={"XDG_DATA_HOME": str(tmp_path), "ANTIPHON_MODELS": str(tmp_path / "x")}
    ).models()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../model.onnx"),
        ("file", "/model.onnx"),
        ("file", ["model.onnx"]),
        ("name", "../toy"),
        ("publisher", "a/b"),
        ("publisher", ["a"]),
        ("version", ""),
        ("locales", "en"),
        ("locales", [["en"]]),
        ("tolerance", -1),
        ("tolerance", float("nan")),
    ],
)
def test_definition_leads_nowhere_else(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(FailedPrecondition, match=key):
        read_definition(write_bundle(tmp_path / "toy", **{key: value}))


def test_missing_model_says_what_there_is(tmp_path: Path) -> None:
    write_bundle(tmp_path / "toy")
    with pytest.raises(FailedPrecondition, match="antiphon/toy@1") as caught:
        ModelStore([tmp_path]).get("acme/other")
    assert caught.value.reason == "MODEL_MISSING"


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": np.zeros((1, 2), np.float32), "z": np.zeros(1)},
        {"x": np.zeros((1, 2), np.float64)},
        {"x": np.zeros((1, 3), np.float32)},
        {"x": np.zeros((0, 2), np.float32)},
        {"x": np.zeros(2, np.float32)},
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path: Path, inputs: dict[str, np.ndarray]) -> None:
    definition = read_definition(write_bundle(tmp_path / "toy"))
    definition.check({"x": np.zeros((5, 2), np.float32)})
    with pytest.raises(InvalidInput) as caught:
        definition.check(inputs)
    assert caught.value.reason == "TENSOR_MISMATCH"


def test_a_model_that_stands_twice_in_a_folder_is_told(tmp_path: Path) -> None:
    write_bundle(tmp_path / "one" / "first")
    write_bundle(tmp_path / "one" / "second", licence="MIT")
    write_bundle(tmp_path / "two" / "other", licence="GPL-3.0-only")
    (tmp_path / "one" / "link").symlink_to("first")
    store = ModelStore([tmp_path / "one", tmp_path / "two"])
    assert [definition.licence for definition in store.models()] == ["Apache-2.0"]
    assert len(store.broken) == 1
    assert f"{tmp_path / 'one' / 'second' / 'model.yaml'} is antiphon/toy@1" in store.broken[0].message


def test_bundles_in_the_making_are_not_seen(tmp_path: Path) -> None:
    write_bundle(tmp_path / ".import-1" / "toy")
    write_bundle(tmp_path / "acme" / "toy" / ".half")
    assert not ModelStore([tmp_path]).models()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "",
        # Two to the power of 60 letters, were a text made of it.
        "".join(
            f"a{n}: &a{n} [{'*a' + str(n - 1) if n else 'x'}, {'*a' + str(n - 1) if n else 'x'}]\n" for n in range(60)
        )
        + "publisher: *a59",
    ],
)
def test_definition_without_end_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(FailedPrecondition) as caught:
        read_definition(path)
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"


def test_definition_that_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").mkdir()
    with pytest.raises(FailedPrecondition, match="IsADirectoryError") as caught:
        read_definition(tmp_path / "model.yaml")
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"


def test_broken_bundle_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_bundle(tmp_path / "toy")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.yaml").write_text("name: [")
    store = ModelStore.with_bundled(tmp_path, environ={"XDG_DATA_HOME": str(tmp_path / "none")})
    assert "broken/model.yaml is no model definition: ParserError" in caplog.text
    assert "line 1" in caplog.text
    assert [definition.id for definition in store.models()] == ["antiphon/toy@1"]
    assert [error.reason for error in store.broken] == ["MODEL_DEFINITION_INVALID"]
    with pytest.raises(FailedPrecondition, match=r"broken/model\.yaml is no model definition"):
        store.get("acme/other")


STATE = {"input": "h", "output": "h2", "dtype": "float32", "shape": [2, 1, 4], "batch_axis": 1}


def test_merging_streaming_and_states_are_read(tmp_path: Path) -> None:
    more = {"batching": {"max_size": 8, "delay_ms": 1.5}, "streaming": {"axis": 1, "size": 16}, "states": [STATE]}
    definition = read_definition(write_bundle(tmp_path / "toy", **more))
    assert definition.batching == Batching(8, 1.5)
    assert definition.streaming == Streaming(1, 16)
    assert definition.states == (StateSpec("h", "h2", "float32", (2, 1, 4), 1),)


def test_state_of_a_graph_that_runs_one_sequence_at_a_time_needs_no_axis_for_others(tmp_path: Path) -> None:
    definition = read_definition(write_bundle(tmp_path / "toy", states=[{**STATE, "batch_axis": 0}]))
    assert definition.states[0].shape == (2, 1, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"batching": {"max_size": 0, "delay_ms": 1}},
        {"batching": {"max_size": 100_000, "delay_ms": 1}},
        {"batching": {"max_size": 8, "delay_ms": -1}},
        {"batching": {"max_size": 8, "delay_ms": 60_000}},
        {"batching": {"max_size": 8}},
        {"batching": {"max_size": float("inf"), "delay_ms": 1}},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [-2, 2]}]},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [0, 2]}]},
        {"inputs": [{"name": ["x"], "dtype": "float32", "shape": [1, 2]}]},
        {"batching": "yes"},
        {"streaming": {"axis": 0, "size": 16}},
        {"streaming": {"axis": 1, "size": 0}},
        {"states": [{**STATE, "shape": [2, 0, 4]}]},
        {"states": [{**STATE, "shape": []}]},
        {"states": [{**STATE, "batch_axis": 0}], "batching": {"max_size": 8, "delay_ms": 1}},
        {"states": [{**STATE, "batch_axis": 3}], "batching": {"max_size": 8, "delay_ms": 1}},
    ],
)
def test_merging_streaming_and_states_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(FailedPrecondition, match=r"model\.yaml") as caught:
        read_definition(write_bundle(tmp_path / "toy", **changes))
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"
