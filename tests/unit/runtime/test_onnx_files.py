"""Files that are no usable model, and definitions that say something else than their graph."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient, inspect
from tests.conftest import ROOT

pytestmark = pytest.mark.unit

WEIGHTS = "weights.bin"


def model(*, operator: str = "Add", external: str = "", dtype: int = TensorProto.FLOAT) -> bytes:
    """Adds [1, 4] weights to x and to the state h."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 4])
    if external:
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("length", "16")):
            weights.external_data.add(key=key, value=value)
    else:
        weights.float_data.extend([1.0] * 4)
    nodes = [helper.make_node(operator, ["x", "w"], ["y"]), helper.make_node("Identity", ["h"], ["h2"])]
    inputs = [
        helper.make_tensor_value_info("x", dtype, ["rows", 4]),
        helper.make_tensor_value_info("h", TensorProto.INT64, [1, 2]),
    ]
    outputs = [
        helper.make_tensor_value_info("y", dtype, ["rows", 4]),
        helper.make_tensor_value_info("h2", TensorProto.INT64, [1, 2]),
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, [weights]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    helper.set_model_props(made, {"model_type": "toy", "note": "ü"})
    return bytes(made.SerializeToString())


def bundle(folder: Path, content: bytes, **changes: Any) -> OnnxClient:
    (folder / "model.onnx").write_bytes(content)
    definition: dict[str, Any] = {
        "publisher": "test",
        "name": "toy",
        "version": "1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["mul"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 4]}],
        "states": [{"input": "h", "output": "h2", "dtype": "int64", "shape": [1, 2]}],
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(definition | changes))
    return OnnxClient(ModelStore([folder]))


async def refusal(client: OnnxClient) -> FailedPrecondition:
    try:
        with pytest.raises(FailedPrecondition) as caught:
            await client.load("test/toy")
    finally:
        await client.close()
    return caught.value


async def test_definition_that_fits_loads(tmp_path: Path) -> None:
    client = bundle(tmp_path, model())
    assert (await client.load("test/toy")).id == "test/toy@1"
    await client.close()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("inputs", [{"name": "x", "dtype": "float16", "shape": [-1, 4]}], "input x is declared float16 and is float32"),
        ("inputs", [{"name": "x", "dtype": "float32", "shape": [-1, 5]}], "declared 5 along axis 1 and is 4"),
        ("inputs", [{"name": "x", "dtype": "float32", "shape": [-1, -1]}], "declared any length along axis 1"),
        ("inputs", [{"name": "x", "dtype": "float32", "shape": [-1]}], "declared with 1 dimensions and has 2"),
        ("inputs", [{"name": "z", "dtype": "float32", "shape": [-1, 4]}], "no input z"),
        ("inputs", [], "needs x"),
        ("outputs", [{"name": "q", "dtype": "float32", "shape": [-1, 4]}], "no output q"),
        ("outputs", [{"name": "y", "dtype": "int64", "shape": [-1, 4]}], "output y is declared int64"),
        ("states", [{"input": "h", "output": "h2", "dtype": "int64", "shape": [1, 3]}], "input h is declared 3"),
        ("states", [], "needs h"),
        ("batching", {"max_size": 8, "delay_ms": 1}, "input h is declared any length along axis 0 and is 1"),
    ],
)
async def test_definition_and_graph_that_disagree_name_the_tensor(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    error = await refusal(bundle(tmp_path, model(), **{key: value}))
    assert error.reason == "MODEL_DEFINITION_INVALID"
    assert said in error.message


async def test_loosely_declared_outputs_are_fine(tmp_path: Path) -> None:
    client = bundle(tmp_path, model(), outputs=[{"name": "y", "dtype": "float32", "shape": [-1, -1]}])
    await client.load("test/toy")
    await client.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (model()[:-40], ""),
        (b"", ""),
        (b"\x00" * 100_000, ""),
        (b"publisher: antiphon\nname: text that is no graph", ""),
        (model(operator="Conjure"), ""),
        (model(external=WEIGHTS), "other files"),
        (model(external=f"../{WEIGHTS}"), "other files"),
        (model(external="/etc/hostname"), "other files"),
    ],
    ids=["cut off", "empty", "zeros", "text", "unknown operator", "beside it", "outside", "anywhere"],
)
async def test_files_that_are_no_model_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    own = tmp_path / "store"
    own.mkdir()
    for folder in (own, tmp_path):
        (folder / WEIGHTS).write_bytes(b"\x00" * 16)
    error = await refusal(bundle(own, content))
    assert error.reason == "MODEL_INVALID"
    assert said in error.message
    assert str(tmp_path) not in error.message
    with pytest.raises(FailedPrecondition) as caught:
        inspect(own / "model.onnx")
    assert caught.value.reason == "MODEL_INVALID"


async def test_absurdly_large_file_is_not_read(tmp_path: Path) -> None:
    client = bundle(tmp_path, model())
    with (tmp_path / "model.onnx").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    assert (await refusal(client)).reason == "MODEL_INVALID"


async def test_altered_and_absent_files_are_told_apart(tmp_path: Path) -> None:
    client = bundle(tmp_path, model())
    (tmp_path / "model.onnx").write_bytes(model() + b"\x00")
    assert (await refusal(client)).reason == "MODEL_DIGEST_MISMATCH"
    (tmp_path / "model.onnx").unlink()
    assert (await refusal(OnnxClient(ModelStore([tmp_path])))).reason == "MODEL_MISSING"
    with pytest.raises(FailedPrecondition) as caught:
        inspect(tmp_path / "model.onnx")
    assert caught.value.reason == "MODEL_MISSING"


def test_inspect_tells_tensors_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(model(dtype=TensorProto.FLOAT))
    info = inspect(path)
    assert [(spec.name, spec.dtype, spec.shape) for spec in info.inputs] == [
        ("x", "float32", (None, 4)),
        ("h", "int64", (1, 2)),
    ]
    assert [spec.name for spec in info.outputs] == ["y", "h2"]
    assert info.metadata == {"model_type": "toy", "note": "ü"}


def test_notes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(model().replace("ü".encode(), b"\xff\xfe"))
    with pytest.raises(FailedPrecondition) as caught:
        inspect(path)
    assert caught.value.reason == "MODEL_INVALID"


def test_what_is_no_tensor_is_told_in_onnx_own_words(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_sequence_value_info("s", TensorProto.INT64, None)]
    outputs = [helper.make_tensor_value_info("n", TensorProto.INT64, [])]
    graph = helper.make_graph([helper.make_node("SequenceLength", ["s"], ["n"])], "g", inputs, outputs)
    path = tmp_path / "any.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    info = inspect(path)
    assert info.inputs[0].dtype == "seq(tensor(int64))"
    assert info.outputs[0].shape == ()


def test_the_library_reports_to_nobody(tmp_path: Path) -> None:
    """Where it reports, it leaves an identity and a queue of reports in the user's home."""
    quiet = {"CI", "ORT_DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet} | {"HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", "import services.runtime.onnx"], env=environment, cwd=ROOT, check=True, timeout=60
    )
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
