"""What a session asks for: the domain's form of the contract's recognition config; checked here, used everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from services.asr.grammar import LanguageModel
from services.runtime.audio import AudioFormat, Encoding
from services.runtime.errors import InvalidInput

MAX_ALTERNATIVES = 30
MAX_PHRASES = 1_000
MAX_PHRASE_LENGTH = 100  # code points
MAX_BOOST = 20.0


@dataclass(frozen=True)
class Endpointing:
    """When an utterance ends.

    Attributes:
        start_timeout: longest wait for speech, seconds, 0.5 to 60.
        end_silence: silence that ends an utterance, seconds, 0.1 to 5.
        max_length: longest utterance, seconds, 1 to 300.
        sensitivity: how little counts as speech, 0 to 1.
        continuous: further utterances follow; otherwise the session is over after the first endpoint.
        client_only: only the client ends an utterance, `max_length` apart.
    """

    start_timeout: float = 10.0
    end_silence: float = 0.5
    max_length: float = 30.0
    sensitivity: float = 0.5
    continuous: bool = False
    client_only: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("start_timeout", 0.5, 60.0),
            ("end_silence", 0.1, 5.0),
            ("max_length", 1.0, 300.0),
            ("sensitivity", 0.0, 1.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise InvalidInput(
                    f"{name} must be from {low:g} to {high:g}, not {getattr(self, name):g}",
                    reason="ENDPOINTING_OUT_OF_RANGE",
                    field=f"endpointing.{name}",
                )


@dataclass(frozen=True)
class EndpointingUpdate:
    """Changes to `Endpointing`; what is None stays."""

    start_timeout: float | None = None
    end_silence: float | None = None
    max_length: float | None = None
    sensitivity: float | None = None
    continuous: bool | None = None
    client_only: bool | None = None

    def applied_to(self, endpointing: Endpointing) -> Endpointing:
        changes = {name: value for name, value in vars(self).items() if value is not None}
        return replace(endpointing, **changes)


@dataclass(frozen=True)
class Phrase:
    """A phrase to expect, `boost` natural log units a word likelier; 0 takes the engine's default."""

    text: str
    boost: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.boost <= MAX_BOOST:
            raise InvalidInput(
                f"boost must be from 0 to {MAX_BOOST:g}, not {self.boost:g}",
                reason="BOOST_OUT_OF_RANGE",
                field="biasing.phrases.boost",
            )


def checked_phrases(phrases: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
    if len(phrases) > MAX_PHRASES:
        raise InvalidInput(
            f"at most {MAX_PHRASES} phrases, not {len(phrases)}", reason="TOO_MANY_PHRASES", field="biasing.phrases"
        )
    return phrases


@dataclass(frozen=True)
class SessionConfig:
    """One session.

    Attributes:
        model: `publisher/name@version`, as the recogniser chose it.
        format: of the audio that comes in.
        max_alternatives: most alternatives in a final, 1 to 30.
        interim: send partials.
        words: finals carry words with times.
        speech_activity: send speech activity.
        phrases: to expect.
        language_model: to hear with from the start on; None takes the model's own.
        compute_budget: share of the model's full cost that it may spend, 0 to 1; None is all. Models without a dial
            do not read it.
    """

    model: str
    format: AudioFormat = field(default_factory=lambda: AudioFormat(Encoding.LINEAR16, 16_000))
    max_alternatives: int = 1
    interim: bool = False
    words: bool = False
    speech_activity: bool = False
    endpointing: Endpointing = field(default_factory=Endpointing)
    phrases: tuple[Phrase, ...] = ()
    language_model: LanguageModel | None = None
    compute_budget: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max_alternatives <= MAX_ALTERNATIVES:
            raise InvalidInput(
                f"max_alternatives must be from 1 to {MAX_ALTERNATIVES}, not {self.max_alternatives}",
                reason="ALTERNATIVES_OUT_OF_RANGE",
                field="options.max_alternatives",
            )
        if self.compute_budget is not None and not 0.0 <= self.compute_budget <= 1.0:
            raise InvalidInput(
                "compute_budget must be from 0 to 1",
                reason="COMPUTE_BUDGET_OUT_OF_RANGE",
                field="options.compute_budget",
            )
        checked_phrases(self.phrases)
