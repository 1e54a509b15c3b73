"""Greedy search over a whole batch; called by `evaluate` and by the compute dial's measurement."""

from __future__ import annotations

import torch
from torch import Tensor

from training.asr_digits.networks import HIDDEN, Transducer

_AT_ONCE = 2  # labels in one frame of 40 ms at most; nobody says two digits in it


@torch.inference_mode()
def greedy(model: Transducer, encoded: Tensor, frames: Tensor) -> list[list[tuple[int, int]]]:
    """The labels of each utterance with the encoded frame in which each came out.

    Args:
        model: its predictor and joiner are used.
        encoded: [B, T, 128].
        frames: int64 [B], how many of T count.
    """
    batch = encoded.shape[0]
    heard: list[list[tuple[int, int]]] = [[] for _ in range(batch)]
    zero = encoded.new_zeros(batch, HIDDEN)
    predicted, hidden, cell = model.predictor(torch.zeros(batch, 1, dtype=torch.int64), zero, zero)
    for t in range(encoded.shape[1]):
        for _ in range(_AT_ONCE):
            best = model.joiner(encoded[:, t], predicted[:, 0]).argmax(-1)
            rows = torch.nonzero((best > 0) & (frames > t)).flatten()
            if not len(rows):
                break
            step, step_hidden, step_cell = model.predictor(best[rows, None], hidden[rows], cell[rows])
            predicted, hidden, cell = predicted.clone(), hidden.clone(), cell.clone()
            predicted[rows], hidden[rows], cell[rows] = step, step_hidden, step_cell
            for row in rows.tolist():
                heard[row].append((int(best[row]), t))
    return heard
