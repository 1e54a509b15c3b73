"""What was ordered, how it is said, and the list of orders at the bar; `handler.py` takes orders with it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

KEPT: Final = 1_000
"""Orders that can still be taken back; older ones have been drunk."""


@dataclass(frozen=True)
class Order:
    """One cup. Each part is its name on the menu ("sixteen ounce", "a bit of soy milk"), empty when it was not said."""

    drink: str
    size: str = ""
    shots: str = ""
    roast: str = ""
    milk: str = ""
    sugar: str = ""

    def spoken(self) -> str:
        """ "a small dark roast mocha with a double shot, whole milk and some sugar"."""
        cup = " ".join(part for part in (self.size, self.roast, self.drink) if part)
        extras = [part for part in (f"a {self.shots}" if self.shots else "", self.milk, self.sugar) if part]
        return f"{_article(cup)} {cup}" + (f" with {_listed(extras)}" if extras else "")


class OrderBook:
    """Orders at the bar, by a number that follows from the key they came with: the same key is the same order."""

    def __init__(self, kept: int = KEPT) -> None:
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._kept = kept

    def __len__(self) -> int:
        return len(self._orders)

    def place(self, key: str, order: Order) -> str:
        """Puts the order on the list, once for each key; returns its number."""
        number = hashlib.sha256(key.encode()).hexdigest()[:12]
        self._orders.setdefault(number, order)
        while len(self._orders) > self._kept:
            self._orders.popitem(last=False)
        return number

    def take_back(self, number: str) -> Order | None:
        """Strikes the order; None when there is none of that number."""
        return self._orders.pop(number, None)


def _article(words: str) -> str:
    return "an" if words[:1].lower() in "aeiou" else "a"


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
