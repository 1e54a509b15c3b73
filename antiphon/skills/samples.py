"""Turns made of a manifest's own phrases, to try a skill without a platform. `trial.py` runs them.

A phrase's slots get the example that stands in it. Words that only the platform's understanding could read ("ten
minutes") get a sample value of their slot's type instead: the answer shows what the skill does with such a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import understanding_pb2, value_pb2

_PLACEHOLDER: Final = re.compile(r"\{([^{}|]+)(?:\|([^{}]*))?\}")
_NUMBERS: Final = {
    word: number
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
        "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici",
    )
    for number, word in enumerate(words.split())
}
PER_LOCALE: Final = 3
"""Phrases of an intent that are tried in each locale, unless all are."""


@dataclass(frozen=True)
class Sample:
    """One thing that somebody might say, as the platform would have read it."""

    locale: str
    text: str
    intent: manifest_pb2.IntentDefinition
    interpretation: understanding_pb2.Interpretation


def samples(manifest: manifest_pb2.SkillManifest, now: datetime, *, everything: bool = False) -> Iterator[Sample]:
    """Of each intent in each locale a few phrases, those with the most different slots first, or all."""
    for intent in manifest.intents:
        for table in intent.phrases:
            phrases = list(table.phrases) if everything else _varied(list(table.phrases))
            for phrase in phrases:
                yield sample(manifest, intent, table.language_code, phrase, now)


def _varied(phrases: list[str]) -> list[str]:
    """One phrase of each set of slots, then others."""
    seen: set[frozenset[str]] = set()
    first: list[str] = []
    rest: list[str] = []
    for phrase in phrases:
        names = frozenset(name for name, _ in _PLACEHOLDER.findall(phrase))
        (rest if names in seen else first).append(phrase)
        seen.add(names)
    return [*first, *rest][: max(PER_LOCALE, len(first))]


def sample(
    manifest: manifest_pb2.SkillManifest,
    intent: manifest_pb2.IntentDefinition,
    locale: str,
    phrase: str,
    now: datetime,
    words: Mapping[str, str] | None = None,
) -> Sample:
    """A phrase with its examples, or with the `words` said for each slot, as text and reading."""
    types = {slot.name: slot for slot in intent.slots}
    said = dict(words or {})
    text, at = "", 0
    reading = understanding_pb2.Interpretation(
        intent=f"{manifest.skill_id}.{intent.name}", skill_id=manifest.skill_id, score=1.0, language_code=locale
    )
    for match in _PLACEHOLDER.finditer(phrase):
        text += phrase[at : match.start()]
        at = match.end()
        name = match.group(1)
        spoken = said.get(name) or match.group(2) or name
        slot = reading.slots.add(name=name, text=spoken, confidence=1.0, origin=understanding_pb2.SLOT_ORIGIN_SPOKEN)
        slot.span.start, slot.span.end = len(text), len(text) + len(spoken)
        text += spoken
        if name in types:
            slot.value.CopyFrom(_value(types[name], spoken, manifest, locale, now))
    reading.text = text = text + phrase[at:]
    return Sample(locale, text, intent, reading)


def read(manifest: manifest_pb2.SkillManifest, text: str, locale: str, now: datetime) -> Sample | None:
    """What a text means by the manifest's phrases alone; the phrase with the most words of its own wins."""
    said = " ".join(text.casefold().split()).rstrip(".?!")
    best: tuple[int, Sample] | None = None
    for intent in manifest.intents:
        for table in intent.phrases:
            if table.language_code.partition("-")[0] != locale.partition("-")[0]:
                continue
            for phrase in table.phrases:
                words = _matched(phrase, said)
                own = len(_PLACEHOLDER.sub("", phrase))
                if words is not None and (best is None or own > best[0]):
                    best = own, sample(manifest, intent, locale, phrase, now, words)
    return best[1] if best else None


def _matched(phrase: str, said: str) -> dict[str, str] | None:
    names: list[str] = []
    pattern, at = "", 0
    for match in _PLACEHOLDER.finditer(phrase):
        pattern += re.escape(phrase[at : match.start()].casefold()) + "(.+?)"
        names.append(match.group(1))
        at = match.end()
    found = re.fullmatch(pattern + re.escape(phrase[at:].casefold()), said)
    return dict(zip(names, found.groups(), strict=True)) if found else None


