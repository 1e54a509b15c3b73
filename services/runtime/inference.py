"""Models as the domain sees them: a definition of what one takes and gives, and a client that runs it.

A capability's engine calls `ModelClient.infer` and never learns where the model lives: `onnx.py` runs it in this
process, `triton` on a Triton server. Both check a call against the same `ModelDefinition` first, so a wrong tensor
is the same error in both homes and never reaches a native library. `model_store.py` reads definitions from bundles.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.runtime.errors import FailedPrecondition, InvalidInput

Tensor = npt.NDArray[Any]

MAX_SEQUENCE_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model. `shape` holds None where any length of at least 1 is taken."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def check(self, value: Tensor, model: str) -> None:
        """Raises InvalidInput when dtype or shape differ, or when a number is infinite or none at all."""
        fits = len(value.shape) == len(self.shape) and all(
            have == want if want is not None else have > 0 for have, want in zip(value.shape, self.shape, strict=True)
        )
        if value.dtype != np.dtype(self.dtype) or not fits:
            wanted = ["any" if size is None else size for size in self.shape]
            raise InvalidInput(
                f"Model {model} takes {self.name} as {self.dtype}{wanted}, not {value.dtype}{list(value.shape)}.",
                reason="TENSOR_MISMATCH",
                field=self.name,
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InvalidInput(
                f"{self.name} of model {model} holds NaN or infinity.", reason="TENSOR_NOT_FINITE", field=self.name
            )


@dataclass(frozen=True, slots=True)
class StateSpec:
    """A tensor that a stateful model hands from one call of a sequence to the next; it starts as zeros.

    `shape` is that of one sequence, so 1 along `batch_axis`, the axis along which sequences are laid side by side.
    """

    input: str
    output: str
    dtype: str
    shape: tuple[int, ...]
    batch_axis: int = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """Calls may be merged along the first axis of every input and output, and along each state's `batch_axis`.

    Attributes:
        max_size: rows of a merged call.
        delay_ms: longest that a call waits for others while there would be room to run it.
    """

    max_size: int
    delay_ms: float


@dataclass(frozen=True, slots=True)
class Streaming:
    """A long input may be given whole and is run in pieces of `size` along `axis` of every input; see `stream`."""

    axis: int
    size: int


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """Marks a call as part of a sequence of calls that share state.

    `id`, from 1 to 2**63 - 1, is unique within the client; `start` forgets what was there, `end` drops the state after
    the call. Calls of one sequence come one after the other; a sequence that ends early is simply left, it is dropped
    when idle.
    """

    id: int
    start: bool = False
    end: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidInput `SEQUENCE_INVALID`."""
        if not 1 <= self.id <= MAX_SEQUENCE_ID:
            raise InvalidInput("The id of a sequence is from 1 to 2**63 - 1.", reason="SEQUENCE_INVALID")


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """What a bundle declares: enough to check a call, to describe the model, and to build a Triton configuration.

    Attributes:
        path: of the model's file.
        sha256: of that file, hex.
        batching: None runs each call alone.
        streaming: None if a long input cannot be cut.
        tolerance: what the outputs of the two homes may differ, absolute and relative.
        parameters: whatever the engine reads.
    """

    publisher: str
    name: str
    version: str
    path: Path
    sha256: str
    licence: str
    locales: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    batching: Batching | None = None
    streaming: Streaming | None = None
    tolerance: float = 1e-5
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`publisher/name@version`."""
        return f"{self.publisher}/{self.name}@{self.version}"

    @property
    def triton_name(self) -> str:
        """Each version is a Triton model of its own: a reload of one never ends the sequences of another."""
        return f"{self.publisher}.{self.name}@{self.version}"

    @property
    def card(self) -> Path:
        """The model card: what it was made of, how good it is, where it fails. A part's lies with the whole."""
        own, whole = self.path.parent / "CARD.md", self.path.parent.parent / "CARD.md"
        return whole if whole.is_file() and not own.is_file() else own

    def check(self, inputs: Mapping[str, Tensor]) -> None:
        """Raises InvalidInput unless exactly the declared inputs are there, each with its dtype and shape."""
        names = {spec.name for spec in self.inputs}
        if wrong := names ^ inputs.keys():
            raise InvalidInput(
                f"Model {self.id} takes exactly {sorted(names)}; missing or unknown: {sorted(wrong)}.",
                reason="TENSOR_MISMATCH",
                field=min(wrong),
            )
        for spec in self.inputs:
            spec.check(inputs[spec.name], self.id)

    def verified_bytes(self) -> bytes:
        """The model file, after its digest was compared.

        Raises:
            FailedPrecondition: `MODEL_MISSING` or `MODEL_DIGEST_MISMATCH`.
        """
        try:
            content = self.path.read_bytes()
        except OSError:
            raise FailedPrecondition(
                f"The bundle of model {self.id} has no {self.path.name}.", reason="MODEL_MISSING"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise FailedPrecondition(
                f"{self.path.name} of model {self.id} is not the file its definition was signed off with.",
                reason="MODEL_DIGEST_MISMATCH",
            )
        return content


class ModelClient(Protocol):
    """Runs models. Implemented by `onnx.OnnxClient` (embedded), `triton.TritonClient`, and `resilient.py` over both."""

    def definition(self, model: str) -> ModelDefinition:
        """The definition of `publisher/name@version` (or `publisher/name`: the newest).

        Raises FailedPrecondition `MODEL_MISSING`.
        """
        ...

    async def load(self, model: str) -> ModelDefinition:
        """Makes a model ready, so that its first call is as fast as the others."""
        ...

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        """Runs one call and returns the declared outputs by name.

        Args:
            model: `publisher/name@version` or `publisher/name`.
            inputs: exactly the declared inputs; states are not among them.
            sequence: the sequence this call belongs to; needed by models with states, ignored by others.
            deadline: seconds that the caller is still willing to wait; None waits.

        Raises:
            InvalidInput: a tensor does not fit the definition.
            FailedPrecondition: no such model, or its file is not the one declared.
            DeadlineExceeded, Overloaded: not run, or stopped, in time.
            Unavailable: the server that runs it is gone; `SEQUENCE_LOST` when the state went with it.
        """
        ...

    def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Mapping[str, Tensor]]:
        """Runs a long input from its beginning and yields the outputs of each piece as they come.

        Needs a model that declares `streaming`; the last piece may be shorter. Arguments and errors as of `infer`;
        InvalidInput `STREAMING_NOT_DECLARED` otherwise. Whoever stops iterating stops the run.
        """
        ...

    def backend(self, model: str) -> str:
        """Where the next call of this model would run: "embedded" or "triton"."""
        ...

    async def close(self) -> None: ...
