"""The simulated home: what is meant, what changes, what is said, and what must never happen by accident."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillError
from antiphon.types.v1 import understanding_pb2
from skills.home.handler import HOME
from skills.home.household import ROOMS, Action, Command, HomeProblem, Household, Problem, meant
from skills.home.words import _all_words
from tests.fakes.inhabitant import Inhabitant, answer, device, entity, level, room, temperature, words
from tests.fakes.skill_turns import can_fulfill, request

pytestmark = pytest.mark.unit

LANGUAGES = ("de", "en", "es", "fr", "it")


@pytest.fixture
def moved_in() -> Iterator[Callable[..., Inhabitant]]:
    """Makes inhabitants, and frees what they keep in the end."""
    made: list[Inhabitant] = []

    def make(folder: Path | None = None, *, own_room: str = "", directives: Sequence[str] = ()) -> Inhabitant:
        made.append(Inhabitant(folder, own_room=own_room, directives=directives))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def home(moved_in: Callable[..., Inhabitant]) -> Inhabitant:
    return moved_in()


@pytest.mark.parametrize(
    ("locale", "on", "already", "dimmed", "blinds", "heating"),
    [
        (
            "en",
            "The light in the kitchen is on.",
            "The light in the kitchen is already on.",
            "The light in the kitchen is at 80 percent.",
            "The blinds in the living room are closed.",
            "The heating in the bedroom is set to 18.5 degrees.",
        ),
        (
            "de",
            "Das Licht in der Küche ist an.",
            "Das Licht in der Küche ist schon an.",
            "Das Licht in der Küche steht auf 80 Prozent.",
            "Die Rollläden im Wohnzimmer sind geschlossen.",
            "Die Heizung im Schlafzimmer steht auf 18,5 Grad.",
        ),
        (
            "es",
            "La luz de la cocina está encendida.",
            "La luz de la cocina ya está encendida.",
            "La luz de la cocina está al 80 por ciento.",
            "Las persianas del salón están cerradas.",
            "La calefacción del dormitorio está a 18,5 grados.",
        ),
        (
            "fr",
            "La lumière de la cuisine est allumée.",
            "La lumière de la cuisine est déjà allumée.",
            "La lumière de la cuisine est à 80 pour cent.",
            "Les volets du salon sont fermés.",
            "Le chauffage de la chambre est réglé sur 18,5 degrés.",
        ),
        (
            "it",
            "La luce della cucina è accesa.",
            "La luce della cucina è già accesa.",
            "La luce della cucina è all'80 per cento.",
            "Le tapparelle del soggiorno sono chiuse.",
            "Il riscaldamento della camera è impostato su 18,5 gradi.",
        ),
    ],
)
def test_what_was_done_is_said(
    home: Inhabitant, locale: str, on: str, already: str, dimmed: str, blinds: str, heating: str
) -> None:
    assert home.say("turn_on", device("light"), room("kitchen"), locale=locale) == on
    assert home.say("turn_on", device("light"), room("kitchen"), locale=locale) == already
    assert home.say("dim", device("light"), room("kitchen"), locale=locale) == dimmed
    assert home.say("turn_off", device("blinds"), room("living_room"), locale=locale) == blinds
    assert home.say("set_temperature", temperature("18.5", "Cel"), room("bedroom"), locale=locale) == heating


def test_the_room_of_the_listening_device_is_meant(moved_in: Callable[..., Inhabitant]) -> None:
    home = moved_in(own_room="Living Room")
    assert home.say("turn_on", device("lamp")) == "The lamp in the living room is on."
    assert moved_in(own_room="Küche").say("turn_on", device("light")) == "The light in the kitchen is on."
    assert (
        moved_in(own_room="kitchen").say("turn_on", device("lamp"), room("office")) == "The lamp in the office is on."
    )


def test_a_room_without_the_device_falls_back_where_only_one_is_meant(moved_in: Callable[..., Inhabitant]) -> None:
    assert moved_in(own_room="bathroom").say("turn_on", device("coffee_machine")) == "The coffee machine is on."
    assert moved_in(own_room="bathroom").reason("turn_on", device("fan"), room("bathroom")) == "DEVICE_NOT_THERE"


def test_it_asks_which_room_is_meant(home: Inhabitant) -> None:
    events = home.events("turn_on", device("light"), locale="de")
    assert [event.WhichOneof("event") for event in events] == ["prompt", "done"]
    assert events[0].prompt.text.text == "In welchem Raum?"
    assert events[0].prompt.slot == "room"
    assert events[-1].done.outcome == skill_pb2.EXECUTION_OUTCOME_AWAITING_USER


def test_what_is_switched_off_is_the_one_that_is_on(home: Inhabitant) -> None:
    home.say("turn_on", device("light"), room("garage"))
    assert home.say("turn_off", device("light")) == "The light in the garage is off."
    assert home.events("turn_off", device("light"))[0].HasField("prompt")


def test_no_device_means_the_light(moved_in: Callable[..., Inhabitant]) -> None:
    assert moved_in(own_room="office").say("turn_on") == "The light in the office is on."


def test_all_lights(home: Inhabitant) -> None:
    home.say("turn_on", device("light"), room("kitchen"))
    home.say("turn_on", device("lamp"), room("bedroom"))
    assert home.say("status", device("all_lights")) == (
        "Currently on: the light in the kitchen and the lamp in the bedroom."
    )
    assert home.say("turn_off", device("all_lights")) == "All the lights are off."
    assert home.say("status", device("all_lights")) == "Nothing is on."
    assert home.say("turn_on", device("all_lights"), room("bedroom")) == "All the lights in the bedroom are on."


def test_who_wants_it_dark_means_the_lamp_too(home: Inhabitant) -> None:
    home.say("turn_on", device("lamp"), room("office"))
    home.say("turn_off", device("light"), room("office"))
    assert home.say("status", room("office")).startswith("Nothing is on in the office.")


def test_everything_leaves_heating_blinds_and_door_alone(home: Inhabitant) -> None:
    home.say("turn_on", device("tv"), room("living_room"))
    home.say("turn_off", device("everything"))
    assert "set to 20" in home.say("status", device("heating"), room("kitchen"))
    assert "open" in home.say("status", device("blinds"), room("kitchen"))
    assert home.say("status", device("front_door")) == "The front door is locked."
    assert home.say("status", device("tv"), room("living_room")) == "The TV in the living room is off."


def test_brightness(home: Inhabitant) -> None:
    lamp = (device("lamp"), room("office"))
    assert home.say("set_brightness", level(50), *lamp) == "The lamp in the office is at 50 percent."
    assert home.say("brighten", *lamp) == "The lamp in the office is at 70 percent."
    assert home.say("dim", *lamp) == "The lamp in the office is at 50 percent."
    assert home.say("set_brightness", level(0), *lamp) == "The lamp in the office is off."
    assert home.say("brighten", *lamp) == "The lamp in the office is at 20 percent."
    assert home.say("dim", *lamp) == "The lamp in the office is at 10 percent."
    assert home.say("dim", *lamp) == "The lamp in the office is already at 10 percent."
    assert home.say("set_brightness", level(100), *lamp) == "The lamp in the office is at 100 percent."


@pytest.mark.parametrize("number", [-1, 101, 10**18, -(10**18)])
def test_a_brightness_that_is_none(home: Inhabitant, number: int) -> None:
    assert home.reason("set_brightness", level(number), device("lamp"), room("office")) == "LEVEL_OUT_OF_RANGE"
    assert home.say("status", device("lamp"), room("office")) == "The lamp in the office is off."


def test_temperatures(home: Inhabitant) -> None:
    here = room("living_room")
    assert home.say("set_temperature", temperature("21", "Cel"), here) == (
        "The heating in the living room is set to 21 degrees."
    )
    assert home.say("set_temperature", temperature("68", "[degF]"), here, region="US") == (
        "The heating in the living room is set to 68 degrees."
    )
    assert home.say("status", device("heating"), here) == "The heating in the living room is set to 20 degrees."
    assert home.say("set_temperature", temperature("22", "[degF]", "Cel"), here, region="US") == (
        "The heating in the living room is set to 72 degrees."
    )
    assert home.say("brighten", device("heating"), here) == "The heating in the living room is set to 23 degrees."
    whole = home.say("set_temperature", temperature("19", "Cel"))
    assert whole == "The heating in the whole house is set to 19 degrees."
    assert "19" in home.say("status", device("heating"), room("bathroom"))


@pytest.mark.parametrize(
    ("number", "unit"),
    [("4.9", "Cel"), ("31", "Cel"), ("1e90", "Cel"), ("1e400", "Cel"), ("NaN", "Cel"), ("-3", "K"), ("20", "km")],
)
def test_a_temperature_that_no_home_has(home: Inhabitant, number: str, unit: str) -> None:
    assert home.reason("set_temperature", temperature(number, unit), room("kitchen")) == "TEMPERATURE_OUT_OF_RANGE"
    assert "20" in home.say("status", device("heating"), room("kitchen"))


def test_the_door_is_unlocked_only_when_confirmed(home: Inhabitant) -> None:
    with pytest.raises(SkillError, match="confirmed"):
        home.events("unlock", entity("door", "front_door"))
    assert home.say("status", device("front_door")) == "The front door is locked."
    assert answer(home.events("unlock", entity("door", "front_door"), confirmed=True)) == "The front door is unlocked."
    assert home.say("lock") == "The front door is locked."
    assert home.say("lock") == "The front door is already locked."


@pytest.mark.parametrize("intent", ["turn_on", "turn_off", "brighten", "dim"])
def test_nothing_but_unlock_opens_the_door(home: Inhabitant, intent: str) -> None:
    assert home.reason(intent, device("front_door")) == "DOOR_IS_LOCKED_OR_UNLOCKED"
    assert home.say("status", device("front_door")) == "The front door is locked."


def test_the_doors_status(home: Inhabitant) -> None:
    assert home.say("status", entity("door", "front_door"), locale="de") == "Die Haustür ist abgeschlossen."
    assert home.reason("status", words("door", "garage door")) == "UNKNOWN_DOOR"


def test_warmer_and_cooler_are_the_heating(home: Inhabitant) -> None:
    assert home.say("warmer", room("office")) == "The heating in the office is set to 21 degrees."
    assert home.say("cooler", room("office"), locale="de") == "Die Heizung im Büro steht auf 20 Grad."
    assert home.say("warmer") == "The heating in the whole house is set to 21 degrees."
    assert home.reason("warmer", room("garage")) == "DEVICE_NOT_THERE"


def test_degrees_may_be_left_out(home: Inhabitant) -> None:
    number = understanding_pb2.Slot(name="number", text="nineteen")
    number.value.integer = 19
    assert home.say("set_temperature", number, room("office")) == "The heating in the office is set to 19 degrees."
    number.value.integer = 68
    assert home.say("set_temperature", number, room("office")) == "The heating in the office is set to 20 degrees."
    events = home.events("set_temperature", room("office"))
    assert events[0].prompt.text.text == "To how many degrees?"
    asked = can_fulfill(HOME, request("home.set_temperature"))
    assert asked.fulfilment == understanding_pb2.FULFILMENT_YES


def test_another_door_is_not_the_front_door(home: Inhabitant) -> None:
    assert home.reason("lock", words("door", "garage door")) == "UNKNOWN_DOOR"


def test_coffee(home: Inhabitant) -> None:
    assert home.say("make_coffee") == "The coffee machine is making your coffee."
    assert home.say("status", device("coffee_machine")) == "The coffee machine is on."


def test_status_of_rooms(home: Inhabitant) -> None:
    assert home.say("status", room("garage")) == "Nothing is on in the garage."
    home.say("turn_on", device("light"), room("kitchen"))
    assert home.say("status", room("kitchen")) == (
        "Currently on in the kitchen: the light. The heating in the kitchen is set to 20 degrees."
    )
    assert home.say("status", locale="de") == "Gerade an: das Licht in der Küche."
    assert home.say("status", locale="it") == "Al momento accesi: la luce della cucina."


def test_a_repeat_changes_nothing_more(home: Inhabitant) -> None:
    lamp = (device("lamp"), room("office"))
    first = home.events("brighten", *lamp, key="same")
    again = home.events("brighten", *lamp, key="same")
    assert answer(first) == answer(again) == "The lamp in the office is at 20 percent."
    assert again[-1].done.receipt.replayed
    assert first[-1].done.receipt.effects == again[-1].done.receipt.effects


def test_the_home_outlives_the_process(tmp_path: Path, moved_in: Callable[..., Inhabitant]) -> None:
    before = moved_in(tmp_path)
    before.say("set_brightness", level(40), device("lamp"), room("office"))
    after = moved_in(tmp_path)
    assert after.say("status", device("lamp"), room("office")) == "The lamp in the office is at 40 percent."


def test_users_have_homes_of_their_own(home: Inhabitant) -> None:
    home.events("turn_on", device("light"), room("kitchen"), user="anna")
    assert answer(home.events("status", device("light"), room("kitchen"), user="ben")).endswith("off.")


def test_a_receipt_says_how_to_undo(home: Inhabitant) -> None:
    done = home.events("turn_on", device("light"), room("kitchen"))[-1].done
    (effect,) = done.receipt.effects
    assert effect.kind == "DEVICE_SET"
    assert json.loads(base64.urlsafe_b64decode(effect.undo_token)) == [["kitchen.light", "on", False]]
    assert not home.events("turn_on", device("light"), room("kitchen"))[-1].done.receipt.effects


def test_a_client_that_controls_devices_is_told(home: Inhabitant, moved_in: Callable[..., Inhabitant]) -> None:
    assert not [e for e in home.events("turn_on", device("light"), room("kitchen")) if e.HasField("directive")]
    able = moved_in(directives=["control_device"])
    events = able.events("set_brightness", level(30), device("light"), room("kitchen"))
    orders = [event.directive.control_device for event in events if event.HasField("directive")]
    assert [(o.entity_id, o.property) for o in orders] == [("kitchen.light", "on"), ("kitchen.light", "brightness")]
    assert (orders[0].value.boolean, orders[1].value.integer) == (True, 30)
    warm = able.events("set_temperature", temperature("21", "Cel"), room("kitchen"))
    (order,) = [event.directive.control_device for event in warm if event.HasField("directive")]
    assert (order.property, order.value.quantity.value.value, order.value.quantity.unit) == (
        "target_temperature",
        "21",
        "Cel",
    )


def test_device_and_room_stay_in_focus(home: Inhabitant) -> None:
    done = home.events("turn_on", device("light"), room("kitchen"))[-1].done
    assert [(slot.name, slot.value.entity.entity_id) for slot in done.focus] == [
        ("device", "light"),
        ("room", "kitchen"),
    ]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_what_it_does_not_know_is_named(home: Inhabitant, locale: str) -> None:
    assert "teapot" in home.say("turn_on", words("device", "teapot"), locale=locale)
    assert "cellar" in home.say("turn_on", device("light"), words("room", "cellar"), locale=locale)
    asked = can_fulfill(HOME, request("home.turn_on", words("device", "radio"), locale=locale))
    assert (asked.fulfilment, asked.reason) == (understanding_pb2.FULFILMENT_MAYBE, "UNKNOWN_DEVICE")


@pytest.mark.parametrize("name", ["x" * 10_000, "{device}", "{0.__class__}", "\0\x1b[2J", "light\nlamp", "'; DROP"])
def test_hostile_names(home: Inhabitant, name: str) -> None:
    text = home.say("turn_on", words("device", name))
    assert text.startswith("There is nothing called")
    assert len(text) < 150
    assert home.reason("turn_on", device("light"), words("room", name)) == "UNKNOWN_ROOM"
    assert home.reason("turn_on", device(name[:100])) == "UNKNOWN_DEVICE"
    assert home.reason("status", words("device", name)) == "UNKNOWN_DEVICE"


def test_words_stand_in_for_an_entry(home: Inhabitant) -> None:
    assert home.say("turn_on", words("device", "Die Lampe"), words("room", "büro"), locale="de") == (
        "Die Lampe im Büro ist an."
    )


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "home",
        {"kitchen.light": {"on": "yes", "brightness": 40}},
        {"kitchen.light": {"on": True, "brightness": 4000}},
        {"kitchen.light": {"on": True}},
        {"kitchen.light": 7},
        {"kitchen.heating": {"on": True, "target_temperature": "a lot"}},
    ],
)
def test_a_damaged_state_is_the_factorys(kept: object) -> None:
    assert Household(kept).settings == Household().settings


def test_any_sequence_of_commands_leaves_a_sound_home() -> None:
    choice = random.Random(7)
    home = Household()
    for _ in range(400):
        place = choice.choice(list(ROOMS))
        name = choice.choice([*ROOMS[place], "all_lights", "everything", "thermostat"])
        action = choice.choice(list(Action))
        command = Command(action, Decimal(choice.randint(-5, 110)))
        before = json.dumps(home.settings)
        try:
            what = meant(name, place, "")
            changes = home.apply(what, command)
        except HomeProblem:
            assert json.dumps(home.settings) == before
            continue
        assert bool(changes) == (json.dumps(home.settings) != before)
        assert Household(json.loads(json.dumps(home.settings))).settings == home.settings
        if any(change.name == "locked" for change in changes):
            assert action in (Action.LOCK, Action.UNLOCK)


def test_every_language_names_every_device_room_and_problem() -> None:
    everything = {name for names in ROOMS.values() for name in names} | {"all_lights", "everything", "thermostat"}
    assert _all_words().keys() == set(LANGUAGES)
    for said in _all_words().values():
        assert said.devices.keys() == everything
        assert said.rooms_of.keys() == said.rooms_in.keys() == {*ROOMS, "everywhere"}
        assert said.problems.keys() == {problem.value for problem in Problem}
        assert {noun.form for noun in said.devices.values()} <= said.running.keys()
        assert said.running.keys() == said.stopped.keys()


def test_the_manifest_names_what_the_home_has() -> None:
    catalogues = {catalogue.name: {e.entity_id for e in catalogue.entries} for catalogue in HOME.manifest.catalogues}
    devices = {name for names in ROOMS.values() for name in names} - {"front_door"}
    assert catalogues["devices"] == devices | {"all_lights", "everything", "thermostat"}
    assert catalogues["rooms"] == {*ROOMS, "everywhere"}
    assert catalogues["doors"] == {"front_door"}
    assert catalogues["dimmables"] | catalogues["lights"] | catalogues["heaters"] < catalogues["devices"]
