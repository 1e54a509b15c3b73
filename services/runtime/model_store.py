"""Model bundles on disk: reads `model.yaml`, finds bundles in folders.

Every capability's `app.py` makes a `ModelStore` of its own bundles and the operator's (`ANTIPHON_MODELS`).

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
    batching: {max_size: 32, delay_ms: 2}                     # optional: calls may be merged along the first axis
    streaming: {axis: 1, size: 16}                            # optional: a long input may be run in pieces
    tolerance: 1.0e-5                                         # optional: what the two homes may differ
    parameters: {...}                                         # whatever the engine reads: labels, thresholds

    # A state's shape is that of one sequence; `batch_axis: 1` says where others are laid beside it, 0 if not given.
    # It is looked at only where `batching` is declared.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import Batching, ModelDefinition, StateSpec, Streaming, TensorSpec

logger = logging.getLogger(__name__)

DEFINITION = "model.yaml"
MODELS_VARIABLE = "ANTIPHON_MODELS"
"""Environment variable: folders with further bundles, separated as in PATH. They come before the bundled ones."""


def model_folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where the operator's bundles lie: `ANTIPHON_MODELS`, or the user's data folder (XDG Base Directory 0.8)."""
    if named := [Path(entry) for entry in environ.get(MODELS_VARIABLE, "").split(os.pathsep) if entry]:
        return named
    data = environ.get("XDG_DATA_HOME", "")
    home = Path(data) if data.startswith("/") else Path(environ.get("HOME", "/nonexistent"), ".local", "share")
    return [home / "antiphon" / "models"]


_DTYPES = frozenset({"float32", "float16", "int64", "int32", "int8", "uint8", "bool"})
_ID_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DEPTH = 4  # <store>/<publisher>/<name>/<version>/<part>/model.yaml is the deepest layout
_MAX_BATCH = 1024
_MAX_DELAY_MS = 1000.0
_WRONG = (OSError, LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, yaml.YAMLError)
_TOLD = 3  # broken bundles in one message


class ModelStore:
    """Bundles found in folders. The first folder that holds a given `publisher/name@version` wins.

    One that stands twice in a folder is used as it stands first, and counts as broken the second time.
    A bundle whose definition is none hides no other; whoever asks for a model that is not there hears of it.

    Attributes:
        broken: why definitions are not used.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._models: dict[str, ModelDefinition] = {}
        self.broken: list[FailedPrecondition] = []
        for root in roots:
            own: dict[str, ModelDefinition] = {}
            for path in definitions_below(root):
                try:
                    definition = read_definition(path)
                    _refuse_twin(path, own.setdefault(definition.id, definition), definition)
                except FailedPrecondition as error:
                    self.broken.append(error)
            self._models |= {name: found for name, found in own.items() if name not in self._models}

    @classmethod
    def with_bundled(cls, *bundled: Path, environ: Mapping[str, str] = os.environ) -> ModelStore:
        """The operator's folders first, then those that ship with a capability. What is broken is told in the log."""
        store = cls([*model_folders(environ), *bundled])
        for error in store.broken:
            logger.error("%s", error.message)
        return store

    def models(self) -> Sequence[ModelDefinition]:
        return tuple(self._models.values())

    def get(self, model: str) -> ModelDefinition:
        """`publisher/name@version`, or `publisher/name` for the highest version. Raises FailedPrecondition."""
        if found := self._models.get(model):
            return found
        versions = [one for one in self._models.values() if f"{one.publisher}/{one.name}" == model]
        if not versions:
            broken = "".join(f" {error.message}" for error in self.broken[:_TOLD])
            raise FailedPrecondition(
                f"No model {model} in the store; there are {sorted(self._models)}. "
                f"{MODELS_VARIABLE} names further folders.{broken}",
                reason="MODEL_MISSING",
                metadata={"model": model},
            )
        return max(versions, key=lambda one: [(part.isdigit(), part.zfill(9)) for part in one.version.split(".")])


