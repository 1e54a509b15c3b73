"""The latency ledger of a turn, kept while it runs.

`turn` and its parts mark instants and time steps; the ledger goes to the client with the turn's end. Two clocks meet
here. Audio time counts samples and says what the user experienced; wall time is the event loop's. Both are given in
seconds from the arrival of the stream's first audio message (or of the text), which is why a real-time client's
end of speech (audio time) and first audio (wall time) may be subtracted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from services.arbitration.hypotheses import Provenance
from services.runtime.errors import AntiphonError, Code

MAX_STEPS: Final = 200
"""Steps that a ledger keeps; speculation on a long utterance may take many."""

OK: Final = 0


class Mark(StrEnum):
    """Instants of a turn, in the order in which they usually come. The first two and END_OF_SPEECH are audio time."""

    CAPTURE = "capture"
    SPEECH_START = "speech_start"
    FIRST_PARTIAL = "first_partial"
    END_OF_SPEECH = "end_of_speech"
    ENDPOINT = "endpoint"
    FINAL = "final"
    UNDERSTANDING = "understanding"
    DECISION = "decision"
    FIRST_TEXT = "first_text"
    FIRST_AUDIO = "first_audio"
    FIRST_AUDIBLE = "first_audible"
    COMPLETED = "completed"


class Step(StrEnum):
    """What a turn spends time on; the values are those of the contract's stages."""

    DIRECTEDNESS = "directedness"
    RECOGNITION = "recognition"
    REWRITE = "rewrite"
    ENDPOINTING = "endpointing"
    SHORTLIST = "shortlist"
    UNDERSTANDING = "understanding"
    RESOLUTION = "resolution"
    CAN_FULFILL = "can_fulfill"
    RANKING = "ranking"
    EXECUTION = "execution"
    DIALOGUE = "dialogue"
    SYNTHESIS = "synthesis"


@dataclass(slots=True)
class LedgerEntry:
    """One step. `start` and `elapsed` in seconds, `deadline` its budget in seconds, `code` OK or the error's."""

    step: Step
    start: float
    elapsed: float = 0.0
    deadline: float | None = None
    models: tuple[Provenance, ...] = ()
    skill_id: str = ""
    code: int = OK
    attempt: int = 1
    speculative: bool = False
    discarded: bool = False


@dataclass
class LatencyLedger:
    """Marks and steps of one turn.

    Attributes:
        origin: event-loop time of the zero of all offsets.
        origin_time: the same instant in seconds since 1970.
        received_audio: seconds of audio received when the endpoint was decided.
    """

    origin: float
    origin_time: float
    received_audio: float = 0.0
    marks: dict[Mark, float] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)

    def mark(self, mark: Mark, at: float | None = None) -> None:
        """Note an instant, now or `at` seconds from the origin. What is marked already stays: the first one counts."""
        self.marks.setdefault(mark, self._now() if at is None else at)

    @contextmanager
    def step(
        self,
        step: Step,
        *,
        deadline: float | None = None,
        skill_id: str = "",
        attempt: int = 1,
        speculative: bool = False,
    ) -> Iterator[LedgerEntry]:
        """Time what happens inside; an error is noted by its code and passes through."""
        entry = LedgerEntry(step, self._now(), 0.0, deadline, (), skill_id, OK, attempt, speculative)
        if len(self.entries) < MAX_STEPS:
            self.entries.append(entry)
        try:
            yield entry
        except AntiphonError as error:
            entry.code = error.code
            entry.discarded = True
            raise
        except TimeoutError:
            entry.code = Code.DEADLINE_EXCEEDED
            entry.discarded = True
            raise
        except asyncio.CancelledError:
            entry.code = Code.CANCELLED
            entry.discarded = True
            raise
        finally:
            entry.elapsed = self._now() - entry.start

    @property
    def turn_latency(self) -> float | None:
        """Seconds from the end of speech to the first audible sample (or first audio); None when either is missing."""
        answered = self.marks.get(Mark.FIRST_AUDIBLE, self.marks.get(Mark.FIRST_AUDIO))
        spoken = self.marks.get(Mark.END_OF_SPEECH)
        return None if answered is None or spoken is None else answered - spoken

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self.origin
