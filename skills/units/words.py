"""What the unit converter says, in five languages. `handler.py` calls `conversion` and `refusal`.

Numbers and plurals follow CLDR; the names of units are those of the manifest's catalogue, where the first of a locale
is the singular and the second what follows any other number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills.spoken import FALLBACK, capital, locale_of, spoken_number
from skills.units.measures import MEASURES, Kind, Problem

_LARGE: Final = Decimal(10) ** 15
_SMALL: Final = Decimal(10) ** -6


@dataclass(frozen=True)
class Words:
    """One language.

    Attributes:
        one, many: with `{said}` and `{result}`: for one of a unit, and for any other number of it.
        about: said before a result that was rounded.
        minus: said before a negative number.
        scientific: with `{mantissa}` and `{exponent}`.
        masculine, feminine: the number one before a name.
        feminines: first words of names that are feminine.
        problems: what it cannot do; DIFFERENT_KINDS with `{one}` and `{other}`.
        different: the same when it does not know both units.
        elided: `feminine` before a vowel, where it is shortened.
    """

    one: str
    many: str
    about: str
    minus: str
    scientific: str
    masculine: str
    feminine: str
    feminines: frozenset[str]
    problems: Mapping[Problem, str]
    different: str
    elided: str = ""


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        one="{said} is {result}.",
        many="{said} are {result}.",
        about="about",
        minus="minus",
        scientific="{mantissa} times 10 to the power of {exponent}",
        masculine="One",
        feminine="One",
        feminines=frozenset(),
        problems={
            Problem.UNREADABLE: "I did not understand what to convert.",
            Problem.UNIT_MISSING: "Please tell me the units, for example five miles in kilometres.",
            Problem.UNKNOWN_UNIT: "I do not know that unit.",
            Problem.DIFFERENT_KINDS: "{one} and {other} measure different things, so I cannot convert them.",
            Problem.OUT_OF_RANGE: "That number is beyond what I can convert.",
            Problem.BELOW_ZERO: "Nothing is that cold: it would be below absolute zero.",
        },
        different="Those units measure different things, so I cannot convert them.",
    ),
    "de": Words(
        one="{said} sind {result}.",
        many="{said} sind {result}.",
        about="ungefähr",
        minus="minus",
        scientific="{mantissa} mal 10 hoch {exponent}",
        masculine="Ein",
        feminine="Eine",
        feminines=frozenset(
            "Meile Seemeile Tonne US-Tonne britische(Tonne) Unze Gallone britische(Gallone) Flüssigunze "
            "britische(Flüssigunze) Quadratmeile Sekunde Minute Stunde Woche".split()
        ),
        problems={
            Problem.UNREADABLE: "Ich habe nicht verstanden, was ich umrechnen soll.",
            Problem.UNIT_MISSING: "Nenne mir bitte die Einheiten, zum Beispiel fünf Meilen in Kilometer.",
            Problem.UNKNOWN_UNIT: "Diese Einheit kenne ich nicht.",
            Problem.DIFFERENT_KINDS: "{one} und {other} messen Verschiedenes, das kann man nicht umrechnen.",
            Problem.OUT_OF_RANGE: "Mit dieser Zahl kann ich nicht umrechnen.",
            Problem.BELOW_ZERO: "So kalt ist nichts: Das läge unter dem absoluten Nullpunkt.",
        },
        different="Diese Einheiten messen Verschiedenes, das kann man nicht umrechnen.",
    ),
    "es": Words(
        one="{said} son {result}.",
        many="{said} son {result}.",
        about="aproximadamente",
        minus="menos",
        scientific="{mantissa} por 10 elevado a {exponent}",
        masculine="Un",
        feminine="Una",
        feminines=frozenset(
            "milla yarda pulgada tonelada libra onza pinta taza cucharada cucharadita hectárea hora semana".split()
        ),
        problems={
            Problem.UNREADABLE: "No he entendido qué tengo que convertir.",
            Problem.UNIT_MISSING: "Dime las unidades, por favor: por ejemplo, cinco millas en kilómetros.",
            Problem.UNKNOWN_UNIT: "No conozco esa unidad.",
            Problem.DIFFERENT_KINDS: "{one} y {other} miden cosas distintas, así que no se pueden convertir.",
            Problem.OUT_OF_RANGE: "No puedo hacer conversiones con ese número.",
            Problem.BELOW_ZERO: "Nada puede estar tan frío: estaría por debajo del cero absoluto.",
        },
        different="Esas unidades miden cosas distintas, así que no se pueden convertir.",
    ),
    "fr": Words(
        one="{said} fait {result}.",
        many="{said} font {result}.",
        about="environ",
        minus="moins",
        scientific="{mantissa} fois 10 puissance {exponent}",
        masculine="Un",
        feminine="Une",
        feminines=frozenset("tonne livre once pinte tasse cuillère seconde minute heure semaine année".split()),
        problems={
            Problem.UNREADABLE: "Je n'ai pas compris ce qu'il faut convertir.",
            Problem.UNIT_MISSING: "Donne-moi les unités, s'il te plaît : par exemple, cinq miles en kilomètres.",
            Problem.UNKNOWN_UNIT: "Je ne connais pas cette unité.",
            Problem.DIFFERENT_KINDS: "{one} et {other} ne mesurent pas la même chose : impossible de convertir.",
            Problem.OUT_OF_RANGE: "Je ne peux pas convertir un tel nombre.",
            Problem.BELOW_ZERO: "Rien n'est aussi froid : ce serait sous le zéro absolu.",
        },
        different="Ces unités ne mesurent pas la même chose : impossible de convertir.",
    ),
    "it": Words(
        one="{said} corrisponde a {result}.",
        many="{said} corrispondono a {result}.",
        about="circa",
        minus="meno",
        scientific="{mantissa} per 10 elevato alla {exponent}",
        masculine="Un",
        feminine="Una",
        feminines=frozenset("iarda tonnellata libbra pinta tazza settimana ora oncia".split()),
        problems={
            Problem.UNREADABLE: "Non ho capito che cosa devo convertire.",
            Problem.UNIT_MISSING: "Dimmi le unità, per favore: per esempio, cinque miglia in chilometri.",
            Problem.UNKNOWN_UNIT: "Non conosco questa unità.",
            Problem.DIFFERENT_KINDS: "{one} e {other} misurano cose diverse, quindi non si possono convertire.",
            Problem.OUT_OF_RANGE: "Non posso convertire un numero del genere.",
            Problem.BELOW_ZERO: "Niente è così freddo: sarebbe sotto lo zero assoluto.",
        },
        different="Queste unità misurano cose diverse, quindi non si possono convertire.",
        elided="Un'",
    ),
}


@dataclass
class Names:
    """What units are called, from the manifest's catalogue."""

    catalogue: manifest_pb2.Catalogue
    _names: dict[tuple[str, str], list[str]] = field(default_factory=dict, init=False)
    _codes: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for entry in self.catalogue.entries:
            for name in entry.names:
                self._names.setdefault((entry.entity_id, name.language_code), []).append(name.text)
                self._codes[name.language_code, name.text.casefold()] = entry.entity_id

    def name(self, code: str, language: str, *, plural: bool) -> str:
        """Singular or plural in a language; English where there is none."""
        names = self._names.get((code, language)) or self._names[code, FALLBACK]
        return names[1] if plural and len(names) > 1 else names[0]

    def code(self, said: str, language: str) -> str:
        """The unit that is called so; empty when none is."""
        return self._codes.get((language, said[:100].strip().casefold()), "")

    def qualified(self, code: str, said: str, language: str) -> bool:
        """Whether the words say which of two units of a name is meant ("US gallon")."""
        names = self._names.get((code, language), [])
        return said.casefold() in (name.casefold() for name in names[2:])


