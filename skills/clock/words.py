"""What the clock says, in five languages. `handler.py` fills the templates; times and dates are formatted by CLDR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from antiphon.skills.spoken import FALLBACK, locale_of


@dataclass(frozen=True)
class Words:
    """The clock's sentences in one language.

    Attributes:
        time, time_at, time_in_country: with `{time}` and `{place}`.
        time_utc: when the device has not said where it is.
        today, tomorrow, yesterday, future, past: with `{date}` and `{weekday}`.
        today_at: today's date at a place.
        unknown_place, many_zones, unknown_day: what it cannot do, with `{place}`.
    """

    time: str
    time_at: str
    time_in_country: str
    time_utc: str
    today: str
    today_at: str
    tomorrow: str
    yesterday: str
    future: str
    past: str
    unknown_place: str
    many_zones: str
    unknown_day: str


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        time="It is {time}.",
        time_at="It is {time} in {place}.",
        time_in_country="It is {time} in {place}.",
        time_utc="It is {time}, universal time: I do not know where you are.",
        today="Today is {date}.",
        today_at="In {place}, today is {date}.",
        tomorrow="Tomorrow is {date}.",
        yesterday="Yesterday was {date}.",
        future="{date} is a {weekday}.",
        past="{date} was a {weekday}.",
        unknown_place="I do not know where {place} is.",
        many_zones="{place} has more than one time zone. Please name a city.",
        unknown_day="I did not understand which day you mean.",
    ),
    "de": Words(
        time="Es ist {time} Uhr.",
        time_at="In {place} ist es {time} Uhr.",
        time_in_country="In {place} ist es {time} Uhr.",
        time_utc="Es ist {time} Uhr Weltzeit: Ich weiß nicht, wo du bist.",
        today="Heute ist {date}.",
        today_at="In {place} ist heute {date}.",
        tomorrow="Morgen ist {date}.",
        yesterday="Gestern war {date}.",
        future="Der {date} ist ein {weekday}.",
        past="Der {date} war ein {weekday}.",
        unknown_place="Ich weiß nicht, wo {place} liegt.",
        many_zones="{place} hat mehr als eine Zeitzone. Nenne bitte eine Stadt.",
        unknown_day="Ich habe nicht verstanden, welchen Tag du meinst.",
    ),
    "es": Words(
        time="La hora es {time}.",
        time_at="En {place} la hora es {time}.",
        time_in_country="En {place} la hora es {time}.",
        time_utc="La hora universal es {time}: no sé dónde estás.",
        today="Hoy es {date}.",
        today_at="En {place} hoy es {date}.",
        tomorrow="Mañana es {date}.",
        yesterday="Ayer fue {date}.",
        future="El {date} es {weekday}.",
        past="El {date} fue {weekday}.",
        unknown_place="No sé dónde está {place}.",
        many_zones="{place} tiene más de una zona horaria. Di una ciudad, por favor.",
        unknown_day="No he entendido qué día quieres decir.",
    ),
    "fr": Words(
        time="Il est {time}.",
        time_at="Il est {time} à {place}.",
        time_in_country="{place} : il est {time}.",
        time_utc="Il est {time} en temps universel : je ne sais pas où tu es.",
        today="Aujourd'hui, nous sommes le {date}.",
        today_at="À {place}, nous sommes le {date}.",
        tomorrow="Demain, nous serons le {date}.",
        yesterday="Hier, nous étions le {date}.",
        future="Le {date} sera un {weekday}.",
        past="Le {date} était un {weekday}.",
        unknown_place="Je ne sais pas où se trouve {place}.",
        many_zones="{place} a plus d'un fuseau horaire. Donne-moi une ville, s'il te plaît.",
        unknown_day="Je n'ai pas compris de quel jour tu parles.",
    ),
    "it": Words(
        time="L'ora è {time}.",
        time_at="A {place} l'ora è {time}.",
        time_in_country="In {place} l'ora è {time}.",
        time_utc="L'ora universale è {time}: non so dove sei.",
        today="Oggi è {date}.",
        today_at="A {place} oggi è {date}.",
        tomorrow="Domani è {date}.",
        yesterday="Ieri era {date}.",
        future="Il {date} è {weekday}.",
        past="Il {date} era {weekday}.",
        unknown_place="Non so dove si trova {place}.",
        many_zones="{place} ha più di un fuso orario. Dimmi una città, per favore.",
        unknown_day="Non ho capito di quale giorno parli.",
    ),
}


def words(language: str) -> Words:
    """The sentences of a language; English for one the manifest does not list."""
    return WORDS.get(language, WORDS[FALLBACK])


def is_country(name: str, region: str, tag: str) -> bool:
    """Whether the name is that of the region itself, not of something in it."""
    return str(locale_of(tag).territories.get(region, "")).casefold() == name.casefold()
