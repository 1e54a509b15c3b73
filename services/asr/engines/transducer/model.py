"""A transducer as a model of speech: its encoder's sequence, and the search over what it gives.

Made by `readers.py`; a session of `neural/engine.py` makes one search per utterance.
"""

from __future__ import annotations

from typing import Protocol

from services.asr.engines.features import Frames
from services.asr.engines.neural.search import Asked, Hypothesis
from services.asr.engines.neural.sequence import Sequence
from services.asr.engines.transducer.beam import Beam
from services.asr.engines.transducer.greedy import Greedy
from services.asr.engines.transducer.networks import Floats, TransducerModel

_LEAST_BEAM = 4  # where alternatives or phrases are asked for
_WIDEST = 32


class Transducer:
    """Implements `search.SpeechModel`.

    Args:
        networks: of the model.
        width: of the beam; 1 searches greedily unless alternatives or phrases are asked for.
    """

    engine = "transducer"

    def __init__(self, networks: TransducerModel, width: int) -> None:
        self.definition = networks.definition
        self.parts = networks.parts
        self.shape = networks.shape
        self.tokens = networks.tokens
        self._networks = networks
        self._width = width

    async def load(self) -> None:
        await self._networks.load()

    def search(self, asked: Asked) -> TransducerSearch:
        return TransducerSearch(self._networks, self._path(asked), asked.budget)

    def _path(self, asked: Asked) -> Path:
        width = self._width
        if asked.alternatives > 1 or asked.hotwords:
            width = min(max(width, _LEAST_BEAM, 2 * asked.alternatives), _WIDEST)
        return Beam(self._networks, width, asked.hotwords) if width > 1 else Greedy(self._networks)


class Path(Protocol):
    """What a search makes of the encoder's output: `greedy.Greedy` and `beam.Beam`."""

    async def hear(self, encoded: Floats) -> None: ...

    def best(self, count: int) -> list[Hypothesis]: ...


class TransducerSearch:
    """One utterance; implements `search.Search`."""

    def __init__(self, networks: TransducerModel, path: Path, budget: float | None) -> None:
        self._networks = networks
        self._path = path
        self._budget = budget
        self._sequence = Sequence()
        self._spent: list[float] = []  # a number for each window: seconds of speech are few

    @property
    def spent(self) -> float | None:
        return round(sum(self._spent) / len(self._spent), 4) if self._spent else None

    async def advance(self, frames: Frames, *, last: bool) -> None:
        with self._sequence.step(last=last) as step:
            encoded = await self._networks.encode(frames, step, self._budget)
        if encoded.spent is not None:
            self._spent.append(encoded.spent)
        await self._path.hear(encoded.frames)

    def best(self, count: int) -> list[Hypothesis]:
        return self._path.best(count)

    async def close(self) -> None:
        with self._sequence.ending(self._networks.shape) as end:
            if end is not None:
                await self._networks.encode(*end, self._budget)
