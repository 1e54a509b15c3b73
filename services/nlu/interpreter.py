"""What an utterance wants: the n-best texts of a turn in, ranked intents with typed slots out.

`servicer.py` calls `Interpreter.interpret` once per utterance or partial. The engine reads all alternatives in one
batch; an intent's probability is the mean over them, weighted by the recogniser's confidence, and its slots come from
the alternative that speaks for it most. Out of scope is a reading like any other, so that the caller can weigh it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo, IntentEngine, Reading
from services.nlu.resolving import Resolver, Sentence
from services.nlu.text import normalise, tokenise
from services.nlu.understanding import (
    Alternative,
    Interpretation,
    Options,
    Situation,
    Slot,
    Understanding,
)
from services.nlu.values.places import Gazetteer, known_zone
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.language import best_supported, canonical

MAX_ALTERNATIVES = 30
MAX_INTERPRETATIONS = 50

_LEAST = 0.01  # readings below this probability are noise
_TRIED = 5  # alternatives whose slots are read to choose one
_UNREAD = 0.4  # what a slot counts whose words could not be read as a value
_DECAY = 0.5  # weight of each further alternative when the recogniser gives no confidence


class Interpreter:
    """Reads utterances with one engine."""

    def __init__(self, engine: IntentEngine, gazetteer: Gazetteer) -> None:
        self._engine = engine
        self._gazetteer = gazetteer

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def interpret(
        self,
        alternatives: Sequence[Alternative],
        language: str,
        options: Options,
        situation: Situation,
        deadline: float | None = None,
    ) -> Understanding:
        """Ranked readings of one utterance.

        Args:
            alternatives: best first, 1 to 30.
            language: BCP-47 tag of the request.
            deadline: seconds the caller still waits.

        Raises:
            InvalidInput: no or bad text, too many alternatives, an option out of range, an unknown time zone.
            FailedPrecondition: `LOCALE_NOT_SERVED`.
            DeadlineExceeded, Overloaded: from the engine.
        """
        served = self.served(language)
        _check(alternatives, options, situation)
        texts = tuple(
            normalise(one.text, field=f"alternatives[{at}].spoken_text") for at, one in enumerate(alternatives)
        )
        tokens = [tokenise(text) for text in texts]
        readings = await self._engine.read(tokens, deadline)
        weights = _weights(alternatives)
        intents = _allowed(_posterior(readings, weights), options.skills)
        resolver = Resolver(self._gazetteer, served.partition("-")[0], situation, typed=options.resolve_values)
        sentences = [
            Sentence(text, own, reading.slots) for text, own, reading in zip(texts, tokens, readings, strict=True)
        ]

        def interpretation(intent: str) -> Interpretation:
            shares = [weight * one.intents.get(intent, 0.0) for weight, one in zip(weights, readings, strict=True)]
            hypothesis, slots = _best_hypothesis(intent, shares, sentences, resolver)
            return _scored(intent, intents[intent], slots, hypothesis)

        ranked = _ranked(intents, options)
        return Understanding(texts, tuple(map(interpretation, ranked)), intents[OUT_OF_SCOPE], served)

    def served(self, language: str) -> str:
        """The locale that serves a request's; raises InvalidInput or FailedPrecondition `LOCALE_NOT_SERVED`."""
        wanted = canonical(language, field="language_code")
        served = best_supported((wanted,), self.info.locales)
        if served is None:
            raise FailedPrecondition(
                f"No model here reads {wanted}; served are {', '.join(sorted(self.info.locales))}.",
                reason="LOCALE_NOT_SERVED",
                field="language_code",
                metadata={"locale": wanted},
            )
        return served


