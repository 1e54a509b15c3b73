"""What the calculator says, in five languages. `handler.py` fills the templates; numbers are formatted by CLDR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from antiphon.skills.spoken import FALLBACK, spoken_number
from skills.calculator.arithmetic import Problem, Result

SPOKEN_DIGITS: Final = 6
"""Decimal places that are said; more are a burden to the ear."""

_LARGE: Final = Decimal(10) ** 15
_SMALL: Final = Decimal(10) ** -SPOKEN_DIGITS


@dataclass(frozen=True)
class Words:
    """The calculator's sentences in one language.

    Attributes:
        result, about: with `{number}`; `about` for what was rounded.
        minus: said before a negative number.
        scientific: with `{mantissa}` and `{exponent}`.
        problems: what it cannot do.
    """

    result: str
    about: str
    minus: str
    scientific: str
    problems: Mapping[Problem, str]


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        result="That is {number}.",
        about="That is about {number}.",
        minus="minus",
        scientific="{mantissa} times 10 to the power of {exponent}",
        problems={
            Problem.UNREADABLE: "I did not understand that calculation.",
            Problem.DIVISION_BY_ZERO: "Nothing can be divided by zero.",
            Problem.TOO_LARGE: "That number is too large for me.",
            Problem.NOT_REAL: "That has no real result.",
        },
    ),
    "de": Words(
        result="Das ergibt {number}.",
        about="Das ergibt ungefähr {number}.",
        minus="minus",
        scientific="{mantissa} mal 10 hoch {exponent}",
        problems={
            Problem.UNREADABLE: "Diese Rechnung habe ich nicht verstanden.",
            Problem.DIVISION_BY_ZERO: "Durch null kann man nicht teilen.",
            Problem.TOO_LARGE: "Diese Zahl ist mir zu groß.",
            Problem.NOT_REAL: "Dafür gibt es kein reelles Ergebnis.",
        },
    ),
    "es": Words(
        result="El resultado es {number}.",
        about="El resultado es aproximadamente {number}.",
        minus="menos",
        scientific="{mantissa} por 10 elevado a {exponent}",
        problems={
            Problem.UNREADABLE: "No he entendido ese cálculo.",
            Problem.DIVISION_BY_ZERO: "No se puede dividir entre cero.",
            Problem.TOO_LARGE: "Ese número es demasiado grande para mí.",
            Problem.NOT_REAL: "Eso no tiene un resultado real.",
        },
    ),
    "fr": Words(
        result="Cela fait {number}.",
        about="Cela fait environ {number}.",
        minus="moins",
        scientific="{mantissa} fois 10 puissance {exponent}",
        problems={
            Problem.UNREADABLE: "Je n'ai pas compris ce calcul.",
            Problem.DIVISION_BY_ZERO: "On ne peut pas diviser par zéro.",
            Problem.TOO_LARGE: "Ce nombre est trop grand pour moi.",
            Problem.NOT_REAL: "Cela n'a pas de résultat réel.",
        },
    ),
    "it": Words(
        result="Il risultato è {number}.",
        about="Il risultato è circa {number}.",
        minus="meno",
        scientific="{mantissa} per 10 elevato alla {exponent}",
        problems={
            Problem.UNREADABLE: "Non ho capito questo calcolo.",
            Problem.DIVISION_BY_ZERO: "Non si può dividere per zero.",
            Problem.TOO_LARGE: "Questo numero è troppo grande per me.",
            Problem.NOT_REAL: "Non esiste un risultato reale.",
        },
    ),
}


def words(language: str) -> Words:
    """The sentences of a language; English for one the manifest does not list."""
    return WORDS.get(language, WORDS[FALLBACK])


def sentence(result: Result, tag: str, language: str) -> str:
    """The result as one says it."""
    said = words(language)
    value = abs(result.value)
    if value and not _SMALL <= value < _LARGE:
        number, rounded = _scientific(value, tag, said)
    else:
        shown = value.quantize(_SMALL) if value.as_tuple().exponent < -SPOKEN_DIGITS else value  # type: ignore[operator]
        rounded = shown != value
        number = spoken_number(shown, tag)
    if result.value < 0:
        number = f"{said.minus} {number}"
    return (said.result if result.exact and not rounded else said.about).format(number=number)


def _scientific(value: Decimal, tag: str, said: Words) -> tuple[str, bool]:
    exponent = value.adjusted()
    mantissa = value.scaleb(-exponent)
    shown = mantissa.quantize(Decimal("0.001"))
    power = str(abs(exponent)) if exponent >= 0 else f"{said.minus} {abs(exponent)}"
    return said.scientific.format(mantissa=spoken_number(shown, tag), exponent=power), shown != mantissa
