"""The simulated home: which devices stand where, what can be done with them, and what that changes.

`handler.py` finds out what is meant with `meant`, and applies a `Command` inside one transaction of the user's storage.
States are what JSON holds; one that was kept by another version, or is damaged, counts as the factory's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

ROOMS: Final[Mapping[str, tuple[str, ...]]] = {
    "kitchen": ("light", "blinds", "heating", "coffee_machine"),
    "living_room": ("light", "lamp", "blinds", "heating", "fan", "tv"),
    "bedroom": ("light", "lamp", "blinds", "heating", "fan", "tv"),
    "bathroom": ("light", "heating"),
    "hall": ("light", "front_door"),
    "office": ("light", "lamp", "blinds", "heating", "fan"),
    "garage": ("light",),
}
"""Devices by room."""

EVERYWHERE: Final = "everywhere"

Setting = bool | int | str
Device = dict[str, Setting]
"""What a device is set to, by property: `on`, `brightness` and `position` (per cent), `target_temperature` (degrees
Celsius as decimal text), `locked`."""

_FACTORY: Final[Mapping[str, Device]] = {
    "light": {"on": False, "brightness": 100},
    "lamp": {"on": False, "brightness": 100},
    "blinds": {"position": 100},
    "heating": {"on": True, "target_temperature": "20"},
    "fan": {"on": False},
    "tv": {"on": False},
    "coffee_machine": {"on": False},
    "front_door": {"locked": True},
}

_LIGHTS: Final = ("light", "lamp")
_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "all_lights": _LIGHTS,
    # What a person means who leaves the house: neither the heating nor the blinds, and never the door.
    "everything": (*_LIGHTS, "fan", "tv", "coffee_machine"),
    "thermostat": ("heating",),
}

COOLEST: Final = Decimal(5)
WARMEST: Final = Decimal(30)
"""Degrees Celsius that the heating can be set to."""

STEP: Final = 20
"""Per cent that a light changes by when nobody says how much."""

DIMMEST: Final = 10
"""Per cent that a light is dimmed to at most: below, one switches it off."""


class Problem(Enum):
    """Why a command cannot be carried out; the values are reasons for `Turn.decline`."""

    UNKNOWN_DEVICE = "UNKNOWN_DEVICE"
    UNKNOWN_ROOM = "UNKNOWN_ROOM"
    UNKNOWN_DOOR = "UNKNOWN_DOOR"
    NOT_THERE = "DEVICE_NOT_THERE"
    NOT_POSSIBLE = "DEVICE_CANNOT"
    LEVEL = "LEVEL_OUT_OF_RANGE"
    TEMPERATURE = "TEMPERATURE_OUT_OF_RANGE"
    DOOR = "DOOR_IS_LOCKED_OR_UNLOCKED"
    """A door is neither switched nor raised: that must not be a way around the confirmation."""


class HomeProblem(Exception):
    """A command cannot be carried out."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class Action(Enum):
    """What can be done."""

    ON = "turn_on"
    OFF = "turn_off"
    LEVEL = "set_brightness"
    UP = "brighten"
    DOWN = "dim"
    TEMPERATURE = "set_temperature"
    LOCK = "lock"
    UNLOCK = "unlock"


@dataclass(frozen=True)
class Command:
    """What to do; `amount` is the per cent or the degrees Celsius wanted."""

    action: Action
    amount: Decimal = Decimal(0)


@dataclass(frozen=True)
class Meant:
    """What a command is about.

    Attributes:
        device: as it was named, a group included ("all_lights").
        room: where; EVERYWHERE for several rooms, empty while it is open which.
        targets: rooms with their devices; all that could be meant while `room` is open.
    """

    device: str
    room: str
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Change:
    """A setting that was changed."""

    room: str
    device: str
    name: str
    before: Setting
    after: Setting

    @property
    def entity_id(self) -> str:
        """The device in the user's catalogue: `kitchen.light`."""
        return f"{self.room}.{self.device}"


def meant(device: str, room: str, own_room: str) -> Meant:
    """What is meant by a device and a room, either of which may be empty. Raises HomeProblem.

    The room of the device that listens is meant where none was said, if what is asked for stands there.
    """
    kinds = _GROUPS.get(device, (device,))
    places = [(place, kind) for place, devices in ROOMS.items() for kind in kinds if kind in devices]
    if not places:
        raise HomeProblem(Problem.UNKNOWN_DEVICE)
    if room == EVERYWHERE or (not room and device in _GROUPS):
        return Meant(device, EVERYWHERE, tuple(places))
    wanted = room or own_room
    here = tuple(target for target in places if target[0] == wanted)
    if here:
        return Meant(device, wanted, here)
    if room:
        raise HomeProblem(Problem.NOT_THERE)
    only = places[0][0] if len(places) == 1 else ""
    return Meant(device, only, tuple(places))


