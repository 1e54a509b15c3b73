"""The simulated home: switches and dims, heats, locks and tells what is on.

The skill host finds `HOME` by its entry point. What is meant comes as entries of the manifest's catalogues; the room
that the listening device stands in is meant where none was said. Each user's home is kept by the host. A client that
lists the directive `control_device` is told every change, so that it may do the same to devices of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.skills.storage import Json, Shelf, StorageError
from antiphon.skills.values import to_quantity
from antiphon.types.v1 import answer_pb2, understanding_pb2, value_pb2
from skills.home.household import EVERYWHERE, Action, Change, Command, HomeProblem, Household, Meant, Problem, meant
from skills.home.names import Names
from skills.home.words import Phrasing, phrasing

ENTRY: Final = "home"
"""Name of the user's entry in storage."""

_ACTIONS: Final = {"make_coffee": Action.ON, "status": Action.ON, "warmer": Action.UP, "cooler": Action.DOWN}
_DEVICES: Final = {"make_coffee": "coffee_machine", "warmer": "heating", "cooler": "heating"}
"""Intents that are not named after what they do, and the devices they are about."""

_ABSOLUTE_ZERO: Final = Decimal("273.15")
_DEFAULTS: Final = {Action.TEMPERATURE: "heating", Action.LOCK: "front_door", Action.UNLOCK: "front_door"}
"""What is meant where no device was said; else the light."""


