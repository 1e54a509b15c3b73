"""The smallest inputs that a model takes, made from its definition alone.

`client.py` sends them where only an inference tells the truth: when a model is loaded, when its health is asked for
(a server calls models ready whose process is dead), and to end a sequence whose caller has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition, Tensor, TensorSpec

_LARGEST = 1 << 20  # elements; more is no tiny inference but a mistake in a definition


def sample_inputs(definition: ModelDefinition) -> dict[str, Tensor]:
    """Zeros for every declared input: open dimensions are 1, or `streaming.size` along its axis.

    A graph that takes no such lengths names others: `parameters: {sample_shapes: {features: [1, 16, 40]}}`.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID`, the named shapes do not fit the definition.
    """
    named = definition.parameters.get("sample_shapes", {})
    shapes = {spec.name: _shape(definition, spec, named) for spec in definition.inputs}
    return {spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in definition.inputs}


def _shape(definition: ModelDefinition, spec: TensorSpec, named: Any) -> tuple[int, ...]:
    if isinstance(named, Mapping) and spec.name in named:
        return _checked(definition, spec, named[spec.name])
    streaming = definition.streaming
    along = {streaming.axis: streaming.size} if streaming is not None else {}
    return tuple(along.get(axis, 1) if size is None else size for axis, size in enumerate(spec.shape))


def _checked(definition: ModelDefinition, spec: TensorSpec, shape: Any) -> tuple[int, ...]:
    numbers = isinstance(shape, list | tuple) and all(type(size) is int and size > 0 for size in shape)
    fits = numbers and len(shape) == len(spec.shape)
    if not fits or any(want not in (None, have) for want, have in zip(spec.shape, shape, strict=True)):
        raise _invalid(definition, spec)
    if np.prod([float(size) for size in shape]) > _LARGEST:
        raise _invalid(definition, spec)
    return tuple(shape)


def _invalid(definition: ModelDefinition, spec: TensorSpec) -> FailedPrecondition:
    return FailedPrecondition(
        f"parameters.sample_shapes of model {definition.id} does not fit its input {spec.name}.",
        reason="MODEL_DEFINITION_INVALID",
    )
