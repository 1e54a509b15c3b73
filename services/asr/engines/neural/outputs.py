"""Calls of a model in as many rows as it takes, and what comes of them, checked; used by every kind of model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.runtime.errors import Internal
from services.runtime.inference import ModelDefinition, Tensor

_UNLIMITED_ROWS = 1024


def rows(definition: ModelDefinition) -> int:
    """How many rows one call may have."""
    if definition.batching is not None:
        return definition.batching.max_size
    return 1 if any(spec.shape[:1] == (1,) for spec in definition.inputs) else _UNLIMITED_ROWS


def batches(count: int, size: int) -> list[slice]:
    return [slice(at, at + size) for at in range(0, count, size)]


def sound(model: str, value: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An output as it must be. Raises Internal `MODEL_FAILED` for another shape, or when it is not finite."""
    if value.shape != shape or value.dtype != np.float32:
        raise failed(model, f"an output is {value.dtype}{list(value.shape)}, not float32{list(shape)}")
    if not np.isfinite(value).all():
        raise failed(model, "an output is not finite")
    return value


def failed(model: str, what: str) -> Internal:
    return Internal(f"Model {model} failed: {what}.", reason="MODEL_FAILED")
