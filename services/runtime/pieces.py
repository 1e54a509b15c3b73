"""A long input, cut as its definition's `streaming` says. Used by every home of models that runs `stream`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.runtime.errors import InvalidInput
from services.runtime.inference import ModelDefinition, Tensor


def pieces_of(definition: ModelDefinition, inputs: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Views of `size` along `axis` of every input, in order; the last may be shorter.

    Raises:
        InvalidInput: `STREAMING_NOT_DECLARED`; `TENSOR_MISMATCH` if an input does not fit the definition or the inputs
            are of different length.
    """
    definition.check(inputs)
    if definition.streaming is None:
        raise InvalidInput(
            f"Model {definition.id} declares no streaming: its input cannot be cut.", reason="STREAMING_NOT_DECLARED"
        )
    axis, size = definition.streaming.axis, definition.streaming.size
    lengths = {name: value.shape[axis] if value.ndim > axis else 0 for name, value in inputs.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise InvalidInput(
            f"The inputs of model {definition.id} must be of one length along axis {axis}.",
            reason="TENSOR_MISMATCH",
            field=min(lengths),
        )
    whole = (slice(None),) * axis
    cuts = (slice(at, at + size) for at in range(0, next(iter(lengths.values())), size))
    return ({name: value[(*whole, cut)] for name, value in inputs.items()} for cut in cuts)
