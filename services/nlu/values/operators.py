"""What people say for the parts of an arithmetic expression, per language.

`arithmetic.py` looks phrases up here. A part is one of:
    binary operators      + - * / ^, and `%of` / `%off` ("fifteen percent of", "thirty percent off")
    postfix operators     % ("percent"), ^2 ("squared"), ^3
    prefix functions      sqrt, and `neg` for "minus five"
    two-argument verbs    sum, difference, product, divide, subtract: they take `sep` between their arguments
    `sep`                 "and", "by", "from" between the arguments of a verb
    `skip`                words that carry nothing ("the")
Longer phrases win, so "divided by" is found before "by".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

Phrase = tuple[str, ...]

SYMBOLS: Mapping[str, str] = {
    "+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "×": "*", "·": "*", "/": "/", "÷": "/", ":": "/", "^": "^",
    "%": "%", ",": "sep", "$": "skip", "€": "skip", "£": "skip",
    "²": "^2", "³": "^3", "√": "sqrt", "(": "(", ")": ")", "x": "*",
}  # fmt: skip
"""Signs that mean the same everywhere; a lone "x" counts as one because recognisers and people write it so."""

_SPOKEN: Mapping[str, Mapping[str, str]] = {
    "en": {
        "+": "plus|added to|and then add",
        "-": "minus|less|take away",
        "*": "times|time|multiplied by|multiply by|multiplied with",
        "/": "divided by|divide by|divided buy|over",
        "^": "to the power of|to the power|raised to|raised to the power of",
        "%of": "percent of|per cent of|percentages of|percent tip on|per cent tip on|% of|% tip on",
        "%off": "percent off|percent off of|per cent off|% off|% off of|percent discount on",
        "%": "percent|per cent",
        "*of": "of",
        "^2": "squared",
        "^3": "cubed",
        "sqrt": "square root of|square root|root of",
        "square": "square of",
        "cube": "cube of",
        "neg": "minus|negative",
        "sum": "sum of|total of|add|add up|adding",
        "difference": "difference between|difference of",
        "product": "product of|multiply|multiplying",
        "quotient": "quotient of|divide|dividing",
        "subtract": "subtract|subtracting|subract",
        "double": "double|twice",
        "half": "half of|half|a half of|one half of",
        "quarter": "quarter of|a quarter of|one quarter of|one fourth of",
        "third": "third of|a third of|one third of",
        "sep": "and|by|from|with|to",
        "skip": "the|number|numbers|the numbers|the two numbers|two numbers|dollars|dollar|euros",
    },
    "de": {
        "+": "plus|und",
        "-": "minus|weniger",
        "*": "mal|multipliziert mit",
        "/": "geteilt durch|dividiert durch|durch",
        "^": "hoch",
        "%of": "prozent von|% von",
        "%": "prozent",
        "*of": "von",
        "^2": "zum quadrat|im quadrat",
        "sqrt": "wurzel aus|quadratwurzel aus|wurzel von|quadratwurzel von",
        "neg": "minus",
        "sum": "summe von|summe aus|addiere",
        "difference": "differenz von|differenz zwischen|differenz aus",
        "product": "produkt von|produkt aus|multipliziere",
        "quotient": "quotient von|teile|dividiere",
        "subtract": "subtrahiere|ziehe",
        "double": "das doppelte von|doppelt",
        "half": "die hälfte von|hälfte von",
        "sep": "und|durch|mit|von",
        "skip": "der|die|das|den|zahl|zahlen|euro",
    },
    "fr": {
        "+": "plus",
        "-": "moins",
        "*": "fois|multiplié par",
        "/": "divisé par|sur",
        "^": "puissance|à la puissance",
        "%of": "pour cent de|pourcent de|% de",
        "%": "pour cent|pourcent",
        "*of": "de",
        "^2": "au carré",
        "sqrt": "racine carrée de|racine de",
        "neg": "moins",
        "sum": "somme de|additionne",
        "difference": "différence entre",
        "product": "produit de|multiplie",
        "quotient": "quotient de|divise",
        "double": "le double de|double de",
        "half": "la moitié de|moitié de",
        "sep": "et|par",
        "skip": "la|le|les|euros",
    },
    "es": {
        "+": "más|mas",
        "-": "menos",
        "*": "por|multiplicado por",
        "/": "entre|dividido por|dividido entre|dividido para",
        "^": "elevado a|a la potencia de",
        "%of": "por ciento de|% de",
        "%": "por ciento",
        "*of": "de",
        "^2": "al cuadrado",
        "sqrt": "raíz cuadrada de|raíz de",
        "neg": "menos",
        "sum": "suma de|suma",
        "difference": "diferencia entre",
        "product": "producto de|multiplica",
        "quotient": "cociente de|divide",
        "double": "el doble de|doble de",
        "half": "la mitad de|mitad de",
        "sep": "y|por|entre",
        "skip": "la|el|los|euros",
    },
    "it": {
        "+": "più",
        "-": "meno",
        "*": "per|moltiplicato per",
        "/": "diviso|diviso per|fratto",
        "^": "alla|elevato alla|elevato a",
        "%of": "per cento di|percento di|% di",
        "%": "per cento|percento",
        "*of": "di",
        "^2": "al quadrato",
        "sqrt": "radice quadrata di|radice di",
        "neg": "meno",
        "sum": "somma di|somma tra|somma",
        "difference": "differenza tra",
        "product": "prodotto di|moltiplica",
        "quotient": "quoziente di|dividi",
        "double": "il doppio di|doppio di",
        "half": "la metà di|metà di",
        "sep": "e|per|tra",
        "skip": "la|il|i|euro",
    },
}


@cache
def spoken_operators(language: str) -> Mapping[Phrase, frozenset[str]]:
    """Phrase -> the parts it may be ("minus" is `-` or `neg`); empty for a language without a table."""
    table: dict[Phrase, frozenset[str]] = {}
    for part, joined in _SPOKEN.get(language, {}).items():
        for phrase in joined.split("|"):
            key = tuple(phrase.split())
            table[key] = table.get(key, frozenset()) | {part}
    return table
