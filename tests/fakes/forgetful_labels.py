"""A reader of labels that gets some sentences wrong, as a model does that was trained badly."""

from __future__ import annotations

import random
from collections.abc import Sequence

from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.labels import LabelReader, LabelReading
from services.nlu.text import Token


class ForgetfulLabels:
    """Another reader, with the labels of a share of the sentences exchanged among themselves.

    Args:
        share: 0 to 1, drawn by a seed.
        slots: whether those sentences lose their slots as well.
    """

    def __init__(self, reader: LabelReader, share: float, *, slots: bool = False, seed: int = 3) -> None:
        self._reader = reader
        self._share = share
        self._slots = slots
        self._rng = random.Random(seed)

    @property
    def info(self) -> EngineInfo:
        return self._reader.info

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        return [self._spoilt(one) for one in await self._reader.read(sentences, deadline)]

    def _spoilt(self, reading: LabelReading) -> LabelReading:
        if self._rng.random() >= self._share:
            return reading
        names = list(reading.labels)
        labels = dict(zip([*names[1:], *names[:1]], reading.labels.values(), strict=True))
        return LabelReading(labels, reading.outside, () if self._slots else reading.slots)
