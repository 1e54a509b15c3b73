"""The clock: what time or day it is, where the user is or elsewhere.

The skill host finds `CLOCK` by its entry point. Places and days come typed from the understanding service: a place with
its time zone, a day as a calendar date.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.skills.spoken import spoken_date, spoken_time
from antiphon.skills.values import plain, to_date, zone
from skills.clock.words import Words, is_country, words

MAX_PLACE: Final = 100
"""Characters of a place's name that are said again."""


@dataclass(frozen=True)
class Where:
    """The place that was asked for, as far as it is known.

    Attributes:
        name: empty for the user's own place.
        zone: None when it is not known, or when the place has several.
        region: ISO 3166 code; empty when unknown.
    """

    name: str
    zone: tzinfo | None
    region: str = ""


class Clock(Skill):
    """Intents `time` (place) and `date` (day, place)."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """MAYBE where only a refusal can be said."""
        where = _where(turn)
        if where.name and where.zone is None:
            return Answerable.MAYBE, _place_problem(where)
        if turn.intent == "date" and turn.slot("day") is not None and _day(turn, _now(turn, where)) is None:
            return Answerable.MAYBE, "UNKNOWN_DAY"
        return Answerable.YES, ""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """The time or the date, or why not."""
        where, said = _where(turn), words(turn.language)
        if where.name and where.zone is None:
            problem = _place_problem(where)
            template = said.many_zones if problem == "MANY_TIME_ZONES" else said.unknown_place
            yield turn.say(template.format(place=where.name))
            yield turn.decline(problem)
            return
        now = _now(turn, where)
        if turn.intent == "time":
            yield turn.say(_time(turn, where, now, said))
            return
        day = _day(turn, now)
        if day is None:
            yield turn.say(said.unknown_day)
            yield turn.decline("UNKNOWN_DAY")
            return
        yield turn.say(_date(turn, where, now.date(), day, said))


def _time(turn: Turn, where: Where, now: datetime, said: Words) -> str:
    spoken = spoken_time(now, turn.locale)
    if where.name:
        country = is_country(where.name, where.region, turn.locale)
        return (said.time_in_country if country else said.time_at).format(time=spoken, place=where.name)
    return (said.time if where.zone is not None else said.time_utc).format(time=spoken)


def _date(turn: Turn, where: Where, today: date, day: date, said: Words) -> str:
    full = spoken_date(day, turn.locale)
    if day == today:
        return said.today_at.format(date=full, place=where.name) if where.name else said.today.format(date=full)
    if day == today + timedelta(days=1):
        return said.tomorrow.format(date=full)
    if day == today - timedelta(days=1):
        return said.yesterday.format(date=full)
    short, weekday = spoken_date(day, turn.locale, "long"), spoken_date(day, turn.locale, "EEEE")
    return (said.future if day > today else said.past).format(date=short, weekday=weekday)


def _where(turn: Turn) -> Where:
    slot = turn.slot("place")
    if slot is None:
        return Where("", turn.time_zone)
    if slot.value.WhichOneof("kind") == "place":
        place = slot.value.place
        return Where(plain(place.name or slot.text, MAX_PLACE), zone(place.time_zone), place.region)
    return Where(plain(slot.text or slot.value.text, MAX_PLACE), None)


def _place_problem(where: Where) -> str:
    """A place that is known to lie somewhere but has no zone has several."""
    return "MANY_TIME_ZONES" if where.region else "UNKNOWN_PLACE"


def _now(turn: Turn, where: Where) -> datetime:
    return turn.now.astimezone(where.zone or UTC)


def _day(turn: Turn, now: datetime) -> date | None:
    """The day that was asked about; None when it cannot be told."""
    return now.date() if turn.slot("day") is None else to_date(turn.value("day"), now.date())


CLOCK = Clock()