def _value(
    slot: manifest_pb2.SlotDefinition, text: str, manifest: manifest_pb2.SkillManifest, locale: str, now: datetime
) -> value_pb2.Value:
    if slot.value_type == value_pb2.VALUE_TYPE_ENTITY:
        return _entity(slot, text, manifest, locale)
    make = _SAMPLES.get(slot.value_type)
    if make is None:
        return value_pb2.Value(text=text)
    digits = re.search(r"\d+", text)
    words = [_NUMBERS[word] for word in text.casefold().split() if word in _NUMBERS]
    return make(text, int(digits.group()[:9]) if digits else next(iter(words), 3), now)


def _entity(
    slot: manifest_pb2.SlotDefinition, text: str, manifest: manifest_pb2.SkillManifest, locale: str
) -> value_pb2.Value:
    """The catalogue's entry of that name; the words as text where there is none and others are allowed."""
    for catalogue in manifest.catalogues:
        for entry in catalogue.entries if catalogue.name == slot.catalogue else ():
            names = [name for name in entry.names if name.language_code.partition("-")[0] == locale.partition("-")[0]]
            if any(name.text.casefold() == text.casefold() for name in names):
                return value_pb2.Value(
                    entity=value_pb2.EntityRef(
                        catalogue=catalogue.name, entity_id=entry.entity_id, name=names[0].text, confidence=1.0
                    )
                )
    return value_pb2.Value(text=text)


def _moment(text: str, number: int, now: datetime) -> value_pb2.Value:
    value, at = value_pb2.Value(), now + timedelta(days=1)
    value.datetime.year, value.datetime.month, value.datetime.day, value.datetime.hours = at.year, at.month, at.day, 7
    return value


def _date(text: str, number: int, now: datetime) -> value_pb2.Value:
    value, at = value_pb2.Value(), now + timedelta(days=1)
    value.date.year, value.date.month, value.date.day = at.year, at.month, at.day
    return value


def _time(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value()
    value.time.hours = 7
    return value


def _duration(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value()
    value.duration.FromTimedelta(timedelta(minutes=number))
    return value


def _number(text: str, number: int, now: datetime) -> value_pb2.Value:
    return value_pb2.Value(integer=number)


def _decimal(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value()
    value.decimal.value = str(number)
    return value


def _yes(text: str, number: int, now: datetime) -> value_pb2.Value:
    return value_pb2.Value(boolean=True)


def _quantity(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value(quantity=value_pb2.Quantity(unit="1"))
    value.quantity.value.value = str(number)
    return value


def _money(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value()
    value.money.units, value.money.currency_code = number, "EUR"
    return value


def _place(text: str, number: int, now: datetime) -> value_pb2.Value:
    return value_pb2.Value(place=value_pb2.Place(name=text, time_zone="Europe/Vienna"))


def _interval(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value()
    value.interval.start.CopyFrom(_moment(text, number, now).datetime)
    return value


def _recurrence(text: str, number: int, now: datetime) -> value_pb2.Value:
    value = value_pb2.Value(recurrence=value_pb2.Recurrence(rule="FREQ=DAILY"))
    value.recurrence.start.CopyFrom(_moment(text, number, now).datetime)
    return value


def _expression(text: str, number: int, now: datetime) -> value_pb2.Value:
    return value_pb2.Value(expression=value_pb2.Expression(infix=f"{number} * 4"))


_SAMPLES: Final[Mapping[int, Callable[[str, int, datetime], value_pb2.Value]]] = {
    value_pb2.VALUE_TYPE_INTEGER: _number,
    value_pb2.VALUE_TYPE_DECIMAL: _decimal,
    value_pb2.VALUE_TYPE_BOOLEAN: _yes,
    value_pb2.VALUE_TYPE_QUANTITY: _quantity,
    value_pb2.VALUE_TYPE_MONEY: _money,
    value_pb2.VALUE_TYPE_DATE: _date,
    value_pb2.VALUE_TYPE_TIME: _time,
    value_pb2.VALUE_TYPE_DATETIME: _moment,
    value_pb2.VALUE_TYPE_DURATION: _duration,
    value_pb2.VALUE_TYPE_PLACE: _place,
    value_pb2.VALUE_TYPE_INTERVAL: _interval,
    value_pb2.VALUE_TYPE_RECURRENCE: _recurrence,
    value_pb2.VALUE_TYPE_EXPRESSION: _expression,
}
