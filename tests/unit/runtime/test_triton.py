"""The client of Triton without a server: its messages, its addresses, the tiny inference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from services.runtime.errors import FailedPrecondition, Internal, InvalidInput
from services.runtime.inference import ModelDefinition, Streaming, TensorSpec
from services.runtime.model_store import ModelStore
from services.runtime.triton.client import TritonClient, _on_this_host
from services.runtime.triton.samples import sample_inputs
from services.runtime.triton.wire import infer_request, mark_sequence, message, outputs_of

pytestmark = pytest.mark.unit

DTYPES = ("float32", "float16", "int64", "int32", "int8", "uint8", "bool")
DEFINITION = ModelDefinition(
    publisher="test",
    name="all",
    version="1",
    path=Path("model.onnx"),
    sha256="0" * 64,
    licence="Apache-2.0",
    locales=("mul",),
    inputs=tuple(TensorSpec(dtype, dtype, (None, None, 2)) for dtype in DTYPES),
    outputs=(TensorSpec("y", "float32", (None, 2)),),
)


# --- messages ---------------------------------------------------------------------------------------------------------


def test_every_dtype_travels_as_it_is() -> None:
    values = {dtype: np.array([[[0, 1], [1, 0]]], dtype) for dtype in DTYPES}
    sent = infer_request(DEFINITION, values, "test.all@1")
    mark_sequence(sent, 2**63 - 1, start=True, end=False)
    read = message("ModelInferRequest")
    read.ParseFromString(sent.SerializeToString())  # with the protobuf that is installed, whatever made the stubs
    assert [tensor.datatype for tensor in read.inputs] == ["FP32", "FP16", "INT64", "INT32", "INT8", "UINT8", "BOOL"]
    for tensor, content, (name, value) in zip(read.inputs, read.raw_input_contents, values.items(), strict=True):
        assert (tensor.name, tuple(tensor.shape)) == (name, value.shape)
        np.testing.assert_array_equal(np.frombuffer(content, name).reshape(value.shape), value)
    assert [output.name for output in read.outputs] == ["y"]
    assert read.parameters["sequence_id"].int64_param == 2**63 - 1


def test_a_tensor_that_is_a_view_is_sent_in_its_own_order() -> None:
    definition = replace(DEFINITION, inputs=(TensorSpec("x", "float32", (None, None)),))
    view = np.arange(6, dtype=np.float32).reshape(2, 3).T
    [content] = infer_request(definition, {"x": view}, "m").raw_input_contents
    np.testing.assert_array_equal(np.frombuffer(content, np.float32).reshape(3, 2), view)


def response(values: npt.NDArray[Any], datatype: str = "FP32", name: str = "y", content: bytes | None = None) -> Any:
    answer = message("ModelInferResponse")
    answer.outputs.add(name=name, datatype=datatype, shape=values.shape)
    answer.raw_output_contents.append(values.tobytes() if content is None else content)
    return answer


def test_outputs_come_by_name_whatever_else_the_server_sends() -> None:
    answer = response(np.ones((1, 1), np.float32), name="other")
    answer.outputs.add(name="y", datatype="FP32", shape=[1, 2])
    answer.raw_output_contents.append(np.array([[3, 4]], np.float32).tobytes())
    outputs = outputs_of(DEFINITION, answer)
    assert list(outputs) == ["y"]
    np.testing.assert_array_equal(outputs["y"], [[3, 4]])


@pytest.mark.parametrize(
    "answer",
    [
        message("ModelInferResponse"),
        response(np.ones((1, 2), np.float32), name="z"),
        response(np.ones((1, 2), np.float64), datatype="FP64"),
        response(np.ones((1, 2), np.float32), datatype="INT32"),
        response(np.ones((1, 3), np.float32)),
        response(np.ones((2,), np.float32)),
        response(np.ones((0, 2), np.float32)),
        response(np.ones((1, 2), np.float32), content=b"1234567"),
        response(np.array([[np.nan, 0]], np.float32)),
        response(np.array([[np.inf, 0]], np.float32)),
    ],
    ids=["none", "name", "float64", "said int32", "size", "rank", "empty", "bytes", "nan", "infinity"],
)
def test_answers_that_do_not_fit_are_the_models_failure(answer: Any) -> None:
    with pytest.raises(Internal) as caught:
        outputs_of(DEFINITION, answer)
    assert caught.value.reason == "MODEL_FAILED"


def test_an_answer_without_contents_is_the_models_failure() -> None:
    answer = response(np.ones((1, 2), np.float32))
    del answer.raw_output_contents[:]
    with pytest.raises(Internal):
        outputs_of(DEFINITION, answer)


def test_what_is_too_large_for_a_message_is_not_sent() -> None:
    definition = replace(DEFINITION, inputs=(TensorSpec("x", "uint8", (None,)),))
    with pytest.raises(InvalidInput) as caught:
        infer_request(definition, {"x": np.zeros(1 << 26, np.uint8)}, "m")
    assert caught.value.reason == "TENSOR_TOO_LARGE"


# --- the tiny inference -----------------------------------------------------------------------------------------------


def test_samples_are_the_smallest_inputs() -> None:
    samples = sample_inputs(DEFINITION)
    assert {name: (value.shape, value.dtype.name) for name, value in samples.items()} == {
        dtype: ((1, 1, 2), dtype) for dtype in DTYPES
    }
    DEFINITION.check(samples)


def test_samples_are_a_piece_long_where_the_model_takes_pieces() -> None:
    streamed = replace(DEFINITION, streaming=Streaming(axis=1, size=16))
    assert {value.shape for value in sample_inputs(streamed).values()} == {(1, 16, 2)}


def test_a_definition_may_say_which_samples_its_graph_takes() -> None:
    named = replace(DEFINITION, parameters={"sample_shapes": {"float32": [1, 4, 2]}})
    assert sample_inputs(named)["float32"].shape == (1, 4, 2)
    assert sample_inputs(named)["int64"].shape == (1, 1, 2)


@pytest.mark.parametrize(
    "shape", [[1, 4], [1, 4, 3], [1, 0, 2], [1, -1, 2], ["1", 4, 2], [True, 4, 2], "142", None, [1, 1 << 40, 2]]
)
def test_samples_that_cannot_be_are_the_definitions_fault(shape: Any) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        sample_inputs(replace(DEFINITION, parameters={"sample_shapes": {"float32": shape}}))
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["triton:8001", "grpc://triton:8001", "127.0.0.1:8001/", "[::1]:8001", "a.b-c.d:65535"])
def test_addresses_that_are_some(url: str) -> None:
    TritonClient(ModelStore([]), url)


@pytest.mark.parametrize(
    "url",
    ["", "triton", "triton:", ":8001", "http://triton:8000", "https://t:1", "triton:0", "triton:65536", "triton:80 01",
     "unix:/tmp/s", "triton:8001/v2", "user@triton:8001", "[::1:8001", "triton:-1"],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(FailedPrecondition, match="host:port") as caught:
        TritonClient(ModelStore([]), url)
    assert caught.value.reason == "SETTINGS_INVALID"


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:1", True), ("127.8.0.1:1", True), ("[::1]:1", True), ("localhost:1", True),
     ("triton:1", False), ("10.0.0.1:1", False), ("[fe80::1]:1", False)],
)  # fmt: skip
def test_shared_memory_is_for_servers_on_this_host(address: str, here: bool) -> None:
    assert _on_this_host(address) is here
