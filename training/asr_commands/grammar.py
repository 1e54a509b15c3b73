"""Sentences that people say to the clock and the calculator; used by `train.py` and `evaluate.py`.

Text is as spoken: lower case, numbers in words, no punctuation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from training.asr_commands.places import FAMOUS

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_TIME = (
    "what time is it", "what's the time", "what is the time", "what time is it now", "what's the time now",
    "what time is it right now", "tell me the time", "do you know what time it is", "do you have the time",
    "what's the current time", "what is the current time", "can you tell me the time", "could you tell me the time",
    "the time please", "what time do we have", "how late is it", "give me the time", "current time",
)  # fmt: skip
_TIME_IN = (
    "what time is it in {p}", "what time is it in {p}", "what time is it in {p}", "what's the time in {p}",
    "what is the time in {p}", "what time is it now in {p}", "what time is it right now in {p}",
    "what's the current time in {p}", "what is the current time in {p}", "tell me the time in {p}",
    "do you know what time it is in {p}", "can you tell me what time it is in {p}", "can you tell me the time in {p}",
    "what's the local time in {p}", "what is the local time in {p}", "time in {p}", "current time in {p}",
    "how late is it in {p}", "give me the time in {p}", "show me the time in {p}", "in {p} what time is it",
    "what about {p}", "and in {p}", "and what time is it in {p}", "what hour is it in {p}", "is it late in {p}",
    "what time is it in {p} and in {q}", "what is the time difference between {p} and {q}",
    "what's the time difference between {p} and {q}",
)  # fmt: skip
_DATE = (
    "what is the date", "what's the date", "what is the date today", "what's the date today", "what is today's date",
    "what's today's date", "what day is it", "what day is it today", "what day is today", "what day of the week is it",
    "which day is it", "what month is it", "what year is it", "tell me the date", "tell me today's date",
    "what date is it", "what date is it today", "today's date", "what is the day today", "what weekday is it",
    "what day will it be tomorrow", "what day is tomorrow", "what's tomorrow's date", "what day was yesterday",
    "which weekday is it today", "what week is it",
)  # fmt: skip
_DATE_IN = (
    "what day is it in {p}", "what is the date in {p}", "what's the date in {p}", "what date is it in {p}",
    "what's today's date in {p}", "which day is it in {p}", "tell me the date in {p}", "what day is it now in {p}",
)  # fmt: skip
_ASK = (
    "what is {e}", "what is {e}", "what is {e}", "what's {e}", "what's {e}", "how much is {e}", "how much is {e}",
    "calculate {e}", "compute {e}", "tell me {e}", "can you calculate {e}", "can you tell me what {e} is",
    "do you know what {e} is", "work out {e}", "what does {e} equal", "what does {e} make", "{e}", "and {e}",
    "{e} equals what", "give me {e}", "solve {e}", "what do you get for {e}", "how many is {e}", "what are {e}",
)  # fmt: skip
_BINARY = (
    "plus", "plus", "plus", "minus", "minus", "times", "times", "times", "multiplied by", "divided by", "divided by",
    "over", "to the power of", "and", "modulo",
)  # fmt: skip
_IMPERATIVE = (
    "add {a} and {b}", "add {a} to {b}", "subtract {a} from {b}", "multiply {a} by {b}", "multiply {a} and {b}",
    "divide {a} by {b}", "take {a} from {b}", "what do i get if i add {a} and {b}", "what is the sum of {a} and {b}",
    "what is the product of {a} and {b}", "what is the difference between {a} and {b}", "sum of {a} and {b}",
    "how many times does {a} go into {b}", "raise {a} to the power of {b}", "what is {a} more than {b}",
)  # fmt: skip
_POLITE = ("please {s}", "{s} please", "{s} please", "hey {s}", "okay {s}", "could you please {s}", "um {s}")


def number(value: int, *, with_and: bool = False) -> str:
    """A whole number below a billion in words; `with_and` says "two hundred and five"."""
    if value < 20:
        return _UNITS[value]
    if value < 100:
        return " ".join(part for part in (_TENS[value // 10], _UNITS[value % 10] if value % 10 else "") if part)
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if value >= size:
            head, rest = divmod(value, size)
            joint = " and " if with_and and (size == 100 or rest < 100) else " "
            tail = joint + number(rest, with_and=with_and) if rest else ""
            return f"{number(head, with_and=with_and)} {name}{tail}"
    raise AssertionError(value)


def some_number(rng: random.Random) -> str:
    """A number as people ask for: mostly small, sometimes with a decimal point or a minus."""
    digits = rng.choices((1, 2, 3, 4, 5, 6), (34, 34, 20, 7, 3, 2))[0]
    value = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
    if rng.random() < 0.2:
        value = value // 10 * 10 if value >= 10 else value
    words = number(value, with_and=rng.random() < 0.5)
    if digits >= 3 and words.startswith("one ") and rng.random() < 0.3:
        words = "a " + words.removeprefix("one ")
    if rng.random() < 0.06:
        words += " point " + " ".join(_UNITS[rng.randrange(10)] for _ in range(rng.randint(1, 2)))
    return f"minus {words}" if rng.random() < 0.02 else words


def expression(rng: random.Random) -> str:
    """A calculation: "twelve times nine", "fifteen percent of two hundred"."""
    a, b, kind = some_number(rng), some_number(rng), rng.random()
    if kind < 0.66:
        text = f"{a} {rng.choice(_BINARY)} {b}"
        return f"{text} {rng.choice(_BINARY)} {some_number(rng)}" if rng.random() < 0.12 else text
    if kind < 0.78:
        return f"{a} percent of {b}"
    if kind < 0.87:
        return rng.choice(("the square root of {a}", "square root of {a}", "the cube root of {a}")).format(a=a)
    if kind < 0.94:
        return rng.choice(("{a} squared", "{a} cubed")).format(a=a)
    return rng.choice(("half of {a}", "a third of {a}", "a quarter of {a}", "twice {a}", "double {a}")).format(a=a)


def sentence(rng: random.Random, places: Sequence[str]) -> str:
    """One command, drawn from the whole domain."""
    kinds: dict[Callable[[], str], int] = {
        lambda: rng.choice(_TIME): 6,
        lambda: rng.choice(_TIME_IN).format(p=_place(rng, places), q=_place(rng, places)): 26,
        lambda: rng.choice(_DATE): 7,
        lambda: rng.choice(_DATE_IN).format(p=_place(rng, places)): 7,
        lambda: rng.choice(_ASK).format(e=expression(rng)): 44,
        lambda: rng.choice(_IMPERATIVE).format(a=some_number(rng), b=some_number(rng)): 10,
    }
    text = rng.choices(list(kinds), list(kinds.values()))[0]()
    return rng.choice(_POLITE).format(s=text) if rng.random() < 0.1 else text


def sample(seed: int, count: int, places: Sequence[str]) -> list[str]:
    rng = random.Random(seed)
    return [sentence(rng, places) for _ in range(count)]


def _place(rng: random.Random, places: Sequence[str]) -> str:
    return rng.choice(FAMOUS) if rng.random() < 0.4 else rng.choice(places)
