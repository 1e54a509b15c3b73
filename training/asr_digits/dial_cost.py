"""Multiply-accumulates of the encoder with the compute dial, counted from its dimensions.

`dial_graph.py` lets the graph tell what it spent with these numbers, and training prices the gates with them. Counted
is the encoder alone: predictor and joiner cost the same at every budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.asr_digits.dial_settings import SUBSAMPLING, DialSettings


@dataclass(frozen=True)
class Costs:
    """Per encoder frame.

    Attributes:
        full: multiply-accumulates with every gate open.
        fixed: share of `full` that no gate saves: convolutions in front, projections at both ends, the arbitrators.
        attention: share of one block's attention (projections, scores and mixing over the whole context).
        feed_forward: share of one block's feed-forward layer.
    """

    full: int
    fixed: float
    attention: float
    feed_forward: float


def costs(settings: DialSettings) -> Costs:
    width, narrow = settings.width, settings.head_width
    scores = 2 * width * (settings.context + 1)
    attention = width * (width + 2 * narrow) + width * width + scores
    feed_forward = 2 * settings.widening * width * width
    fixed = _front(settings) + 2 * settings.blocks * width + width * settings.encoded
    full = fixed + settings.blocks * (attention + feed_forward)
    return Costs(full, fixed / full, attention / full, feed_forward / full)


def _front(settings: DialSettings) -> int:
    """Two convolutions (5x3 and 3x3, halving time and bands) and the projection of what they leave."""
    first, second = settings.channels
    bands = settings.mel_bins // 2, settings.mel_bins // SUBSAMPLING
    first_cost = 2 * bands[0] * first * 5 * 3  # two of its frames per encoder frame
    second_cost = bands[1] * second * first * 3 * 3
    return first_cost + second_cost + bands[1] * second * settings.width