def read_definition(path: Path) -> ModelDefinition:
    """Reads one `model.yaml`. Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming the file and the key."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ModelDefinition(
            publisher=_part_of_id(raw, "publisher"),
            name=_part_of_id(raw, "name"),
            version=_part_of_id(raw, "version"),
            path=path.parent / _file(raw),
            sha256=_text(raw, "sha256").lower(),
            licence=_text(raw, "licence"),
            locales=_locales(raw),
            inputs=tuple(_tensor(item) for item in raw["inputs"]),
            outputs=tuple(_tensor(item) for item in raw["outputs"]),
            states=tuple(_state(item, merged=raw.get("batching") is not None) for item in raw.get("states", ())),
            batching=_batching(raw.get("batching")),
            streaming=_streaming(raw.get("streaming")),
            tolerance=_tolerance(raw),
            parameters=dict(raw.get("parameters", {})),
        )
    except _WRONG as error:
        why = "" if isinstance(error, OSError) else f" at {' '.join(str(error).split())[:160]}"
        raise FailedPrecondition(
            f"{path} is no model definition: {type(error).__name__}{why}.", reason="MODEL_DEFINITION_INVALID"
        ) from error


def _refuse_twin(path: Path, first: ModelDefinition, second: ModelDefinition) -> None:
    if first.path.parent.resolve() != path.parent.resolve():  # a link to a bundle is that bundle
        raise FailedPrecondition(
            f"{path} is {second.id} as {first.path.parent} is, which is used: remove one, or give it another version.",
            reason="MODEL_DEFINITION_INVALID",
        )


def definitions_below(root: Path) -> list[Path]:
    """Every `model.yaml` in a store, a whole before its parts; folders with a dot are somebody's unfinished work."""
    found = [path for depth in range(_DEPTH + 1) for path in root.glob("*/" * depth + DEFINITION)]
    seen = (path for path in found if not any(part[0] == "." for part in path.relative_to(root).parts))
    return sorted(seen, key=lambda path: path.parent)


def _part_of_id(raw: Mapping[str, Any], key: str) -> str:
    """They become names of folders: nothing that leads out of one is taken."""
    if not _ID_PART.fullmatch(text := _text(raw, key)):
        raise ValueError(f"{key}: letters, digits, '.', '_' and '-', beginning with a letter or digit")
    return text


def _text(raw: Mapping[str, Any], key: str) -> str:
    return _plain(raw[key], key)


def _plain(value: object, key: str) -> str:
    """Of a list or table no text is made: with YAML's aliases a small file holds one that would fill the memory."""
    if value is None or isinstance(value, list | tuple | dict | set):
        raise ValueError(f"{key}: a text")
    return str(value)


def _file(raw: Mapping[str, Any]) -> str:
    name = _plain(raw.get("file", "model.onnx"), "file")
    if Path(name).name != name or name == "..":
        raise ValueError(f"file: {name!r} does not lie beside the definition")
    return name


def _dtype(raw: Mapping[str, Any]) -> str:
    if (dtype := _text(raw, "dtype")) not in _DTYPES:
        raise ValueError(f"dtype {dtype!r}, known are {sorted(_DTYPES)}")
    return dtype


def _tensor(raw: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(None if size == -1 else int(size) for size in raw["shape"])
    if any(size is not None and size < 1 for size in shape):
        raise ValueError(f"{_text(raw, 'name')!r}: lengths are 1 or more, or -1 for any")
    return TensorSpec(name=_text(raw, "name"), dtype=_dtype(raw), shape=shape)


def _state(raw: Mapping[str, Any], *, merged: bool) -> StateSpec:
    """A graph that runs one sequence at a time may have states that have no axis for others."""
    shape = tuple(int(size) for size in raw["shape"])
    axis = int(raw.get("batch_axis", 0))
    if min(shape) < 1:
        raise ValueError(f"state {_text(raw, 'input')!r}: lengths are 1 or more")
    if merged and (not 0 <= axis < len(shape) or shape[axis] != 1):
        raise ValueError(f"state {_text(raw, 'input')!r}: shape is that of one sequence, 1 along batch_axis {axis}")
    return StateSpec(
        input=_text(raw, "input"),
        output=_text(raw, "output"),
        dtype=_dtype(raw),
        shape=shape,
        batch_axis=axis,
    )


def _locales(raw: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(raw["locales"], list):
        raise ValueError("locales: a list of language tags")
    return tuple(_plain(tag, "locales") for tag in raw["locales"])


def _tolerance(raw: Mapping[str, Any]) -> float:
    tolerance = float(raw.get("tolerance", 1e-5))
    if not 0 <= tolerance < math.inf:
        raise ValueError("tolerance: 0 or more")
    return tolerance


def _batching(raw: Mapping[str, Any] | None) -> Batching | None:
    if raw is None:
        return None
    batching = Batching(max_size=int(raw["max_size"]), delay_ms=float(raw["delay_ms"]))
    if not (1 <= batching.max_size <= _MAX_BATCH and 0 <= batching.delay_ms <= _MAX_DELAY_MS):
        raise ValueError(f"batching: max_size is 1 to {_MAX_BATCH}, delay_ms 0 to {_MAX_DELAY_MS:g}")
    return batching


def _streaming(raw: Mapping[str, Any] | None) -> Streaming | None:
    if raw is None:
        return None
    streaming = Streaming(axis=int(raw["axis"]), size=int(raw["size"]))
    if streaming.axis < 1 or streaming.size < 1:
        raise ValueError("streaming: axis is 1 or more, as axis 0 is the batch; size is 1 or more")
    return streaming
