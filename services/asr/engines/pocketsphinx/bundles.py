"""Where a pocketsphinx model's files are; read by the worker and by `engine.py`.

A bundle is a `model.yaml` as everywhere (`services/runtime/model_store.py`), without tensors, with these parameters:

    acoustic_model, language_model, dictionary: paths beside model.yaml; `wheel:…` for files of the pocketsphinx wheel
    decoder: further settings of pocketsphinx
    session_decoder: what differs with a large language model of a session's phrases, see `worker.py`
    feature_mean: where an utterance's cepstral mean starts, see `decoder.py`
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition

_WHEEL = "wheel:"


@dataclass(frozen=True)
class PocketsphinxBundle:
    """One model, its files found and its digest compared."""

    definition: ModelDefinition
    acoustic_model: Path
    language_model: Path
    dictionary: Path
    decoder: Mapping[str, bool | int | float | str]
    feature_mean: tuple[float, ...]
    session_decoder: Mapping[str, bool | int | float | str] = field(default_factory=dict)

    @classmethod
    def open(cls, definition: ModelDefinition) -> PocketsphinxBundle:
        """Raises FailedPrecondition `MODEL_MISSING`, `MODEL_DIGEST_MISMATCH` or `MODEL_DEFINITION_INVALID`."""
        given = definition.parameters
        try:
            paths = [_path(definition, given[key]) for key in ("acoustic_model", "language_model", "dictionary")]
            mean = tuple(float(value) for value in given["feature_mean"])
        except (KeyError, TypeError, ValueError) as error:
            raise FailedPrecondition(
                f"the definition of {definition.id} lacks a parameter of pocketsphinx: {error}",
                reason="MODEL_DEFINITION_INVALID",
            ) from None
        for path in paths:
            if not path.exists():
                raise FailedPrecondition(f"a file of {definition.id} is missing: {path.name}", reason="MODEL_MISSING")
        with paths[1].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != definition.sha256:
                raise FailedPrecondition(
                    f"{paths[1].name} of {definition.id} is not the file its definition was signed off with",
                    reason="MODEL_DIGEST_MISMATCH",
                )
        decoder, session_decoder = (dict(given.get(key, {})) for key in ("decoder", "session_decoder"))
        return cls(definition, paths[0], paths[1], paths[2], decoder, mean, session_decoder)

    @property
    def size_bytes(self) -> int:
        acoustic = sum(file.stat().st_size for file in self.acoustic_model.iterdir())
        return acoustic + self.language_model.stat().st_size + self.dictionary.stat().st_size


def _path(definition: ModelDefinition, value: str) -> Path:
    return wheel_path(value) if value.startswith(_WHEEL) else definition.path.parent / value


def wheel_path(value: str) -> Path:
    """Where `wheel:…` lies. Raises FailedPrecondition `ENGINE_MISSING`."""
    spec = importlib.util.find_spec("pocketsphinx")
    if spec is None or spec.origin is None:
        raise FailedPrecondition(
            "the engine pocketsphinx is not installed: pip install antiphon[asr]", reason="ENGINE_MISSING"
        )
    return Path(spec.origin).parent / "model" / value.removeprefix(_WHEEL)
