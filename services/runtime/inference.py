"""Models as the domain sees them: a definition, a store that holds bundles, and a client that runs them.

A capability's engine calls `ModelClient.infer` and never learns where the model lives: `onnx.py` runs it in this
process, `triton.py` on a Triton server. Both check a call against the same `ModelDefinition` first, so a wrong tensor
is the same error in both homes and never reaches a native library.

A bundle is a folder with `model.yaml`, the ONNX file it names, and `CARD.md`:

    publisher: antiphon
    name: intents-thin
    version: "1"
    file: model.onnx
    sha256: <of the file>
    licence: Apache-2.0
    locales: [en]
    inputs:  [{name: x, dtype: float32, shape: [-1, 16]}]     # -1: any length
    outputs: [{name: y, dtype: float32, shape: [-1, 4]}]
    states:  [{input: h, output: h_next, dtype: float32, shape: [1, 8]}]   # optional, carried along a sequence
    parameters: {...}                                         # whatever the engine reads: labels, thresholds
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import yaml

from services.runtime.errors import FailedPrecondition, InvalidInput

Tensor = npt.NDArray[Any]

MODELS_VARIABLE = "ANTIPHON_MODELS"
"""Environment variable: folders with further bundles, separated as in PATH. They come before the bundled ones."""

_DTYPES = frozenset({"float32", "float16", "int64", "int32", "int8", "uint8", "bool"})
_DEPTH = 3  # <store>/<publisher>/<name>/<version>/model.yaml is the deepest layout


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model. `shape` holds None where any length of at least 1 is taken."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def check(self, value: Tensor, model: str) -> None:
        """Raises InvalidInput when dtype or shape differ."""
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


@dataclass(frozen=True, slots=True)
class StateSpec:
    """A tensor that a stateful model hands from one call of a sequence to the next; it starts as zeros."""

    input: str
    output: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """Marks a call as part of a sequence of calls that share state.

    `id` is unique within the client; `start` forgets what was there, `end` drops the state after the call. Calls of one
    sequence come one after the other; a sequence that ends early is simply left, it is dropped when idle.
    """

    id: int
    start: bool = False
    end: bool = False


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """What a bundle declares: enough to check a call, to describe the model, and to build a Triton configuration."""

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
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`publisher/name@version`."""
        return f"{self.publisher}/{self.name}@{self.version}"

    @property
    def card(self) -> Path:
        """The model card: what it was made of, how good it is, where it fails."""
        return self.path.parent / "CARD.md"

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
    """Runs models. Implemented by `onnx.OnnxClient` (embedded) and `triton.TritonClient`."""

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
        """
        ...

    async def close(self) -> None: ...


class ModelStore:
    """Bundles found in folders. The first folder that holds a given `publisher/name@version` wins."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._models: dict[str, ModelDefinition] = {}
        for root in roots:
            for definition in map(read_definition, _definitions_below(root)):
                self._models.setdefault(definition.id, definition)

    @classmethod
    def with_bundled(cls, *bundled: Path, environ: Mapping[str, str] = os.environ) -> ModelStore:
        """The operator's folders (`ANTIPHON_MODELS`) first, then those that ship with a capability."""
        extra = [Path(entry) for entry in environ.get(MODELS_VARIABLE, "").split(os.pathsep) if entry]
        return cls([*extra, *bundled])

    def models(self) -> Sequence[ModelDefinition]:
        return tuple(self._models.values())

    def get(self, model: str) -> ModelDefinition:
        """`publisher/name@version`, or `publisher/name` for the highest version. Raises FailedPrecondition."""
        if found := self._models.get(model):
            return found
        versions = [one for one in self._models.values() if f"{one.publisher}/{one.name}" == model]
        if not versions:
            raise FailedPrecondition(
                f"No model {model} in the store; there are {sorted(self._models)}. "
                f"{MODELS_VARIABLE} names further folders.",
                reason="MODEL_MISSING",
                metadata={"model": model},
            )
        return max(versions, key=lambda one: [(part.isdigit(), part.zfill(9)) for part in one.version.split(".")])


def read_definition(path: Path) -> ModelDefinition:
    """Reads one `model.yaml`. Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming the file and the key."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ModelDefinition(
            publisher=str(raw["publisher"]),
            name=str(raw["name"]),
            version=str(raw["version"]),
            path=path.parent / str(raw.get("file", "model.onnx")),
            sha256=str(raw["sha256"]).lower(),
            licence=str(raw["licence"]),
            locales=tuple(str(tag) for tag in raw["locales"]),
            inputs=tuple(_tensor(item) for item in raw["inputs"]),
            outputs=tuple(_tensor(item) for item in raw["outputs"]),
            states=tuple(_state(item) for item in raw.get("states", ())),
            parameters=dict(raw.get("parameters", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise FailedPrecondition(
            f"{path} is no model definition: {type(error).__name__} at {str(error).splitlines()[0][:80]}.",
            reason="MODEL_DEFINITION_INVALID",
        ) from error


def _definitions_below(root: Path) -> list[Path]:
    found = [path for depth in range(_DEPTH + 1) for path in root.glob("*/" * depth + "model.yaml")]
    return sorted(found)


def _dtype(raw: Mapping[str, Any]) -> str:
    if raw["dtype"] not in _DTYPES:
        raise ValueError(f"dtype {raw['dtype']!r}, known are {sorted(_DTYPES)}")
    return str(raw["dtype"])


def _tensor(raw: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(None if size == -1 else int(size) for size in raw["shape"])
    return TensorSpec(name=str(raw["name"]), dtype=_dtype(raw), shape=shape)


def _state(raw: Mapping[str, Any]) -> StateSpec:
    return StateSpec(
        input=str(raw["input"]),
        output=str(raw["output"]),
        dtype=_dtype(raw),
        shape=tuple(int(size) for size in raw["shape"]),
    )
