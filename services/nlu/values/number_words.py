"""How five languages say the whole numbers from 0 to 999, and their scales.

`numbers.py` looks phrases up here; the training recipe spells its examples with the same tables. One mechanism for all
languages: each has a function that spells a number below 1,000 in the ways people say it, and the phrase table is that
function turned around. A phrase is a tuple of tokens as `text.tokenise` makes them, hyphens dropped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class NumberWords:
    """The number words of one language.

    `joiners` may stand between the parts of a number, `points` before decimals, `scales` are thousands and up;
    `compounds` are scales written into one word with what they scale ("zweitausend"), longest first; so is `glued_half`
    ("zweieinhalb"), and `one_and_a_half` are words of their own for that ("anderthalb").
    """

    spell: Callable[[int], Iterator[str]]
    scales: Mapping[str, int]
    joiners: frozenset[str]
    points: frozenset[str]
    halves: Mapping[Phrase, str]
    comma_is_decimal: bool
    compounds: tuple[str, ...] = ()
    zeros: frozenset[str] = field(default_factory=frozenset)
    glued_half: str = ""
    one_and_a_half: Mapping[str, str] = field(default_factory=dict)


@cache
def phrases(language: str) -> Mapping[Phrase, int]:
    """Every phrase of a language for the numbers below 1,000; `language` is a key of `WORDS`.

    With accents and without: people type "dieciseis".
    """
    table: dict[Phrase, int] = {}
    for number in range(1000):
        for spoken in WORDS[language].spell(number):
            for written in (spoken, _without_accents(spoken)):
                table.setdefault(tuple(written.replace("-", " ").split()), number)
    return table


def _without_accents(text: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFD", text) if not unicodedata.combining(part))


_EN_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_EN_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def _english(number: int) -> Iterator[str]:
    if number < 20:
        yield _EN_ONES[number]
    elif number < 100:
        tens, ones = divmod(number, 10)
        yield _EN_TENS[tens] + (f" {_EN_ONES[ones]}" if ones else "")
        if tens == 4:
            yield "fourty" + (f" {_EN_ONES[ones]}" if ones else "")
    else:
        hundreds, rest = divmod(number, 100)
        for head in (f"{_EN_ONES[hundreds]} hundred", *(["a hundred"] if hundreds == 1 else [])):
            if not rest:
                yield head
                continue
            for tail in _english(rest):
                yield f"{head} and {tail}"
                yield f"{head} {tail}"


_DE_ONES = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
).split()
_DE_TENS = "_ _ zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def _german(number: int) -> Iterator[str]:
    """Case folding makes `ß` an `ss`, so the table holds both spellings as one."""
    for spoken in _german_words(number):
        yield spoken.casefold()
        if "ü" in spoken or "ö" in spoken:
            yield spoken.casefold().replace("ü", "ue").replace("ö", "oe")


def _german_words(number: int) -> Iterator[str]:
    if number == 1:
        yield from ("eins", "ein", "eine", "einen", "einer")
    elif number == 2:
        yield from ("zwei", "zwo")
    elif number < 20:
        yield _DE_ONES[number]
    elif number < 100:
        tens, ones = divmod(number, 10)
        yield (f"{_DE_ONES[ones]}und" if ones else "") + _DE_TENS[tens]
        if ones:
            yield f"{_DE_ONES[ones]} und {_DE_TENS[tens]}"
    else:
        hundreds, rest = divmod(number, 100)
        for head in (f"{_DE_ONES[hundreds]}hundert", *(["hundert"] if hundreds == 1 else [])):
            if not rest:
                yield head
                continue
            tails = ("eins",) if rest == 1 else tuple(_german_words(rest))
            for tail in tails:
                yield from (f"{head}{tail}", f"{head}und{tail}", f"{head} {tail}", f"{head} und {tail}")


_FR_ONES = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit "
    "dix-neuf"
).split()
_FR_TENS = "_ _ vingt trente quarante cinquante soixante".split()


def _french(number: int) -> Iterator[str]:
    """Both genders: "vingt et un", "vingt et une heures"."""
    for spoken in _french_words(number):
        yield spoken
        if number > 1 and spoken.endswith((" un", "-un")):
            yield f"{spoken}e"


def _french_words(number: int) -> Iterator[str]:
    if number == 1:
        yield from ("un", "une")
    elif number < 20:
        yield _FR_ONES[number]
    elif number < 100:
        yield from _french_tens(number)
    else:
        hundreds, rest = divmod(number, 100)
        heads = ("cent",) if hundreds == 1 else (f"{_FR_ONES[hundreds]} cent", f"{_FR_ONES[hundreds]} cents")
        for head in heads:
            if not rest:
                yield head
                continue
            for tail in _french(rest):
                yield f"{head} {tail}"


def _french_tens(number: int) -> Iterator[str]:
    if number >= 80:
        rest = number - 80
        yield from (f"quatre-vingt {_FR_ONES[rest]}",) if rest else ("quatre-vingts", "quatre-vingt")
    elif number >= 60:
        rest = number - 60
        yield "soixante" + (f" {'et ' if rest in (1, 11) else ''}{_FR_ONES[rest]}" if rest else "")
    else:
        tens, ones = divmod(number, 10)
        yield _FR_TENS[tens] + (f" {'et ' if ones == 1 else ''}{_FR_ONES[ones]}" if ones else "")
    swiss = {7: "septante", 8: "huitante", 9: "nonante"}
    tens, ones = divmod(number, 10)
    if tens in swiss:
        yield swiss[tens] + (f" {'et ' if ones == 1 else ''}{_FR_ONES[ones]}" if ones else "")


_ES_ONES = (
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
).split()
_ES_TENS = "_ _ _ treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_ES_HUNDREDS = (
    "_ ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"
).split()


def _spanish(number: int) -> Iterator[str]:
    if number in (1, 21):
        yield from (("uno", "un", "una") if number == 1 else ("veintiuno", "veintiún"))
    elif number < 30:
        yield _ES_ONES[number]
    elif number < 100:
        tens, ones = divmod(number, 10)
        yield _ES_TENS[tens] + (f" y {_ES_ONES[ones]}" if ones else "")
    elif number == 100:
        yield "cien"
    else:
        hundreds, rest = divmod(number, 100)
        if not rest:
            yield _ES_HUNDREDS[hundreds]
            return
        for tail in _spanish(rest):
            yield f"{_ES_HUNDREDS[hundreds]} {tail}"


_IT_ONES = (
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove"
).split()
_IT_TENS = "_ _ venti trenta quaranta cinquanta sessanta settanta ottanta novanta".split()


def _italian(number: int) -> Iterator[str]:
    if number == 1:
        yield from ("uno", "un", "una")
    elif number < 20:
        yield _IT_ONES[number]
    elif number < 100:
        tens, ones = divmod(number, 10)
        stem = _IT_TENS[tens][:-1] if ones in (1, 8) else _IT_TENS[tens]
        yield stem + (_IT_ONES[ones] if ones else "")
        if ones == 3:
            yield f"{stem}tré"
    else:
        hundreds, rest = divmod(number, 100)
        head = ("" if hundreds == 1 else _IT_ONES[hundreds]) + "cento"
        if not rest:
            yield head
            return
        for tail in _italian(rest):
            yield from (f"{head}{tail}", f"{head} {tail}")


WORDS: Mapping[str, NumberWords] = {
    "en": NumberWords(
        spell=_english,
        scales={"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
        joiners=frozenset({"and"}),
        points=frozenset({"point", "dot"}),
        halves={("and", "a", "half"): "0.5", ("and", "a", "quarter"): "0.25", ("and", "three", "quarters"): "0.75"},
        comma_is_decimal=False,
        zeros=frozenset({"oh", "o"}),
    ),
    "de": NumberWords(
        spell=_german,
        scales={"tausend": 10**3, "million": 10**6, "millionen": 10**6, "milliarde": 10**9, "milliarden": 10**9},
        joiners=frozenset({"und"}),
        points=frozenset({"komma", "punkt"}),
        halves={("einhalb",): "0.5", ("und", "ein", "halb"): "0.5", ("dreiviertel",): "0.75"},
        comma_is_decimal=True,
        compounds=("tausend",),
        glued_half="einhalb",
        one_and_a_half={"anderthalb": "1.5"},
    ),
    "fr": NumberWords(
        spell=_french,
        scales={"mille": 10**3, "million": 10**6, "millions": 10**6, "milliard": 10**9, "milliards": 10**9},
        joiners=frozenset({"et"}),
        points=frozenset({"virgule", "point"}),
        halves={("et", "demi"): "0.5", ("et", "demie"): "0.5"},
        comma_is_decimal=True,
    ),
    "es": NumberWords(
        spell=_spanish,
        scales={"mil": 10**3, "millón": 10**6, "millon": 10**6, "millones": 10**6},
        joiners=frozenset({"y"}),
        points=frozenset({"coma", "punto"}),
        halves={("y", "medio"): "0.5", ("y", "media"): "0.5"},
        comma_is_decimal=True,
    ),
    "it": NumberWords(
        spell=_italian,
        scales={
            "mille": 10**3,
            "mila": 10**3,
            "milione": 10**6,
            "milioni": 10**6,
            "miliardo": 10**9,
            "miliardi": 10**9,
        },
        joiners=frozenset({"e"}),
        points=frozenset({"virgola", "punto"}),
        halves={("e", "mezzo"): "0.5", ("e", "mezza"): "0.5"},
        comma_is_decimal=True,
        compounds=("mila", "mille"),
    ),
}
"""By primary language subtag. A language without an entry reads digits only."""
