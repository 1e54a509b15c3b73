"""What an engine of this capability is: sentences in, probabilities of intents and tagged spans out.

The interpreter holds one `IntentEngine` and knows nothing of features, tensors or where the model runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from services.nlu.text import Token
from services.nlu.understanding import Mode
from services.runtime.language import MULTILINGUAL, best_supported

OUT_OF_SCOPE = "out_of_scope"
"""Label of "none of our intents" in every engine's probabilities."""


@dataclass(frozen=True, slots=True)
class TaggedSlot:
    """Tokens `start` to `end` (half open) that fill a slot, with the mean probability of their tags."""

    name: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One sentence as read: probability by intent (sums to 1, holds `OUT_OF_SCOPE`), and its slots in order."""

    intents: Mapping[str, float]
    slots: tuple[TaggedSlot, ...]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What Describe and provenance say of an engine's model.

    Attributes:
        model: `publisher/name@version`.
        digest: "sha256:" and the file's digest.
        locales: BCP-47 tags it serves.
        backend: "embedded" or "triton".
        engine: the program that runs it.
        size_bytes: of its file.
        intents: names, without out of scope.
        scores: (locale, metric, value, data set).
        untrained: it was trained on no labelled sentences of its locales, such as one made from a lexicon.
        lineage: what it was distilled or fine-tuned from, nearest first, as `publisher/name@version`.
    """

    model: str
    digest: str
    licence: str
    locales: tuple[str, ...]
    backend: str
    engine: str
    size_bytes: int
    intents: tuple[str, ...]
    description: str
    scores: tuple[tuple[str, str, float, str], ...]
    untrained: bool = False
    lineage: tuple[str, ...] = ()

    def serves(self, locale: str) -> str | None:
        """The tag of its own that it serves a locale by; None where it does not."""
        return best_supported((locale,), self.locales)

    def mode(self, locale: str) -> Mode:
        """How it serves a locale: a multilingual model reads languages too that it was never trained on."""
        return Mode.ZERO_SHOT if self.untrained or self.serves(locale) in {None, MULTILINGUAL} else Mode.FINETUNED

    def at(self, backend: str) -> EngineInfo:
        """The same model where it runs now, which may change from one call to the next."""
        return self if backend == self.backend else replace(self, backend=backend, engine=program(backend))


def program(backend: str) -> str:
    """What runs an ONNX graph there."""
    return "onnxruntime" if backend == "embedded" else backend


class IntentEngine(Protocol):
    """Reads sentences. Implemented by `thin.ThinEngine`; tests have a scripted one."""

    @property
    def info(self) -> EngineInfo: ...

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[Reading]:
        """One reading per sentence, in order.

        Args:
            sentences: tokens of each; at least one sentence. A sentence may have no tokens.
            deadline: seconds the caller still waits; None waits.
        """
        ...
