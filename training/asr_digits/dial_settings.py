"""Dimensions of the encoder with the compute dial, shared by its network (torch), its graph (ONNX) and its costs."""

from __future__ import annotations

from dataclasses import dataclass

SUBSAMPLING = 4
RECENT = 5
"""Feature frames before the call that its first encoder frame still sees."""

PRIOR_FRAMES = 100.0
"""Weight, in feature frames, of the mean over the training data within the running mean of an utterance."""

KNEES = (0.0, 0.25, 0.5, 0.75)
"""The gates see the budget as how far it lies above each of these: a curve of their own per gate, made of lines."""
BASIS = len(KNEES)

ALWAYS = 1e4
"""Added to every gate's logit at budget 1: nothing is left out."""


@dataclass(frozen=True)
class DialSettings:
    """Dimensions.

    Attributes:
        mel_bins: of a feature frame.
        width: of an encoder frame (40 ms).
        heads: of each attention; they share one key and one value.
        blocks: attention and feed-forward layer each.
        context: encoder frames before its own that a frame can attend to.
        channels: of the two convolutions in front.
        widening: of the feed-forward layers.
        encoded: width of what comes out, as the joiner takes it.
    """

    mel_bins: int = 40
    width: int = 160
    heads: int = 4
    blocks: int = 6
    context: int = 24
    channels: tuple[int, int] = (16, 32)
    widening: int = 4
    encoded: int = 128

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def kept(self) -> int:
        """Numbers kept per frame and block: key, whether it is there, value."""
        return 2 * self.head_width + 1

    @property
    def queries(self) -> int:
        """Numbers of a frame's queries, each with one more that meets `there` of the key."""
        return self.heads * (self.head_width + 1)

    @property
    def projected(self) -> int:
        return self.queries + self.kept

    def states(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes (without batch) of what goes on from call to call; zeros at the start."""
        memory = {f"memory_{block}": (self.context, self.kept) for block in range(self.blocks)}
        return {"heard": (self.mel_bins + 1,), "recent": (RECENT, self.mel_bins), **memory}
