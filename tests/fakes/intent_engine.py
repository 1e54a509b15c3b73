"""An intent engine that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo, Reading, TaggedSlot
from services.nlu.text import Token

INTENTS = ("clock.time", "clock.date", "calculator.compute", "dialogue.stop")


class ScriptedEngine:
    """Reads a sentence by the script's entry for its words; everything else is out of scope.

    Args:
        script: words joined by spaces -> intent probabilities; what is missing to 1 is out of scope.
        tags: words -> the spans that are tagged in it.
    """

    def __init__(
        self,
        script: Mapping[str, Mapping[str, float]],
        tags: Mapping[str, tuple[TaggedSlot, ...]] | None = None,
        locales: tuple[str, ...] = ("en", "de"),
    ) -> None:
        self._script = script
        self._tags = tags or {}
        self.deadlines: list[float | None] = []
        self._info = EngineInfo(
            model="test/scripted@1",
            digest="",
            licence="Apache-2.0",
            locales=locales,
            backend="embedded",
            engine="script",
            size_bytes=0,
            intents=INTENTS,
            description="Scripted.",
            scores=(),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[Reading]:
        self.deadlines.append(deadline)
        return [self._reading(" ".join(token.norm for token in tokens)) for tokens in sentences]

    def _reading(self, words: str) -> Reading:
        given = self._script.get(words, {})
        intents = {name: given.get(name, 0.0) for name in INTENTS}
        return Reading({**intents, OUT_OF_SCOPE: 1.0 - sum(given.values())}, self._tags.get(words, ()))