class Home(Skill):
    """Intents `turn_on`, `turn_off`, `set_brightness`, `brighten`, `dim`, `set_temperature`, `warmer`, `cooler`,
    `lock`, `unlock`, `status` and `make_coffee`."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    def __init__(self) -> None:
        self._names = Names(self.manifest.catalogues)

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """MAYBE where only a refusal can be said: another skill may know the device."""
        try:
            what = self._meant(turn)
            if turn.intent != "status" and not _lacks_temperature(turn):
                Household().apply(what, self._command(turn))
        except HomeProblem as error:
            return Answerable.MAYBE, error.problem.value
        return Answerable.YES, ""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """What was done or is so, or why not."""
        say = phrasing(turn.locale, turn.context.session.region)
        try:
            events = self._status(turn, say) if turn.intent == "status" else self._changed(turn, say)
            async for event in events:
                yield event
        except HomeProblem as error:
            device, room = self._told(turn)
            yield turn.say(say.refusal(error.problem, device, room))
            yield turn.decline(error.problem.value)
        except StorageError as error:
            yield turn.say(say.not_kept)
            yield turn.decline(error.problem.value)

    async def _changed(self, turn: Turn, say: Phrasing) -> AsyncIterator[Event]:
        if _lacks_temperature(turn):
            yield turn.ask(self._prompt(turn, "temperature"), "temperature")
            return
        what, command = self._meant(turn), self._command(turn)

        def work(shelf: Shelf) -> Json:
            home = Household(shelf.get(ENTRY))
            settled = home.settled(what, command)
            if not settled.room:
                return None
            changes = home.apply(settled, command)
            shelf.put(ENTRY, cast("Json", home.settings))
            return cast("Json", _kept(settled, home, changes))

        done: Any = await turn.change(work)
        if done is None:
            yield turn.ask(self._prompt(turn, "room"), "room")
            return
        settled = Meant(done["device"], done["room"], tuple((room, device) for room, device in done["targets"]))
        changes = [Change(*change) for change in done["changes"]]
        text = (
            say.coffee
            if turn.intent == "make_coffee"
            else say.outcome(turn.intent, settled, done["settings"], changed=bool(changes))
        )
        yield turn.say(text)
        if "control_device" in turn.context.session.client.directives:
            for change in changes:
                yield turn.direct(_directive(change))
        yield turn.changed(*_effects(turn, changes, text), focus=self._focus(turn, settled))

    async def _status(self, turn: Turn, say: Phrasing) -> AsyncIterator[Event]:
        home = await turn.read(lambda shelf: Household(shelf.get(ENTRY)))
        if turn.slot("door") is not None:
            self._door(turn)
            yield turn.say(say.state(home, meant("front_door", "", "")))
            return
        if turn.slot("device") is None:
            room = self._room(turn) or EVERYWHERE
            yield turn.say(say.what_is_on(home, room))
            return
        what = self._meant(turn)
        if what.device in ("all_lights", "everything") or len(what.targets) > 1:
            yield turn.say(say.which_are_on(home, what))
        else:
            yield turn.say(say.state(home, what))
        done = skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED, focus=self._focus(turn, what))
        yield Event(done=done)

    # --- what was said ---------------------------------------------------------------------------------------------
    def _meant(self, turn: Turn) -> Meant:
        if turn.intent == "status" and turn.slot("device") is None:
            self._door(turn)
            self._room(turn)
            return Meant("", EVERYWHERE, ())
        if turn.intent in ("lock", "unlock"):
            self._door(turn)
            return meant("front_door", "", "")
        action = _ACTIONS.get(turn.intent) or Action(turn.intent)
        device = _DEVICES.get(turn.intent) or self._device(turn, action)
        own = self._names.room(turn.context.session.room)
        room = self._room(turn)
        if not room and device == "heating" and turn.intent in ("set_temperature", "warmer", "cooler"):
            # "Set the temperature to twenty" is the room's where it has a heating, else the home's.
            found = meant(device, "", own)
            return found if found.room else meant(device, EVERYWHERE, "")
        return meant(device, room, own)

    def _device(self, turn: Turn, action: Action) -> str:
        slot = turn.slot("device")
        if slot is None:
            return _DEFAULTS.get(action, "light")
        device = turn.entity("device") or self._names.device(slot.text)
        if not device:
            raise HomeProblem(Problem.UNKNOWN_DEVICE)
        return device

    def _room(self, turn: Turn) -> str:
        slot = turn.slot("room")
        if slot is None:
            return ""
        room = turn.entity("room") or slot.text
        if not (known := self._names.room(room)):
            raise HomeProblem(Problem.UNKNOWN_ROOM)
        return known

    def _door(self, turn: Turn) -> None:
        slot = turn.slot("door")
        if slot is not None and not self._names.door(turn.entity("door") or slot.text):
            raise HomeProblem(Problem.UNKNOWN_DOOR)

    def _command(self, turn: Turn) -> Command:
        action = _ACTIONS.get(turn.intent) or Action(turn.intent)
        if action is Action.LEVEL:
            return Command(action, _level(turn))
        if action is Action.TEMPERATURE:
            return Command(action, _celsius(turn))
        return Command(action)

    def _told(self, turn: Turn) -> tuple[str, str]:
        """The device and the room for a refusal: known ones by their identifier, others as they were said."""
        device = self._names.device(turn.entity("device") or turn.text("device"))
        room = self._names.room(turn.entity("room") or turn.text("room"))
        return device or turn.text("device", 60), room or turn.text("room", 60)

    def _prompt(self, turn: Turn, name: str) -> str:
        intent = next(intent for intent in self.manifest.intents if intent.name == turn.intent)
        return _localized(next(slot for slot in intent.slots if slot.name == name), turn.language)

    def _focus(self, turn: Turn, what: Meant) -> list[understanding_pb2.Slot]:
        """The device and the room stay in focus: "and in the kitchen?", "make it brighter"."""
        pairs = (("device", "devices", what.device), ("room", "rooms", what.room))
        return [
            turn.focus(name, value_pb2.Value(entity=value_pb2.EntityRef(catalogue=catalogue, entity_id=entity)))
            for name, catalogue, entity in pairs
            if entity and turn.intent not in ("lock", "unlock")
        ]


def _lacks_temperature(turn: Turn) -> bool:
    return turn.intent == "set_temperature" and turn.slot("temperature") is None and turn.slot("number") is None


def _level(turn: Turn) -> Decimal:
    quantity = turn.quantity("level")
    level = quantity[0] if quantity is not None and quantity[1] in ("", "1", "%") else turn.number("level")
    if level is None:
        raise HomeProblem(Problem.LEVEL)
    return level


def _celsius(turn: Turn) -> Decimal:
    """Degrees Celsius; of two readings ("twenty degrees") the one that a home can have."""
    slot = turn.slot("temperature")
    numbers = (turn.number("temperature"), turn.number("number"))
    readings = [(number, "") for number in numbers if number is not None]
    for value in (slot.value, *slot.alternatives[:9]) if slot is not None else ():
        quantity = to_quantity(value)
        readings += [quantity] if quantity is not None else []
    found = [degrees for amount, unit in readings for degrees in _degrees(amount, unit)]
    fitting = [degrees for degrees in found if 5 <= degrees <= 30]
    if not found:
        raise HomeProblem(Problem.TEMPERATURE)
    return (fitting or found)[0]


def _degrees(amount: Decimal, unit: str) -> list[Decimal]:
    fahrenheit = (amount - 32) * 5 / 9
    match unit:
        case "Cel":
            return [amount]
        case "[degF]":
            return [fahrenheit]
        case "K":
            return [amount - _ABSOLUTE_ZERO]
        case "" | "1" | "deg":
            return [amount, fahrenheit]
    return []


def _localized(slot: manifest_pb2.SlotDefinition, language: str) -> str:
    prompts = {prompt.language_code: prompt.text for prompt in slot.prompts}
    return prompts.get(language, prompts["en"])


def _kept(what: Meant, home: Household, changes: list[Change]) -> dict[str, Any]:
    """What the answer needs: a repeat of the turn gives it again."""
    return {
        "device": what.device,
        "room": what.room,
        "targets": [list(target) for target in what.targets],
        "settings": home.device(*what.targets[0]),
        "changes": [[c.room, c.device, c.name, c.before, c.after] for c in changes],
    }


def _directive(change: Change) -> answer_pb2.Directive:
    value = value_pb2.Value()
    if isinstance(change.after, bool):
        value.boolean = change.after
    elif isinstance(change.after, int):
        value.integer = change.after
    else:
        value.quantity.value.value, value.quantity.unit = change.after, "Cel"
    order = answer_pb2.ControlDevice(entity_id=change.entity_id, property=change.name, value=value)
    return answer_pb2.Directive(control_device=order)


def _effects(turn: Turn, changes: list[Change], text: str) -> list[skill_pb2.Effect]:
    """One effect for the turn, with what was before: enough to undo it."""
    if not changes:
        return []
    before = [[change.entity_id, change.name, change.before] for change in changes]
    undo = base64.urlsafe_b64encode(json.dumps(before).encode()).decode()
    name = f"{changes[0].entity_id}.{turn.idempotency_key}"
    return [turn.effect("DEVICE_SET", name, description=text, undo_token=undo)]


HOME = Home()