def words(language: str) -> Words:
    """The sentences of a language; English for one the manifest does not list."""
    return WORDS.get(language, WORDS[FALLBACK])


def conversion(value: Decimal, source: str, result: Fraction, target: str, names: Names, tag: str) -> str:
    """The result as one says it: "5 miles are about 8.05 kilometres"."""
    language = _language(tag)
    say = words(language)
    shown = _rounded(result, MEASURES[target].kind)
    said = _named(value, source, names, tag)
    found = _named(shown, target, names, tag)
    if Fraction(shown) != result:
        found = f"{say.about} {found}"
    single = locale_of(tag).plural_form(abs(value)) == "one" or (
        language == "en" and MEASURES[source].kind is Kind.TEMPERATURE  # "20 degrees Celsius is ..."
    )
    if value == 1:
        said = _one(names.name(source, language, plural=False), say)
    return capital((say.one if single else say.many).format(said=said, result=found))


def refusal(problem: Problem, told: tuple[str, str], names: Names, tag: str) -> str:
    """Why there is no result."""
    language = _language(tag)
    say = words(language)
    if problem is not Problem.DIFFERENT_KINDS:
        return say.problems[problem]
    if not all(told):
        return say.different
    one, other = (names.name(code, language, plural=True) for code in told)
    return capital(say.problems[problem].format(one=one, other=other))


def _rounded(result: Fraction, kind: Kind) -> Decimal:
    """To what an ear keeps: whole numbers from a thousand on, else two places, three digits where it is smaller."""
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(result.numerator) / Decimal(result.denominator)
        size = exact.adjusted()
        if _spelt(abs(exact)):
            places = 3 - size
        elif kind is Kind.TEMPERATURE:
            places = 1
        else:
            places = 0 if size >= 3 else 1 if size == 2 else 2 if size >= 0 else 2 - size
        shown = exact.quantize(Decimal(1).scaleb(-places))
        # What has few digits anyway is said whole: a foot is 0.3048 metres.
        four = exact.quantize(Decimal(1).scaleb(size - 3)) if exact else shown
        return (four if four == exact else shown).normalize() + Decimal(0)


def _spelt(size: Decimal) -> bool:
    """Whether a number is said as a power of ten."""
    return bool(size) and not _SMALL <= size < _LARGE


def _named(value: Decimal, code: str, names: Names, tag: str) -> str:
    language, size = _language(tag), abs(value)
    say = words(language)
    if _spelt(size):
        number, plural = _scientific(size, tag, say), True
    else:
        number, plural = spoken_number(size, tag), locale_of(tag).plural_form(size) != "one"
    sign = f"{say.minus} " if value < 0 else ""
    return f"{sign}{number} {names.name(code, language, plural=plural)}"


def _scientific(size: Decimal, tag: str, say: Words) -> str:
    exponent = size.adjusted()
    mantissa = size.scaleb(-exponent).quantize(Decimal("0.001"))
    power = str(exponent) if exponent >= 0 else f"{say.minus} {-exponent}"
    return say.scientific.format(mantissa=spoken_number(mantissa, tag), exponent=power)


def _one(name: str, say: Words) -> str:
    """One of a unit: "one mile", "eine Meile", "un'ora"."""
    first, _, rest = name.partition(" ")
    if first not in say.feminines and f"{first}({rest})" not in say.feminines:
        return f"{say.masculine} {name}"
    if say.elided and first[0] in "aeiou":
        return f"{say.elided}{name}"
    return f"{say.feminine} {name}"


def _language(tag: str) -> str:
    language = tag.replace("_", "-").partition("-")[0].lower()
    return language if language in WORDS else FALLBACK
