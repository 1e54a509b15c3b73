"""What the bundle of a neural recogniser declares in its `model.yaml`, read with care; used by every kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.asr.engines.features import FRAMES_PER_SECOND, FeatureSettings
from services.asr.engines.neural.search import StreamShape
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition

_MAX_WINDOW = 4_096  # frames, 41 s: no model that streams takes more


class Parameters:
    """Reads what a bundle declares. Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming file and key."""

    def __init__(self, definition: ModelDefinition) -> None:
        self._definition = definition
        self._given: Mapping[str, Any] = definition.parameters

    def text(self, key: str) -> str:
        value = self._given.get(key)
        if not isinstance(value, str):
            raise invalid(self._definition, f"parameters.{key}", "must be a text")
        return value

    def number(self, key: str, default: int | None, *, least: int, most: int) -> int:
        value = self._given.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(self._definition, f"parameters.{key}", f"must be a whole number from {least} to {most}")
        return value

    def between(self, key: str, default: float, *, least: float, most: float) -> float:
        value = self._given.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(self._definition, f"parameters.{key}", f"must be a number from {least:g} to {most:g}")
        return float(value)

    def flag(self, key: str) -> bool:
        """False if not given."""
        value = self._given.get(key, False)
        if not isinstance(value, bool):
            raise invalid(self._definition, f"parameters.{key}", "must be true or false")
        return value

    def features(self) -> FeatureSettings:
        try:
            settings = FeatureSettings.parse(self._given.get("features", {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise invalid(self._definition, "parameters.features", f"cannot be read: {error}") from None
        if settings.rate_hz != 16_000:
            raise invalid(self._definition, "parameters.features.rate_hz", "must be 16000")
        return settings

    def shape(self, *, looks_ahead: bool) -> tuple[StreamShape, int]:
        """The shape, and frames of features per frame of output; windows overlap where a model looks ahead."""
        subsampling = self.number("subsampling", None, least=1, most=64)
        window = self.number("chunk_frames", None, least=1, most=_MAX_WINDOW)
        key = "chunk_shift" if looks_ahead else "chunk_frames"
        shift = self.number(key, None, least=1, most=window)
        if shift % subsampling:
            raise invalid(self._definition, f"parameters.{key}", "must be a multiple of subsampling")
        shape = StreamShape(
            self.features(),
            window,
            shift,
            frame_seconds=subsampling / FRAMES_PER_SECOND,
            delay_seconds=self.number("delay_ms", 0, least=0, most=2_000) / 1000,
            tail=self.number("tail_ms", 0, least=0, most=2_000) * FRAMES_PER_SECOND // 1000,
        )
        return shape, subsampling


def invalid(definition: ModelDefinition, key: str, what: str) -> FailedPrecondition:
    """The definition of a model is wrong at a key of its `model.yaml`."""
    return FailedPrecondition(
        f"{definition.path.parent / 'model.yaml'}: {key} {what}", reason="MODEL_DEFINITION_INVALID"
    )
