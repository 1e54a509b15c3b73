"""What a neural model of speech gives to the session that listens with it: its shape, its tokens, and a search.

`engine.py` knows models only through this; `transducer/model.py` and `ctc/model.py` implement it. A search takes
windows of features and keeps the best guesses; what makes windows of audio, words of tokens and events of words is the
same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.asr.engines.features import FeatureSettings, Frames
from services.asr.engines.neural.hotwords import Hotwords
from services.asr.engines.neural.pieces import Tokens
from services.runtime.inference import ModelDefinition


@dataclass(frozen=True, slots=True)
class StreamShape:
    """How a model goes through an utterance.

    Attributes:
        features: of the audio.
        window: frames of features that one step takes.
        shift: frames that it moves on; less than `window` where it looks ahead.
        frame_seconds: of one frame of its output.
        delay_seconds: from the beginning of a word to its first token.
        tail: frames of silence that it needs to hear after the last sound.
    """

    features: FeatureSettings
    window: int
    shift: int
    frame_seconds: float
    delay_seconds: float = 0.0
    tail: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One guess at an utterance so far; natural logarithms.

    Attributes:
        tokens: without blanks.
        frames: of the output, from the utterance's first, at which each came.
        log_probs: of each, given those before it.
        score: of the whole, of all its alignments that were kept, bonus included.
        bonus: of hotwords, in `score`.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    bonus: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a session wants of a search.

    Attributes:
        alternatives: most hypotheses that will be asked for.
        hotwords: to expect, in sets of their own.
        budget: share of the full cost that may be spent, 0 to 1; None is all.
    """

    alternatives: int = 1
    hotwords: tuple[Hotwords, ...] = ()
    budget: float | None = None


class Search(Protocol):
    """One utterance. Raises AntiphonErrors only: those of `ModelClient.infer`, and Internal `MODEL_FAILED`."""

    async def advance(self, frames: Frames, *, last: bool) -> None:
        """One window of features, shape (window, mel bins); `last` ends the model's sequence."""
        ...

    def best(self, count: int) -> list[Hypothesis]:
        """Distinct, best first; at least one, without tokens if nothing was heard."""
        ...

    async def close(self) -> None:
        """Ends the model's sequence unless the last window did; never raises what a model raises."""
        ...

    @property
    def spent(self) -> float | None:
        """Compute so far as a fraction of the model's full cost; None where there is no dial."""
        ...


class SpeechModel(Protocol):
    """One bundle. What it says of itself was checked when it was read."""

    definition: ModelDefinition
    engine: str
    """"transducer" or "ctc"."""
    parts: tuple[str, ...]
    """Ids of the models that it runs; the first is the one whose home is told."""
    shape: StreamShape
    tokens: Tokens

    async def load(self) -> None:
        """Makes its parts ready. Raises as `ModelClient.load`."""
        ...

    def search(self, asked: Asked) -> Search: ...
