"""Writes `services/nlu/values/places.json`: what people call places in five languages, with region and time zone.

    python -m training.nlu_thin.places

Sources: exemplar cities and territory names of CLDR (through Babel; Unicode-3.0 licence), countries of the tz
database's `zone.tab` (public domain, through the tzdata package), and our own lists in `cities.py`. Where a country
keeps several times, its first reading has no zone and the cities that stand for its zones follow as alternatives.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale

from training.nlu_thin import cities

OUTPUT = Path("services/nlu/values/places.json")
LANGUAGES = ("en", "de", "fr", "es", "it")
_ALTERNATIVES = 6
_SMALL = frozenset({"de", "da", "di", "del", "of", "the"})
_INITIALS = frozenset({"us", "usa", "uk", "uae", "la", "dc", "nyc"})

Reading = tuple[str, str, str]
"""(display name, ISO 3166 region, IANA zone or "")."""


def build() -> dict[str, list[Reading]]:
    """Name, case-folded and in NFC -> its readings, most likely first. Earlier sources win over later ones."""
    zones = dict(_zone_table())
    table: dict[str, list[Reading]] = {}
    for name, reading in _readings(zones):
        found = table.setdefault(fold(name), [])
        if all(reading[2] != other[2] or not reading[2] for other in found):
            found.append(reading)
    for code in Locale.parse("en").territories:
        _add_alternatives(table, str(code), zones)
    return {name: readings[: _ALTERNATIVES + 1] for name, readings in sorted(table.items()) if name}


def fold(name: str) -> str:
    """As `places.py` of the service folds what was said: no dots, no hyphens, one space between words."""
    text = unicodedata.normalize("NFC", name).casefold().replace("’", "'")
    return " ".join(text.replace(".", " ").replace("-", " ").split())


def _zone_table() -> Iterator[tuple[str, str]]:
    """Zone -> country, in the order of `zone.tab`: the most populous zone of a country comes first."""
    text = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            yield zone, country


def _readings(zones: Mapping[str, str]) -> Iterator[tuple[str, Reading]]:
    yield from _listed(zones)
    yield from _countries(zones)
    for zone, country in zones.items():
        for language in LANGUAGES:
            city = Locale.parse(language).time_zones.get(zone, {}).get("city") or _city(zone)
            yield city, (city, country, zone)
        yield _city(zone), (_city(zone), country, zone)


def _listed(zones: Mapping[str, str]) -> Iterator[tuple[str, Reading]]:
    for source in (cities.CITIES, cities.LOCAL_NAMES):
        for zone, name in _pairs(source):
            yield name, (_title(name), zones[zone], zone)
    for zone, entry in _pairs(cities.US_STATES):
        code, name = entry.split(" ", 1)
        reading = (_title(name), f"US-{code}", zone)
        yield from ((name, reading), (f"us {code}", reading))
    for zone, entry in _pairs(cities.PROVINCES):
        code, name = entry.split(" ", 1)
        yield name, (_title(name), code, zone)
    for zone, name in _pairs(cities.ZONE_NAMES):
        label = name.upper() if len(name) <= 4 or "." in name else f"{_title(name)} Time"
        for ending in ("", " time", " standard time", " time zone", " timezone"):
            yield name + ending, (label, "", zone)


def _pairs(source: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((zone, entry) for zone, entries in source.items() for entry in entries.split("|"))


def _countries(zones: Mapping[str, str]) -> Iterator[tuple[str, Reading]]:
    for code, name in _country_names():
        own = [zone for zone, country in zones.items() if country == code]
        if own:
            yield name, (name if name[:1].isupper() else _title(name), code, _single_zone(code, own))


def _country_names() -> Iterator[tuple[str, str]]:
    for language in LANGUAGES:
        for code, name in Locale.parse(language).territories.items():
            if len(code) == 2 and code.isalpha():
                yield code, name
    for code, names in cities.COUNTRIES.items():
        for name in names.split("|"):
            yield code, name


def _single_zone(code: str, own: list[str]) -> str:
    if code in cities.MAIN_ZONES:
        return cities.MAIN_ZONES[code]
    return own[0] if len({_clock(zone) for zone in own}) == 1 else ""


def _clock(zone: str) -> tuple[object, ...]:
    """What the zone's clocks show in winter and in summer: zones that agree are one for "what time is it"."""
    return tuple(datetime(2026, month, 15, tzinfo=ZoneInfo(zone)).utcoffset() for month in (1, 7))


def _add_alternatives(table: dict[str, list[Reading]], code: str, zones: Mapping[str, str]) -> None:
    """A country of several times gets the first city of each of its clocks."""
    own = [zone for zone, country in zones.items() if country == code]
    if not own or _single_zone(code, own):
        return
    first = {_clock(zone): zone for zone in reversed(own)}
    listed = cities.PRINCIPAL_ZONES.get(code)
    principal = listed.split("|") if listed else sorted(first.values(), key=own.index)
    readings = [(_city(zone), code, zone) for zone in principal]
    for name in (fold(name) for other, name in _country_names() if other == code):
        table[name] = [table[name][0], *readings]


def _city(zone: str) -> str:
    return zone.rsplit("/", 1)[-1].replace("_", " ")


def _title(name: str) -> str:
    return " ".join(
        word.upper() if "." in word or word in _INITIALS else word if word in _SMALL else word[:1].upper() + word[1:]
        for word in name.split()
    )


def main() -> None:
    table = build()
    pairs = (
        (json.dumps(name, ensure_ascii=False), json.dumps(value, ensure_ascii=False)) for name, value in table.items()
    )
    lines = ",\n".join(f"{name}: {value}" for name, value in pairs)
    OUTPUT.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    print(f"{len(table)} names in {OUTPUT}")


if __name__ == "__main__":
    main()