class Household:
    """All devices of a user. `kept` is what `settings` gave before."""

    def __init__(self, kept: object = None) -> None:
        known = kept if isinstance(kept, dict) else {}
        self._devices: dict[tuple[str, str], Device] = {
            (room, device): _device(device, known.get(f"{room}.{device}"))
            for room, devices in ROOMS.items()
            for device in devices
        }

    @property
    def settings(self) -> dict[str, Device]:
        """What to keep."""
        return {f"{room}.{device}": settings for (room, device), settings in self._devices.items()}

    def device(self, room: str, device: str) -> Device:
        """What a device is set to."""
        return self._devices[room, device]

    def is_on(self, room: str, device: str) -> bool:
        """Whether a device runs; blinds count as on while they are open, a door never does."""
        settings = self._devices[room, device]
        return bool(settings.get("on", settings.get("position", False)))

    def settled(self, what: Meant, command: Command) -> Meant:
        """With the room found by what is on, where only one can be meant: "turn off the light"."""
        if what.room or command.action not in (Action.OFF, Action.DOWN):
            return what
        running = tuple(target for target in what.targets if self.is_on(*target))
        return Meant(what.device, running[0][0], running) if len(running) == 1 else what

    def apply(self, what: Meant, command: Command) -> list[Change]:
        """Carry it out and give what changed: nothing when all was so already. Raises HomeProblem; nothing changed."""
        targets = list(what.targets)
        if what.device == "light" and command.action is Action.OFF:  # who wants it dark means the lamp too
            targets += [(room, "lamp") for room, _ in what.targets if "lamp" in ROOMS[room]]
        wanted = [(target, self._after(*target, command)) for target in targets]
        changes = []
        for (room, device), settings in wanted:
            before = self._devices[room, device]
            changes += [
                Change(room, device, name, before[name], value)
                for name, value in settings.items()
                if before[name] != value
            ]
            self._devices[room, device] = before | settings
        return changes

    def _after(self, room: str, device: str, command: Command) -> Device:
        settings = self._devices[room, device]
        match device:
            case "light" | "lamp":
                return _light(settings, command)
            case "blinds":
                return _blinds(settings, command)
            case "heating":
                return _heating(settings, command)
            case "front_door":
                return _door(command)
        return _switch(command)


def _light(settings: Device, command: Command) -> Device:
    level = int(settings["brightness"]) if settings["on"] else 0
    match command.action:
        case Action.ON:
            return {"on": True}
        case Action.OFF:
            return {"on": False}
        case Action.LEVEL:
            percent = _percent(command.amount)
            return {"on": True, "brightness": percent} if percent else {"on": False}
        case Action.UP:
            return {"on": True, "brightness": min(100, level + STEP)}
        case Action.DOWN if level:
            return {"on": True, "brightness": max(min(DIMMEST, level), level - STEP)}
        case Action.DOWN:
            return {"on": False}
    raise HomeProblem(Problem.NOT_POSSIBLE)


def _blinds(settings: Device, command: Command) -> Device:
    match command.action:
        case Action.ON | Action.UP:
            return {"position": 100}
        case Action.OFF | Action.DOWN:
            return {"position": 0}
        case Action.LEVEL:
            return {"position": _percent(command.amount)}
    raise HomeProblem(Problem.NOT_POSSIBLE)


def _heating(settings: Device, command: Command) -> Device:
    target = Decimal(str(settings["target_temperature"]))
    match command.action:
        case Action.ON:
            return {"on": True}
        case Action.OFF:
            return {"on": False}
        case Action.TEMPERATURE:
            if not COOLEST <= command.amount <= WARMEST:
                raise HomeProblem(Problem.TEMPERATURE)
            return {"on": True, "target_temperature": _degrees(command.amount)}
        case Action.UP:
            return {"on": True, "target_temperature": _degrees(min(WARMEST, target + 1))}
        case Action.DOWN:
            return {"on": True, "target_temperature": _degrees(max(COOLEST, target - 1))}
    raise HomeProblem(Problem.NOT_POSSIBLE)


def _door(command: Command) -> Device:
    if command.action in (Action.LOCK, Action.UNLOCK):
        return {"locked": command.action is Action.LOCK}
    raise HomeProblem(Problem.DOOR)


def _switch(command: Command) -> Device:
    if command.action in (Action.ON, Action.OFF):
        return {"on": command.action is Action.ON}
    raise HomeProblem(Problem.NOT_POSSIBLE)


def _percent(amount: Decimal) -> int:
    if not 0 <= amount <= 100:
        raise HomeProblem(Problem.LEVEL)
    return round(amount)


def _degrees(amount: Decimal) -> str:
    """To a tenth, without zeros at the end."""
    text = f"{amount.quantize(Decimal('0.1')):f}"
    return text.removesuffix(".0")


def _device(device: str, kept: object) -> Device:
    """What was kept, where it is what such a device can be set to."""
    factory = _FACTORY[device]
    if not isinstance(kept, dict) or kept.keys() != factory.keys():
        return dict(factory)
    if any(type(kept[name]) is not type(value) for name, value in factory.items()):
        return dict(factory)
    return dict(kept) if _sound(kept.items()) else dict(factory)


def _sound(settings: Iterable[tuple[str, Setting]]) -> bool:
    for name, value in settings:
        if name in ("brightness", "position") and not 0 <= int(value) <= 100:
            return False
        if name == "target_temperature" and value not in _TEMPERATURES:
            return False
    return True


_TEMPERATURES: Final = frozenset(_degrees(Decimal(tenths) / 10) for tenths in range(50, 301))
