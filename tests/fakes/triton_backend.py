"""What Triton's python backend gives to a program that it runs, without Triton: requests, tensors, responses.

`load_program` imports a program of `services/runtime/triton/programs` against it, as the backend would.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from services.runtime.inference import Tensor

PROGRAMS = Path(__file__).resolve().parents[2] / "services" / "runtime" / "triton" / "programs"
TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_MEMORY_CPU = 0


class BackendTensor:
    """`pb_utils.Tensor`."""

    def __init__(self, name: str, value: Tensor) -> None:
        self._name = name
        self._value = value

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Tensor:
        return self._value


class TritonError:
    """`pb_utils.TritonError`."""

    INTERNAL, INVALID_ARG, UNAVAILABLE, CANCELLED = 1, 2, 3, 4

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self.message = message
        self.code = code


@dataclass
class InferenceResponse:
    """`pb_utils.InferenceResponse`."""

    tensors: Sequence[BackendTensor]
    error: TritonError | None = None

    @property
    def outputs(self) -> dict[str, Tensor]:
        return {tensor.name(): tensor.as_numpy() for tensor in self.tensors}

    @property
    def code(self) -> str:
        """With what the message of an error begins; empty without one."""
        return self.error.message.partition(":")[0] if self.error else ""


@dataclass
class Request:
    """`pb_utils.InferenceRequest` as a program receives it."""

    inputs: Mapping[str, Tensor]
    sequence: int = 0
    start: bool = False
    end: bool = False
    cancelled: bool = False
    tensors: dict[str, BackendTensor] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = {name: BackendTensor(name, value) for name, value in self.inputs.items()}

    def correlation_id(self) -> int:
        return self.sequence

    def flags(self) -> int:
        return self.start * TRITONSERVER_REQUEST_FLAG_SEQUENCE_START + self.end * TRITONSERVER_REQUEST_FLAG_SEQUENCE_END

    def is_cancelled(self) -> bool:
        return self.cancelled


def get_input_tensor_by_name(request: Request, name: str) -> BackendTensor | None:
    """Function of the same name in `pb_utils`."""
    return request.tensors.get(name)


def load_program(name: str) -> Any:
    """The module `triton/programs/<name>.py`, imported anew with this backend in the place of Triton's."""
    backend = ModuleType("triton_python_backend_utils")
    vars(backend).update(
        {
            "Tensor": BackendTensor,
            "TritonError": TritonError,
            "InferenceResponse": InferenceResponse,
            "get_input_tensor_by_name": get_input_tensor_by_name,
            "TRITONSERVER_REQUEST_FLAG_SEQUENCE_START": TRITONSERVER_REQUEST_FLAG_SEQUENCE_START,
            "TRITONSERVER_REQUEST_FLAG_SEQUENCE_END": TRITONSERVER_REQUEST_FLAG_SEQUENCE_END,
            "TRITONSERVER_RESPONSE_COMPLETE_FINAL": TRITONSERVER_RESPONSE_COMPLETE_FINAL,
            "TRITONSERVER_MEMORY_CPU": TRITONSERVER_MEMORY_CPU,
        }
    )
    spec = importlib.util.spec_from_file_location(f"triton_program_{name}", PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = {key: sys.modules.get(key) for key in (backend.__name__, module.__name__)}
    sys.modules.update({backend.__name__: backend, module.__name__: module})  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        for key, value in before.items():
            sys.modules.pop(key) if value is None else sys.modules.__setitem__(key, value)
    return module
