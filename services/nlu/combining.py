"""What several engines say of one utterance, made into one ranked list that sums to one.

The interpreter gathers `Evidence`: an intent, how sure its engine is of it, and the slots as that engine has them. Here
evidence for the same intent is merged, and probabilities are shared out: the engines that find the utterance in scope
speak for it together, and within the scope each intent gets its part, so that two skills with the same phrase get half
each and the caller can ask which was meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from services.nlu.understanding import Slot, SlotOrigin

AGREEMENT = 0.3
"""Share of a second engine's confidence that adds to the first one's: both may err for the same reason."""

_SUREST = 0.995
_UNTRAINED = 0.15  # beforehand, of an intent that a phrase tells and no trained engine knows
_TYPED = 0.25  # the same where every value that it needs was read as one of its type
_WHOLE = 0.4  # the same where nothing was said beside a phrase
_SAID_WHOLE = 0.95
_ALONE = 0.6  # share of a conversation's reading that takes from what models say that do not know of it
_LACKING = 0.5
_AWAITED = 0.4  # the same of an answer or a follow-up: the conversation speaks for it


@dataclass(frozen=True, slots=True)
class Evidence:
    """One engine's reading.

    Attributes:
        intent: full name.
        confidence: probability of the intent as this engine sees it, 0 to 1.
        hypothesis: alternative that it read; the spans of `slots` count there.
        complete: every slot that the intent needs has a value of its type.
        sources: models that took part, the intent's first.
    """

    intent: str
    confidence: float
    hypothesis: int
    slots: tuple[Slot, ...]
    complete: bool
    sources: tuple[str, ...]


def merged(evidence: Iterable[Evidence]) -> list[Evidence]:
    """One piece of evidence per intent, surest first."""
    by_intent: dict[str, list[Evidence]] = defaultdict(list)
    for one in evidence:
        by_intent[one.intent].append(one)
    return sorted(map(_merge, by_intent.values()), key=lambda one: -one.confidence)


def tempered(
    trained: Mapping[str, float], evidence: Iterable[Evidence], likely: Mapping[str, float], by_conversation: float
) -> dict[str, float]:
    """Probabilities of trained engines, less where others know better.

    A model that reads sentences alone knows little of "and eggs", which the conversation explains. And where one
    reading has all the values that it needs, a guess that lacks its own is worth less.
    """
    whole = {one.intent for one in evidence if one.complete}
    trust = 1 - _ALONE * by_conversation
    return {
        intent: share * trust * (_LACKING if likely and intent not in whole else 1.0)
        for intent, share in trained.items()
    }


def beforehand(said: Iterable[Evidence], followed: Iterable[Evidence]) -> dict[str, float]:
    """How likely intents are before it is known how well the words fit, for those that are likelier than others.

    Args:
        said: readings by phrases.
        followed: readings by the conversation.
    """
    typed = {one.intent: _TYPED for one in said if one.complete and any(slot.understood for slot in one.slots)}
    whole = {one.intent: _WHOLE for one in said if one.complete and one.confidence >= _SAID_WHOLE}
    return {**typed, **whole, **{one.intent: _AWAITED for one in followed}}


def shares(
    trained: Mapping[str, float],
    phrases: Mapping[str, float],
    in_scope: Iterable[float],
    likely: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], float]:
    """Probability by intent, and of out of scope; together 1.

    A trained engine's probabilities are what is likely beforehand; a phrase that fits multiplies them by its odds.

    Args:
        trained: probability by intent, of the trained engines.
        phrases: confidence by intent, of the phrases.
        in_scope: by engine, the probability that some intent covers the utterance.
        likely: intents that are likelier beforehand than others; see `beforehand`.
    """
    prior = likely or {}
    inside = 1 - prod(1 - min(1.0, one) for one in in_scope)
    weights = {
        intent: trained.get(intent, 0.0)
        + max(trained.get(intent, 0.0), prior.get(intent, _UNTRAINED)) * _odds(phrases.get(intent, 0.0))
        for intent in (*trained, *phrases)
    }
    total = sum(weights.values())
    if not total:
        return {}, 1.0
    return {intent: inside * one / total for intent, one in weights.items()}, 1 - inside


def _odds(probability: float) -> float:
    bounded = min(_SUREST, probability)
    return bounded / (1 - bounded)


def _merge(evidence: Sequence[Evidence]) -> Evidence:
    surest, *others = sorted(evidence, key=lambda one: -one.confidence)
    confidence = surest.confidence
    for other in others:
        confidence = 1 - (1 - confidence) * (1 - AGREEMENT * other.confidence)
    best = max(evidence, key=_quality)
    slots = list(best.slots)
    for other in sorted(evidence, key=_quality, reverse=True):
        if other.hypothesis == best.hypothesis:
            slots += [slot for slot in other.slots if not any(_clash(slot, kept) for kept in slots)]
    slots = [_agreed(slot, evidence) for slot in slots]
    sources = dict.fromkeys(name for one in (surest, *others) for name in one.sources)
    return replace(
        best,
        confidence=min(_SUREST, confidence),
        slots=tuple(sorted(slots, key=lambda slot: (slot.origin is not SlotOrigin.SPOKEN, slot.start))),
        complete=any(one.complete for one in evidence),
        sources=tuple(sources),
    )


def _agreed(slot: Slot, evidence: Iterable[Evidence]) -> Slot:
    """As sure as the surest engine that reads the same value for it."""
    same = (held for one in evidence for held in one.slots if held.name == slot.name and held.value == slot.value)
    return replace(slot, confidence=max((held.confidence for held in same), default=slot.confidence))


def _quality(one: Evidence) -> tuple[bool, float]:
    """Whose slots are taken: a full set of values beats words, else the surer reading with the better understood."""
    understood = sum(slot.confidence for slot in one.slots if slot.understood)
    return one.complete and bool(one.slots), one.confidence + 0.2 * understood


def _clash(one: Slot, other: Slot) -> bool:
    return one.name == other.name or (one.start < other.end and other.start < one.end)
