"""Triton's messages and stub. The only import of tritonclient; `triton*.py` beside it use it.

The generated messages stand here as they are. The package's own clients are left alone: the asynchronous one drops
parts of a request on streams, and gRPC is used the same way everywhere in the runtime.
Protocol: https://github.com/kserve/open-inference-protocol and Triton's extensions to it
(https://github.com/triton-inference-server/server/tree/main/docs/protocol).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from services.runtime.errors import Internal, InvalidInput
from services.runtime.inference import ModelDefinition, Tensor, TensorSpec

Message = Any  # the generated messages carry no types

MAX_MESSAGE_BYTES = 64 << 20
"""Of one call, either way. Half an hour of features is below; what is above is no part of a conversation."""

_TYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "int8": "INT8",
    "uint8": "UINT8",
    "bool": "BOOL",
}


def stub(channel: grpc.aio.Channel) -> Any:
    """`GRPCInferenceService`: each attribute is a method of the protocol."""
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def message(kind: str, **fields: Any) -> Message:
    """A message of Triton's protocol by its name, such as ModelReadyRequest."""
    return getattr(service_pb2, kind)(**fields)


def infer_request(definition: ModelDefinition, inputs: Mapping[str, Tensor], model_name: str) -> Message:
    """A request with the tensors inside. Asks for the declared outputs only, so that no state is carried back."""
    check_size(definition, inputs)
    request = service_pb2.ModelInferRequest(model_name=model_name)
    for name, value in inputs.items():
        add_input(request, name, value)
        request.raw_input_contents.append(value.tobytes())
    for spec in definition.outputs:
        request.outputs.add(name=spec.name)
    return request


def add_input(request: Message, name: str, value: Tensor) -> Message:
    """Declares an input whose content comes by another way; returns its message."""
    return request.inputs.add(name=name, datatype=_TYPES[value.dtype.name], shape=value.shape)


def mark_sequence(request: Message, correlation: int, *, start: bool, end: bool) -> None:
    request.parameters["sequence_id"].int64_param = correlation
    request.parameters["sequence_start"].bool_param = start
    request.parameters["sequence_end"].bool_param = end


def check_size(definition: ModelDefinition, inputs: Mapping[str, Tensor]) -> None:
    """Raises InvalidInput `TENSOR_TOO_LARGE`."""
    size = sum(value.nbytes for value in inputs.values())
    if size > MAX_MESSAGE_BYTES - (64 << 10):  # room for names and shapes
        raise InvalidInput(
            f"A call of model {definition.id} may carry {MAX_MESSAGE_BYTES >> 20} MiB, not {size >> 20} MiB.",
            reason="TENSOR_TOO_LARGE",
        )


def outputs_of(definition: ModelDefinition, response: Message) -> dict[str, Tensor]:
    """The declared outputs, checked against the definition. Raises Internal `MODEL_FAILED` when one does not fit."""
    if len(response.outputs) != len(response.raw_output_contents):
        raise _unfit(definition, "the outputs", "another number of tensors than of contents")
    found = dict(zip((output.name for output in response.outputs), range(len(response.outputs)), strict=True))
    values: dict[str, Tensor] = {}
    for spec in definition.outputs:
        if spec.name not in found:
            raise _unfit(definition, spec.name, "nothing")
        at = found[spec.name]
        values[spec.name] = _tensor(definition, spec, response.outputs[at], response.raw_output_contents[at])
    return values


def _tensor(definition: ModelDefinition, spec: TensorSpec, output: Message, content: bytes) -> Tensor:
    shape, dtype = tuple(output.shape), np.dtype(spec.dtype)
    if output.datatype != _TYPES[spec.dtype] or math.prod(shape) * dtype.itemsize != len(content):
        raise _unfit(definition, spec.name, f"{output.datatype}{list(shape)} in {len(content)} bytes")
    value = np.frombuffer(content, dtype).reshape(shape).copy()  # a caller may write into it, as in the other home
    try:
        spec.check(value, definition.id)
    except InvalidInput as error:
        raise _unfit(definition, spec.name, f"{output.datatype}{list(shape)}, {error.reason}") from None
    return value


def _unfit(definition: ModelDefinition, name: str, had: str) -> Internal:
    return Internal(
        f"Model {definition.id} answered with {had} for {name}, not as its definition declares.", reason="MODEL_FAILED"
    )


def triton_type(dtype: str) -> str:
    """Triton's name of a dtype of numpy, as in a model's metadata."""
    return _TYPES[dtype]
