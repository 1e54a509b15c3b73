"""The baseline of the compute dial: frames left out by a fixed pattern, and shorter windows; `dial.py` trains it."""

from __future__ import annotations

import torch
from torch import Tensor

from training.asr_digits.dial_cost import costs
from training.asr_digits.dial_settings import DialSettings

WINDOWS = (4, 8, 12, 16)
"""Encoder frames of left context of the sliding-window baseline; the dial has 24."""

_GOLDEN = 0.618034


def pattern(settings: DialSettings, budgets: Tensor, frames: int) -> Tensor:
    """Open layers [B, frames, blocks, 2] that spend the budgets [B, 1]: even in time, each layer at its own phase."""
    fixed = costs(settings).fixed
    share = ((budgets - fixed) / (1 - fixed)).clamp(0, 1)[:, :, None, None]
    phase = torch.arange(2 * settings.blocks).view(1, 1, settings.blocks, 2) * _GOLDEN % 1
    at = torch.arange(frames, dtype=torch.float32)[None, :, None, None]
    return (((at + 1) * share + phase).floor() > (at * share + phase).floor()).float()


def window_cost(settings: DialSettings, window: int) -> float:
    """Share of the full cost of all layers of all frames with a shorter window."""
    full = costs(settings).full
    saved = settings.blocks * 2 * settings.width * (settings.context - window)
    return 1 - saved / full
