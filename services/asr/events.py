"""What recognition tells: values that travel from an engine to the servicer.

All times are seconds of audio from the start of the stream's audio.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EndpointReason(StrEnum):
    """Why an utterance ended; names as in the contract."""

    SILENCE = "SILENCE"
    MAX_LENGTH = "MAX_LENGTH"
    CLIENT = "CLIENT"
    END_OF_AUDIO = "END_OF_AUDIO"
    NO_SPEECH = "NO_SPEECH"


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Speech began or paused; no endpoint. `level_dbfs` is that of the last 100 ms, dB re full scale, -100 to 0."""

    is_speech: bool
    offset: float
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `confidence` is the engine's posterior, 0 to 1, not calibrated."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One guess; scores are natural logarithms, comparable within one result only."""

    text: str
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    acoustic_score: float = 0.0
    language_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Partial:
    """What was heard so far.

    `stability` is the measured share of such partials whose words stayed; `stable_prefix` the number of leading code
    points that are not expected to change any more; `spent` as of `Final`.
    """

    utterance: int
    revision: int
    text: str
    start: float
    end: float
    stability: float
    stable_prefix: int
    spent: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The utterance is over; `speech_start` and `speech_end` are None when there was no speech."""

    reason: EndpointReason
    utterance: int
    speech_start: float | None
    speech_end: float | None
    decided: float


@dataclass(frozen=True, slots=True)
class Final:
    """What was heard for good, best alternative first; without alternatives when the words so far came to nothing.

    `spent` is the compute of the utterance as a fraction of the model's full cost; None where there is no dial.
    """

    utterance: int
    revision: int
    alternatives: tuple[Alternative, ...]
    start: float
    end: float
    spent: float | None = None


@dataclass(frozen=True, slots=True)
class UnmatchedPhrase:
    text: str
    reason: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BiasingReport:
    """What became of the biasing phrases."""

    accepted: int
    unmatched: tuple[UnmatchedPhrase, ...] = ()


@dataclass(frozen=True, slots=True)
class GrammarReport:
    """What became of a grammar, told when its language model is in effect; `build_seconds` is 0 when it was there."""

    digest: str
    accepted: int
    unmatched: tuple[UnmatchedPhrase, ...] = ()
    build_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What the session took so far: seconds of speech, as estimated, of CPU time where it is known, and compute.

    `spent` is the compute as a fraction of the model's full cost; None where there is no dial.
    """

    speech_seconds: float
    cpu_seconds: float | None
    spent: float | None = None


Event = SpeechActivity | Partial | Endpoint | Final | BiasingReport | GrammarReport | SessionStats
