"""The coffee bar: what it takes, how it says it, that a key is one order, and that its phrases name what it sells."""

from __future__ import annotations

import re

import pytest

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.types.v1 import answer_pb2, understanding_pb2, value_pb2
from skills.coffee_order.handler import PARTS, CoffeeBar
from skills.coffee_order.orders import Order, OrderBook
from tests.fakes.skill_turns import answer, can_fulfill, execute, request

pytestmark = pytest.mark.unit


def part(slot: str, entity: str) -> understanding_pb2.Slot:
    """A slot as the platform fills it from the skill's catalogue."""
    value = value_pb2.Value(entity=value_pb2.EntityRef(catalogue="coffee_order.any", entity_id=entity, name=entity))
    return understanding_pb2.Slot(name=slot, text=entity.replace("_", " "), value=value)


def ordering(*slots: understanding_pb2.Slot, key: str = "key-1") -> skill_pb2.ExecuteRequest:
    """An Execute of the order."""
    return request("coffee_order.order", *slots, key=key)


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ({"coffee_drink": "mocha"}, "A mocha, coming right up."),
        (
            {"coffee_drink": "iced_coffee", "milk_amount": "a_bit_of_cream"},
            "An iced coffee with a bit of cream, coming right up.",
        ),
        (
            {
                "coffee_drink": "house_coffee", "size": "eight_ounce", "number_of_shots": "double_shot",
                "sugar_amount": "sugar",
            },
            "An eight ounce house coffee with a double shot and sugar, coming right up.",
        ),
        (
            {
                "coffee_drink": "latte", "size": "small", "roast": "dark_roast", "number_of_shots": "triple_shot",
                "milk_amount": "lots_of_whole_milk", "sugar_amount": "some_brown_sugar",
            },
            "A small dark roast latte with a triple shot, lots of whole milk and some brown sugar, coming right up.",
        ),
    ],
)  # fmt: skip
def test_an_order_is_said_as_one_would(slots: dict[str, str], said: str) -> None:
    heard, reason = answer(CoffeeBar(), ordering(*(part(slot, entity) for slot, entity in slots.items())))
    assert heard == said
    assert not reason


def test_an_order_is_an_effect_that_can_be_undone() -> None:
    bar = CoffeeBar()
    done = execute(bar, ordering(part("coffee_drink", "americano")))[-1].done
    assert done.outcome == skill_pb2.EXECUTION_OUTCOME_COMPLETED
    assert [effect.kind for effect in done.receipt.effects] == ["order_placed"]
    assert done.receipt.effects[0].side_effect == manifest_pb2.SIDE_EFFECT_REVERSIBLE
    assert done.receipt.effects[0].description == "an americano"
    asked = request("coffee_order.cancel", key="key-2")
    asked.skill_state = done.skill_state
    heard, reason = answer(bar, asked)
    assert (heard, reason, len(bar.orders)) == ("All right, I cancelled an americano.", "", 0)
    asked.idempotency_key = "key-3"
    assert answer(bar, asked) == ("There is no coffee order to cancel.", "NOTHING_ORDERED")


def test_a_key_is_one_order_even_when_the_host_has_forgotten_it() -> None:
    book = OrderBook()
    first = book.place("key-1", Order("mocha"))
    assert book.place("key-1", Order("mocha")) == first
    assert book.place("key-2", Order("mocha")) != first
    assert len(book) == 2


def test_the_list_of_orders_is_bounded() -> None:
    book = OrderBook(kept=3)
    numbers = [book.place(f"key-{number}", Order("latte")) for number in range(10)]
    assert len(book) == 3
    assert book.take_back(numbers[0]) is None
    assert book.take_back(numbers[-1]) == Order("latte")


def test_a_missing_drink_is_asked_for() -> None:
    bar = CoffeeBar()
    events = execute(bar, ordering(part("size", "large")))
    assert events[0].prompt.kind == answer_pb2.PROMPT_KIND_ELICIT_SLOT
    assert events[0].prompt.slot == "coffee_drink"
    assert events[-1].done.outcome == skill_pb2.EXECUTION_OUTCOME_AWAITING_USER
    assert len(bar.orders) == 0


@pytest.mark.parametrize(
    "slot",
    [
        part("coffee_drink", "tea"),
        part("coffee_drink", ""),
        part("coffee_drink", "mocha\x00"),
        part("coffee_drink", "m" * 100_000),
        understanding_pb2.Slot(name="coffee_drink", text="mocha", value=value_pb2.Value(text="mocha")),
        understanding_pb2.Slot(name="coffee_drink", value=value_pb2.Value(integer=7)),
    ],
    ids=["unknown", "empty", "control", "huge", "text", "integer"],
)
def test_what_is_not_on_the_menu_is_refused_in_words(slot: understanding_pb2.Slot) -> None:
    bar = CoffeeBar()
    assert answer(bar, ordering(slot)) == ("Sorry, we don't have that on the menu.", "NOT_ON_THE_MENU")
    assert can_fulfill(bar, ordering(slot)).fulfilment == understanding_pb2.FULFILMENT_MAYBE
    assert len(bar.orders) == 0


def test_words_that_are_a_name_count_as_they_are() -> None:
    """The platform takes "some" for an article and finds milk; the menu has both."""
    slot = part("milk_amount", "milk")
    slot.text = "Some  milk"
    assert answer(CoffeeBar(), ordering(part("coffee_drink", "mocha"), slot))[0] == (
        "A mocha with some milk, coming right up."
    )
    slot.text = "milk of some sort"
    assert (
        answer(CoffeeBar(), ordering(part("coffee_drink", "mocha"), slot))[0] == "A mocha with milk, coming right up."
    )


def test_state_that_is_not_ours_cancels_nothing() -> None:
    asked = request("coffee_order.cancel")
    asked.skill_state = b"\xff\xfe" * 4_000
    assert answer(CoffeeBar(), asked)[1] == "NOTHING_ORDERED"
    assert can_fulfill(CoffeeBar(), request("coffee_order.cancel")).fulfilment == understanding_pb2.FULFILMENT_MAYBE


def test_the_manifest_fits_itself() -> None:
    """Slots of the phrases are slots of the intent, their catalogues exist, and no name stands for two things."""
    manifest = CoffeeBar.manifest
    order = next(intent for intent in manifest.intents if intent.name == "order")
    slots = {slot.name: slot for slot in order.slots}
    assert set(slots) == set(PARTS)
    catalogues = {catalogue.name: catalogue for catalogue in manifest.catalogues}
    for phrase in order.phrases[0].phrases:
        named = re.findall(r"\{([^{}|]*)[^{}]*\}", phrase)
        assert "coffee_drink" in named
        assert len(set(named)) == len(named)
        assert set(named) <= set(slots)
    for slot in order.slots:
        names = [name.text for entry in catalogues[slot.catalogue].entries for name in entry.names]
        assert len(set(names)) == len(names)
        assert all(
            entry.entity_id == entry.names[0].text.replace(" ", "_") for entry in catalogues[slot.catalogue].entries
        )
