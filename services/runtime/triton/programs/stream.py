"""The program of the decoupled models `<model>.stream`: a whole input in, the outputs of each piece back as they come.

`triton_repository.py` copies this file to `<model>.stream/1/model.py`. It runs no graph: it calls the model itself, in
whichever form that runs, as one more sequence, so a stream is merged with everybody else's calls and has a GPU where
there is one. Imports as `model.py`. Messages begin with a code that the client reads.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

Tensor = npt.NDArray[Any]

_START, _END = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START, pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END
MAX_STREAMS = 256
_LAST = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status


class TritonPythonModel:
    """What the python backend makes once; its coroutines of several requests take turns in one event loop."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Reads what to call and how to cut."""
        folder = Path(args["model_repository"]) / args["model_version"]
        definition = json.loads((folder / "definition.json").read_text(encoding="utf-8"))
        self._model: str = definition["model"]
        self._inputs: list[str] = [spec["name"] for spec in definition["inputs"]]
        self._outputs: list[str] = [spec["name"] for spec in definition["outputs"]]
        self._axis: int = definition["streaming"]["axis"]
        self._size: int = definition["streaming"]["size"]
        self._stateful = bool(definition["states"])
        self._open = 0

    async def execute(self, requests: Sequence[Any]) -> None:
        """Runs the requests of one batch; each answers through its own sender, and its last response is marked."""
        for request in requests:
            sender = request.get_response_sender()
            self._open += 1
            try:
                if self._open > MAX_STREAMS:
                    raise Refused("SEQUENCES_FULL", f"{MAX_STREAMS} streams are open", pb_utils.TritonError.UNAVAILABLE)
                await self._run(request, sender)
            except Refused as error:
                sender.send(_failed(str(error), error.status), _LAST)
            # Whatever else: a caller that is never told of the end would wait for it.
            except Exception as error:  # noqa: BLE001
                sender.send(_failed(f"MODEL_FAILED: {type(error).__name__}", pb_utils.TritonError.INTERNAL), _LAST)
            finally:
                self._open -= 1

    async def _run(self, request: Any, sender: Any) -> None:
        sequence = secrets.randbits(62) + 1  # apart from those of clients, which take theirs at random too
        flags = _START
        for piece, last in self._pieces(request):
            if sender.is_cancelled():
                if not flags:
                    await self._leave(sequence, piece)
                break
            answer = await self._call(sequence, piece, flags | (_END if last else 0))
            if answer.has_error():
                sender.send(pb_utils.InferenceResponse([], answer.error()), _LAST)  # the model's own, code and all
                await self._leave(sequence, piece)
                return
            outputs = [pb_utils.get_output_tensor_by_name(answer, name) for name in self._outputs]
            sender.send(pb_utils.InferenceResponse(outputs))
            flags = 0
        sender.send(flags=_LAST)

    def _pieces(self, request: Any) -> Iterator[tuple[dict[str, Tensor], bool]]:
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in self._inputs}
        if missing := [name for name, tensor in tensors.items() if tensor is None]:
            raise _mismatch(f"{missing[0]} is missing")
        values = {name: tensor.as_numpy() for name, tensor in tensors.items()}
        lengths = {value.shape[self._axis] if value.ndim > self._axis else 0 for value in values.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise _mismatch(f"the inputs must be of one length along axis {self._axis}")
        length = lengths.pop()
        whole = (slice(None),) * self._axis
        for at in range(0, length, self._size):
            cut = (*whole, slice(at, at + self._size))
            yield {name: value[cut] for name, value in values.items()}, at + self._size >= length

    async def _call(self, sequence: int, piece: Mapping[str, Tensor], flags: int) -> Any:
        step = {"correlation_id": sequence, "flags": flags} if self._stateful else {}
        return await pb_utils.InferenceRequest(
            model_name=self._model,
            requested_output_names=self._outputs,
            inputs=[pb_utils.Tensor(name, np.ascontiguousarray(value)) for name, value in piece.items()],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
            **step,
        ).async_exec()

    async def _leave(self, sequence: int, piece: Mapping[str, Tensor]) -> None:
        """Ends a sequence that goes no further, so that its place is free at once; what comes back is of no use."""
        if self._stateful:
            with suppress(Exception):  # the caller has had its last response
                await self._call(sequence, piece, _END)


def _mismatch(what: str) -> Refused:
    return Refused("TENSOR_MISMATCH", what, pb_utils.TritonError.INVALID_ARG)


def _failed(text: str, status: int) -> Any:
    return pb_utils.InferenceResponse([], pb_utils.TritonError(text, status))
