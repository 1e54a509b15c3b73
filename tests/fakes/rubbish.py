"""Messages that are valid on the wire and make no sense: every field may hold anything that its type can."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

DEEPEST = 4
NUMBERS = (0, 1, -1, 2, 7, 12, 13, 24, 29, 31, 60, 99, 366, 1970, 2026, 9_999, 10_000, 2**31 - 1, -(2**31))
LONG_NUMBERS = (*NUMBERS, 2**63 - 1, -(2**63), 253_402_300_799, 10**12)
REALS = (0.0, -1.0, 0.5, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "", " ", "\0", "\x1b[31mred", "\u202eesrever", "🙂" * 40, "{}", "{0}", "{label}", "%s", "../../etc/passwd", "-",
    "x" * 9_000, "NaN", "Infinity", "1e999999999", "-0", "1E-400", "٣", "²", "1_000", "9" * 5_000, "12.5", "en",
    "de-AT", "Europe/Berlin", "Europe", "/etc/localtime", "US", "km", "Cel", "[degF]", "min", "%", "all", "timer",
    "shopping", "light", "kitchen", "everywhere", "front_door", "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,XX;INTERVAL=0",
    "FREQ=YEARLY", "((((", "1/0", "2^9^9^9", "a and b, c und d et e", "ß", "İ", "ﬁ", "\ud7ff", "a\u0301" * 50,
    "\n\t\r", "true", "null", "__class__",
)  # fmt: skip


def fill(
    message: Message,
    chance: random.Random,
    share: float = 0.5,
    likely: Mapping[str, object] | None = None,
    depth: int = 0,
) -> None:
    """Sets about that share of the message's fields, at random.

    Args:
        likely: what fields of a name hold nine times in ten, so that the message gets past the first checks; None for a
            message that is mostly there, with anything in it.
    """
    sensible = likely or {}
    for field in message.DESCRIPTOR.fields:
        nested = field.type == FieldDescriptor.TYPE_MESSAGE
        expected = field.name in sensible and not field.is_repeated and (sensible[field.name] is None) == nested
        if expected and chance.random() < 0.9:
            if nested:
                _enter(message, field, chance, share, sensible, depth)
            else:
                setattr(message, field.name, sensible[field.name])
        elif chance.random() < share:
            if nested:
                _enter(message, field, chance, share, sensible, depth)
            elif field.is_repeated:
                getattr(message, field.name).extend(_scalar(field, chance) for _ in range(chance.randrange(4)))
            else:
                setattr(message, field.name, _scalar(field, chance))


def _enter(
    message: Message, field: Any, chance: random.Random, share: float, likely: Mapping[str, object], depth: int
) -> None:
    if depth >= DEEPEST or field.message_type.GetOptions().map_entry:
        return
    inner = getattr(message, field.name)
    if not field.is_repeated:
        inner.SetInParent()
    for each in [inner.add() for _ in range(chance.randrange(4))] if field.is_repeated else [inner]:
        fill(each, chance, share, likely, depth + 1)


def _scalar(field: Any, chance: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.randrange(40))
        case FieldDescriptor.CPPTYPE_STRING:
            return chance.choice(TEXTS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return chance.choice(REALS)
        case FieldDescriptor.CPPTYPE_ENUM:
            return chance.choice([value.number for value in field.enum_type.values])
        case FieldDescriptor.CPPTYPE_INT64:
            return chance.choice(LONG_NUMBERS)
        case FieldDescriptor.CPPTYPE_INT32:
            return chance.choice(NUMBERS)
    return abs(chance.choice(NUMBERS))  # unsigned
