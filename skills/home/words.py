"""What the home says. `handler.py` asks a `Phrasing`; the words of each language are in `words.yaml`.

Devices bring their gender and number with them, and rooms their preposition, so that sentences agree: "La luz de la
cocina está encendida", "Las persianas del salón están abiertas".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from antiphon.skills.spoken import FALLBACK, capital, spoken_number
from skills.home.household import COOLEST, EVERYWHERE, ROOMS, WARMEST, Household, Meant, Problem

_FAHRENHEIT: Final = frozenset({"US", "LR", "BS", "KY", "PW"})
_LEVELS: Final = frozenset({"set_brightness", "brighten", "dim"})


@dataclass(frozen=True)
class Noun:
    """A device: with its article, its gender and number (`m`, `f`, `mp`, `fp`), and as what is not there."""

    text: str
    form: str
    none: str


@dataclass(frozen=True)
class Words:
    """One language, as in `words.yaml`; the templates' fields are named there."""

    devices: Mapping[str, Noun]
    rooms_of: Mapping[str, str]
    rooms_in: Mapping[str, str]
    verbs: Mapping[str, str]
    running: Mapping[str, str]
    stopped: Mapping[str, str]
    open: str
    closed: str
    locked: str
    unlocked: str
    percent: str
    percent_vowel: str
    degrees: str
    state: str
    already: str
    listed: str
    nothing: str
    and_word: str
    coffee: str
    not_kept: str
    problems: Mapping[str, str]


@dataclass(frozen=True)
class Phrasing:
    """Sentences in one language for one region."""

    words: Words
    tag: str
    fahrenheit: bool

    @property
    def coffee(self) -> str:
        """The coffee machine has begun."""
        return self.words.coffee

    @property
    def not_kept(self) -> str:
        """Nothing could be stored, so nothing was done."""
        return self.words.not_kept

    def outcome(self, intent: str, what: Meant, settings: Mapping[str, Any], *, changed: bool) -> str:
        """What is so after a command; `settings` are those of the first device it was about."""
        template = self.words.state if changed else self.words.already
        return self._sentence(template, what, self._setting(what, settings, levels=intent in _LEVELS, intent=intent))

    def state(self, home: Household, what: Meant) -> str:
        """What a device is set to."""
        settings = home.device(*what.targets[0])
        return self._sentence(self.words.state, what, self._setting(what, settings, levels=True, intent=""))

    def which_are_on(self, home: Household, what: Meant) -> str:
        """Which of several devices are on."""
        return self._listed(home, what.targets, what.room)

    def what_is_on(self, home: Household, room: str) -> str:
        """All that is on in a room, or at home, and how warm the room is meant to be."""
        targets = [
            (place, device)
            for place, devices in ROOMS.items()
            for device in devices
            if room in (place, EVERYWHERE) and device not in ("heating", "blinds", "front_door")
        ]
        text = self._listed(home, targets, room)
        if room != EVERYWHERE and "heating" in ROOMS[room]:
            text += " " + self.state(home, Meant("heating", room, ((room, "heating"),)))
        return text

    def refusal(self, problem: Problem, device: str, room: str) -> str:
        """Why something cannot be done. Unknown devices and rooms are called what the user called them."""
        words = self.words
        noun = words.devices.get(device)
        return words.problems[problem.value].format(
            device=device,
            none=noun.none if noun is not None else device,
            room=room,
            place=words.rooms_in.get(room, room),
            coolest=self._temperature(COOLEST),
            warmest=self._temperature(WARMEST),
        )

    def _sentence(self, template: str, what: Meant, state: tuple[str, str]) -> str:
        noun = self.words.devices[what.device]
        verb, setting = state
        verb = self.words.verbs[verb + ("_p" if noun.form.endswith("p") else "")]
        # The only one of its kind needs no place: there is one front door.
        alone = sum(what.device in devices for devices in ROOMS.values()) == 1
        place = "" if alone or not what.room else f" {self.words.rooms_of[what.room]}"
        if what.room == EVERYWHERE and what.device in ("all_lights", "everything"):
            place = ""
        return capital(template.format(subject=noun.text, place=place, verb=verb, state=setting))

    def _setting(self, what: Meant, settings: Mapping[str, Any], *, levels: bool, intent: str) -> tuple[str, str]:
        """Which verb, and what it is set to."""
        words, form = self.words, self.words.devices[what.device].form
        if "locked" in settings:
            return "be", words.locked if settings["locked"] else words.unlocked
        if "position" in settings:
            position = settings["position"]
            ends = {0: words.closed, 100: words.open}
            return ("be", ends[position]) if position in ends else ("stand", self._percent(position))
        if not settings["on"]:
            return "be", words.stopped[form]
        if "target_temperature" in settings and intent not in ("turn_on", "turn_off"):
            return "set", words.degrees.format(number=self._temperature(Decimal(settings["target_temperature"])))
        if (levels and settings.get("brightness", 100) < 100) or intent == "set_brightness":
            return "stand", self._percent(settings["brightness"])
        return "be", words.running[form]

    def _listed(self, home: Household, targets: Sequence[tuple[str, str]], room: str) -> str:
        place = f" {self.words.rooms_in[room]}" if room and room != EVERYWHERE else ""
        running = [target for target in targets if home.is_on(*target)]
        if not running:
            return self.words.nothing.format(place=place)
        items = [self.words.devices[device].text + self._of(where, room) for where, device in running]
        return self.words.listed.format(place=place, list=self._joined(items))

    def _of(self, where: str, room: str) -> str:
        return "" if where == room else f" {self.words.rooms_of[where]}"

    def _joined(self, items: Sequence[str]) -> str:
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {self.words.and_word} {items[-1]}"

    def _percent(self, number: int) -> str:
        vowel = str(number).startswith("8") or number == 11  # "all'ottanta", "all'undici"
        template = self.words.percent_vowel if vowel else self.words.percent
        return template.format(number=number)

    def _temperature(self, celsius: Decimal) -> str:
        shown = round(celsius * 9 / 5 + 32) if self.fahrenheit else celsius
        return spoken_number(Decimal(shown), self.tag)


def phrasing(tag: str, region: str = "") -> Phrasing:
    """The sentences for a locale; English for a language that the manifest does not list."""
    language = tag.replace("_", "-").partition("-")[0].lower()
    said = _all_words()
    territory = region.partition("-")[0].upper() or tag.replace("_", "-").rpartition("-")[2]
    return Phrasing(said.get(language, said[FALLBACK]), tag, territory in _FAHRENHEIT)


@cache
def _all_words() -> Mapping[str, Words]:
    read = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
    return {language: _read(fields) for language, fields in read.items()}


def _read(fields: Mapping[str, Any]) -> Words:
    nouns = {name: Noun(*noun) for name, noun in fields["devices"].items()}
    return Words(**{"percent_vowel": fields["percent"], **fields, "devices": nouns})