def _check(alternatives: Sequence[Alternative], options: Options, situation: Situation) -> None:
    if not 0 < len(alternatives) <= MAX_ALTERNATIVES:
        raise InvalidInput(
            f"An utterance has 1 to {MAX_ALTERNATIVES} alternatives, not {len(alternatives)}.",
            reason="ALTERNATIVES_OUT_OF_RANGE",
            field="alternatives",
        )
    for at, one in enumerate(alternatives):
        if one.confidence is not None and not 0 <= one.confidence <= 1:
            raise InvalidInput(
                "A confidence is 0 to 1.", reason="CONFIDENCE_OUT_OF_RANGE", field=f"alternatives[{at}].confidence"
            )
    if not 0 < options.max_interpretations <= MAX_INTERPRETATIONS:
        raise InvalidInput(
            f"max_interpretations is 1 to {MAX_INTERPRETATIONS}.",
            reason="OPTION_OUT_OF_RANGE",
            field="options.max_interpretations",
        )
    if not 0 <= options.out_of_scope_threshold <= 1:
        raise InvalidInput(
            "out_of_scope_threshold is 0 to 1.", reason="OPTION_OUT_OF_RANGE", field="options.out_of_scope_threshold"
        )
    if situation.time_zone and not known_zone(situation.time_zone):
        raise InvalidInput(
            "The time zone is no name of the IANA database, such as Europe/Vienna.",
            reason="TIME_ZONE_UNKNOWN",
            field="context.session.time_zone",
        )


def _weights(alternatives: Sequence[Alternative]) -> list[float]:
    """Shares that sum to 1; without confidences (or with zeros only) each alternative counts half its forerunner."""
    given = [one.confidence for one in alternatives]
    raw = [value for value in given if value is not None]
    if len(raw) < len(given) or not sum(raw):
        raw = [_DECAY**at for at in range(len(given))]
    return [value / sum(raw) for value in raw]


def _posterior(readings: Sequence[Reading], weights: Sequence[float]) -> dict[str, float]:
    return {
        intent: sum(weight * reading.intents[intent] for weight, reading in zip(weights, readings, strict=True))
        for intent in readings[0].intents
    }


def _allowed(intents: Mapping[str, float], skills: frozenset[str]) -> dict[str, float]:
    """Only the wanted skills; what the others had is out of their scope."""
    if not skills:
        return dict(intents)
    kept = {name: share for name, share in intents.items() if name.partition(".")[0] in skills}
    return {**kept, OUT_OF_SCOPE: 1.0 - sum(kept.values())}


def _best_hypothesis(
    intent: str, shares: Sequence[float], sentences: Sequence[Sentence], resolver: Resolver
) -> tuple[int, tuple[Slot, ...]]:
    """The alternative that speaks for the intent most. Words that no table holds count less: they are misheard more
    often than they are new ("time in rum", "time in rome")."""
    likeliest = sorted(range(len(shares)), key=lambda at: -shares[at])[:_TRIED]
    filled = [(at, resolver.slots_of(intent, sentences[at])) for at in likeliest]
    return max(filled, key=lambda one: shares[one[0]] * min((_trust(slot) for slot in one[1]), default=1.0))


def _trust(slot: Slot) -> float:
    return slot.confidence * (1.0 if slot.understood else _UNREAD)


def _ranked(intents: Mapping[str, float], options: Options) -> list[str]:
    """Intents by probability, and always out of scope.

    Out of scope leads from its threshold on, and where no intent reaches what that leaves: a guess among many that are
    all unlikely is none.
    """
    named = sorted(
        (name for name, share in intents.items() if name != OUT_OF_SCOPE and share >= _LEAST),
        key=lambda name: -intents[name],
    )
    outside = intents[OUT_OF_SCOPE]
    threshold = options.out_of_scope_threshold
    if outside >= threshold or not named or intents[named[0]] < 1 - threshold:
        place = 0
    else:
        place = max(1, sum(intents[name] > outside for name in named))
    kept = named[: options.max_interpretations - (place < options.max_interpretations)]
    return [*kept[:place], OUT_OF_SCOPE, *kept[place:]][: options.max_interpretations]


def _scored(intent: str, share: float, slots: tuple[Slot, ...], hypothesis: int) -> Interpretation:
    weakest = min((slot.confidence for slot in slots), default=1.0)
    name = "" if intent == OUT_OF_SCOPE else intent
    return Interpretation(name, min(1.0, share * weakest), min(1.0, share), slots, hypothesis)
