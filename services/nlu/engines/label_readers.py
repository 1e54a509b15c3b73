"""Several readers of labels behind one: who serves a locale, and one reading made of what all of them say.

The interpreter holds one `LabelReaders` and asks it once per utterance. A model of the language itself knows it best:
a multilingual one, which declares `mul` beside its languages, steps back where such a model was trained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.labels import LabelReader, LabelReading
from services.nlu.text import Token
from services.nlu.understanding import Mode, Options
from services.runtime.language import MULTILINGUAL

_ANY = Options()


def is_broad(info: EngineInfo) -> bool:
    """Whether a reader's taxonomy spans what is asked of assistants: that it finds no label says something then."""
    return MULTILINGUAL not in info.locales and not info.untrained


class LabelReaders:
    """All readers of a replica; of two that tell the same label the likelier counts.

    Args:
        readers: from the start.
        added: gives those that have come since.
    """

    def __init__(self, readers: Sequence[LabelReader], added: Callable[[], Sequence[LabelReader]] = tuple) -> None:
        self._own = tuple(readers)
        self._added = added

    @property
    def _readers(self) -> tuple[LabelReader, ...]:
        return (*self._own, *self._added())

    @property
    def infos(self) -> tuple[EngineInfo, ...]:
        return tuple(one.info for one in self._readers)

    def serving(self, locale: str, options: Options = _ANY) -> tuple[LabelReader, ...]:
        """The readers to ask for a locale, of the model and the modes that are allowed; none where nobody serves it."""
        if options.model in _names(self.infos):
            return tuple(
                one for one in self._readers if options.model in _names([one.info]) and one.info.serves(locale)
            )
        able = [one for one in self._readers if one.info.serves(locale) and options.allows(one.info.mode(locale))]
        own = [one for one in able if is_broad(one.info) and one.info.mode(locale) is Mode.FINETUNED]
        return tuple(own or able)

    @staticmethod
    async def read(
        readers: Sequence[LabelReader], sentences: Sequence[Sequence[Token]], deadline: float | None
    ) -> Sequence[LabelReading]:
        """One reading per sentence, in order; arguments and errors as of `LabelReader.read`."""
        if len(readers) == 1:
            return await readers[0].read(sentences, deadline)
        told = await asyncio.gather(*(one.read(sentences, deadline) for one in readers))
        return [_joined(readings) for readings in zip(*told, strict=True)]


def _names(infos: Iterable[EngineInfo]) -> set[str]:
    return {name for info in infos for name in (info.model, info.model.partition("@")[0])}


def _joined(readings: Sequence[LabelReading]) -> LabelReading:
    labels: dict[str, float] = {}
    outside: dict[str, float] = {}
    for reading in readings:
        for label, probability in reading.labels.items():
            labels[label] = max(probability, labels.get(label, 0.0))
        for taxonomy, probability in reading.outside.items():
            outside[taxonomy] = min(probability, outside.get(taxonomy, 1.0))
    slots = sorted((slot for one in readings for slot in one.slots), key=lambda slot: (slot.start, slot.end))
    return LabelReading(labels, outside, tuple(slots))
