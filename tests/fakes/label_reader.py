"""A reader of labels that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.nlu.engines.engine import EngineInfo, TaggedSlot
from services.nlu.engines.labels import LabelReading
from services.nlu.text import Token


class ScriptedLabels:
    """Reads a sentence by the script's entry for its words; everything else has no label.

    Args:
        script: words joined by spaces -> label -> probability.
        tags: words -> the spans that are tagged in it.
    """

    def __init__(
        self,
        script: Mapping[str, Mapping[str, float]],
        tags: Mapping[str, tuple[TaggedSlot, ...]] | None = None,
        locales: tuple[str, ...] = ("en",),
    ) -> None:
        self._script = script
        self._tags = tags or {}
        self._info = EngineInfo(
            model="test/labels@1",
            digest="",
            licence="Apache-2.0",
            locales=locales,
            backend="embedded",
            engine="script",
            size_bytes=0,
            intents=tuple(sorted({label for labels in script.values() for label in labels})),
            description="Scripted.",
            scores=(),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        return [self._reading(" ".join(token.norm for token in tokens)) for tokens in sentences]

    def _reading(self, words: str) -> LabelReading:
        labels = self._script.get(words, {})
        outside = dict.fromkeys((name.partition(":")[0] for name in self._info.intents), 1.0)
        for label, probability in labels.items():
            outside[label.partition(":")[0]] -= probability
        return LabelReading(labels, outside, self._tags.get(words, ()))
