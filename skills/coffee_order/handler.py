"""The coffee bar: takes an order, and takes it back. `__main__.py` serves it.

Parts of an order come as entities of this skill's own catalogues. What is not on the menu is refused in words, for the
platform may have understood something else than was meant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.types.v1 import understanding_pb2
from skills.coffee_order.orders import Order, OrderBook

PARTS: Final[Mapping[str, str]] = {
    "coffee_drink": "drink",
    "size": "size",
    "number_of_shots": "shots",
    "roast": "roast",
    "milk_amount": "milk",
    "sugar_amount": "sugar",
}
"""Slots, and the part of an `Order` that each is."""


class NotOnTheMenu(ValueError):
    """A slot holds something that this bar does not serve."""


class CoffeeBar(Skill):
    """Intents `order` and `cancel`. What was ordered last in a session is kept in the session's state."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    def __init__(self) -> None:
        self.orders = OrderBook()
        self._menu = menu(self.manifest)

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """YES for what is on the menu."""
        try:
            order = self._order(turn) if turn.intent == "order" else None
        except NotOnTheMenu:
            return Answerable.MAYBE, "NOT_ON_THE_MENU"
        if turn.intent == "cancel" and not turn.state:
            return Answerable.MAYBE, "NOTHING_ORDERED"
        return Answerable.YES, "" if order is None or order.drink else "DRINK_MISSING"

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """Places or strikes an order."""
        steps = self._take_back(turn) if turn.intent == "cancel" else self._take(turn)
        for event in steps:
            yield event

    def _take(self, turn: Turn) -> list[Event]:
        try:
            order = self._order(turn)
        except NotOnTheMenu:
            return [turn.say("Sorry, we don't have that on the menu."), turn.decline("NOT_ON_THE_MENU")]
        if not order.drink:
            return [turn.ask("Which coffee would you like?", "coffee_drink")]
        number = self.orders.place(turn.idempotency_key, order)
        spoken = order.spoken()
        said = turn.say(f"{spoken[0].upper()}{spoken[1:]}, coming right up.")
        return [said, turn.changed(_effect(number, "order_placed", spoken), state=number.encode())]

    def _take_back(self, turn: Turn) -> list[Event]:
        number = turn.state.decode("ascii", "replace")
        order = self.orders.take_back(number)
        if order is None:
            return [turn.say("There is no coffee order to cancel."), turn.decline("NOTHING_ORDERED")]
        spoken = order.spoken()
        said = turn.say(f"All right, I cancelled {spoken}.")
        return [said, turn.changed(_effect(number, "order_cancelled", spoken))]

    def _order(self, turn: Turn) -> Order:
        """What was asked for. Raises NotOnTheMenu."""
        parts = {}
        for slot, part in PARTS.items():
            if (said := turn.slot(slot)) is not None:
                parts[part] = name_on_menu(said, self._menu[slot])
        return Order(**{"drink": "", **parts})


def name_on_menu(slot: understanding_pb2.Slot, names: Mapping[str, str]) -> str:
    """What the slot is called on the menu. Raises NotOnTheMenu.

    Words that are a name themselves count as they are: "some milk" is not "milk" here, though an article more or less
    is the same thing to the platform.

    Args:
        names: entity -> its name.
    """
    entity = slot.value.entity.entity_id if slot.value.WhichOneof("kind") == "entity" else ""
    if entity not in names:
        raise NotOnTheMenu(slot.name)
    said = "_".join(slot.text.lower().split())
    return names.get(said, names[entity])


def menu(manifest: manifest_pb2.SkillManifest) -> dict[str, dict[str, str]]:
    """slot -> entity -> its name, for the slots of an order."""
    names = {
        catalogue.name: {entry.entity_id: entry.names[0].text for entry in catalogue.entries}
        for catalogue in manifest.catalogues
    }
    order = next(intent for intent in manifest.intents if intent.name == "order")
    return {slot.name: names[slot.catalogue] for slot in order.slots}


def _effect(number: str, kind: str, description: str) -> skill_pb2.Effect:
    return skill_pb2.Effect(
        effect_id=f"{number}.{kind}",
        kind=kind,
        side_effect=manifest_pb2.SIDE_EFFECT_REVERSIBLE,
        description=description,
    )
