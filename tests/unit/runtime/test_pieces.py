"""Cutting a long input as a definition says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.runtime.errors import InvalidInput
from services.runtime.inference import ModelDefinition, Streaming, TensorSpec
from services.runtime.pieces import pieces_of

pytestmark = pytest.mark.unit

INPUTS = (TensorSpec("x", "float32", (None, None, 2)), TensorSpec("mask", "bool", (None, None)))


def toy(streaming: Streaming | None) -> ModelDefinition:
    return ModelDefinition("test", "toy", "1", Path(), "", "", (), INPUTS, (), (), None, streaming)


def inputs(length: int, masked: int | None = None) -> dict[str, np.ndarray]:
    frames = np.arange(length * 2, dtype=np.float32).reshape(1, length, 2)
    return {"x": frames, "mask": np.ones((1, length if masked is None else masked), np.bool_)}


@pytest.mark.parametrize(("length", "lengths"), [(1, [1]), (4, [4]), (5, [4, 1]), (12, [4, 4, 4])])
def test_pieces_make_up_the_whole_and_the_last_may_be_shorter(length: int, lengths: list[int]) -> None:
    pieces = list(pieces_of(toy(Streaming(1, 4)), inputs(length)))
    assert [piece["x"].shape[1] for piece in pieces] == lengths
    assert [piece["mask"].shape[1] for piece in pieces] == lengths
    np.testing.assert_array_equal(np.concatenate([piece["x"] for piece in pieces], axis=1), inputs(length)["x"])


@pytest.mark.parametrize(
    ("streaming", "given", "reason"),
    [
        (None, inputs(4), "STREAMING_NOT_DECLARED"),
        (Streaming(1, 4), inputs(4, masked=5), "TENSOR_MISMATCH"),
        (Streaming(2, 4), inputs(4), "TENSOR_MISMATCH"),
        (Streaming(1, 4), inputs(0), "TENSOR_MISMATCH"),
        (Streaming(1, 4), {"x": inputs(4)["x"]}, "TENSOR_MISMATCH"),
        (Streaming(1, 4), inputs(4) | {"x": np.full((1, 4, 2), np.nan, np.float32)}, "TENSOR_NOT_FINITE"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_runs(
    streaming: Streaming | None, given: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        pieces_of(toy(streaming), given)
    assert caught.value.reason == reason
