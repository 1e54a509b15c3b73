"""Unit conversion: exact factors, spoken numbers, and honest refusals in five languages."""

from __future__ import annotations

from fractions import Fraction

import pytest

from antiphon.types.v1 import understanding_pb2
from skills.units.handler import UNITS
from skills.units.measures import MEASURES, ConversionProblem, Kind, Problem, convert, number
from skills.units.words import WORDS
from tests.fakes.skill_turns import answer, can_fulfill, execute, request

pytestmark = pytest.mark.unit


def quantity(value: str, unit: str, *others: str) -> understanding_pb2.Slot:
    slot = understanding_pb2.Slot(name="quantity", text="that much")
    slot.value.quantity.value.value, slot.value.quantity.unit = value, unit
    for other in others:
        alternative = slot.alternatives.add()
        alternative.quantity.value.value, alternative.quantity.unit = value, other
    return slot


def unit(code: str, text: str = "") -> understanding_pb2.Slot:
    slot = understanding_pb2.Slot(name="unit", text=text)
    slot.value.entity.entity_id = code
    return slot


def said(*slots: understanding_pb2.Slot, locale: str = "en", region: str = "") -> tuple[str, str]:
    asked = request("units.convert", *slots, locale=locale)
    asked.context.session.region = region
    return answer(UNITS, asked)


@pytest.mark.parametrize(
    ("locale", "five_miles", "one_hour", "cold"),
    [
        (
            "en",
            "5 miles are about 8.05 kilometres.",
            "One hour is 60 minutes.",
            "Minus 40 degrees Fahrenheit is minus 40 degrees Celsius.",
        ),
        (
            "de",
            "5 Meilen sind ungefähr 8,05 Kilometer.",
            "Eine Stunde sind 60 Minuten.",
            "Minus 40 Grad Fahrenheit sind minus 40 Grad Celsius.",
        ),
        (
            "es",
            "5 millas son aproximadamente 8,05 kilómetros.",
            "Una hora son 60 minutos.",
            "Menos 40 grados Fahrenheit son menos 40 grados Celsius.",
        ),
        (
            "fr",
            "5 miles font environ 8,05 kilomètres.",
            "Une heure fait 60 minutes.",
            "Moins 40 degrés Fahrenheit font moins 40 degrés Celsius.",
        ),
        (
            "it",
            "5 miglia corrispondono a circa 8,05 chilometri.",
            "Un'ora corrisponde a 60 minuti.",
            "Meno 40 gradi Fahrenheit corrispondono a meno 40 gradi Celsius.",
        ),
    ],
)
def test_conversions_are_said_as_people_speak(locale: str, five_miles: str, one_hour: str, cold: str) -> None:
    assert said(quantity("5", "[mi_i]"), unit("km"), locale=locale) == (five_miles, "")
    assert said(quantity("1", "h"), unit("min"), locale=locale) == (one_hour, "")
    assert said(quantity("-40", "[degF]"), unit("Cel"), locale=locale) == (cold, "")


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        # Published equivalents: NIST Special Publication 1038, tables 6 to 8.
        ("1", "[mi_i]", "m", "1609.344"),
        ("1", "[lb_av]", "g", "453.59237"),
        ("1", "[gal_us]", "L", "3.785411784"),
        ("1", "[gal_br]", "L", "4.54609"),
        ("8", "[pt_br]", "[gal_br]", "1"),
        ("128", "[foz_us]", "[gal_us]", "1"),
        ("160", "[foz_br]", "[gal_br]", "1"),
        ("48", "[tsp_us]", "[cup_us]", "1"),
        ("14", "[lb_av]", "[stone_av]", "1"),
        ("2240", "[lb_av]", "[lton_av]", "1"),
        ("640", "[acr_us]", "[smi_us]", "1"),
        ("43560", "[sft_i]", "[acr_us]", "1"),
        ("1", "[nmi_i]", "m", "1852"),
        ("1", "[kn_i]", "km/h", "1.852"),
        ("100", "km/h", "m/s", "250/9"),
        ("98.6", "[degF]", "Cel", "37"),
        ("0", "K", "[degF]", "-459.67"),
        ("1", "GiBy", "By", "1073741824"),
        ("1", "GBy", "MBy", "1000"),
        ("1", "a", "d", "365.25"),
    ],
)
def test_factors_are_exact(value: str, source: str, target: str, expected: str) -> None:
    assert convert(number(value), source, target) == Fraction(expected)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_unit_converts_there_and_back(kind: Kind) -> None:
    codes = [code for code, measure in MEASURES.items() if measure.kind is kind]
    for one in codes:
        for other in codes:
            there = convert(number("300"), one, other)
            base, back = MEASURES[other], MEASURES[one]
            assert (there * base.factor + base.offset - back.offset) / back.factor == 300


def test_the_catalogue_and_the_table_name_the_same_units() -> None:
    entries = {entry.entity_id: entry for entry in UNITS.manifest.catalogues[0].entries}
    assert entries.keys() == MEASURES.keys()
    for entry in entries.values():
        for language in WORDS:
            assert sum(name.language_code == language for name in entry.names) >= 2, (entry.entity_id, language)


def test_one_name_is_one_unit() -> None:
    names = [
        (name.language_code, name.text.casefold(), entry.entity_id)
        for entry in UNITS.manifest.catalogues[0].entries
        for name in entry.names
    ]
    units: dict[tuple[str, str], str] = {}
    for language, name, code in names:
        assert units.setdefault((language, name), code) == code


def test_the_region_tells_gallons_apart_unless_the_words_do() -> None:
    assert said(quantity("10", "L"), unit("[gal_us]", "gallons"))[0] == "10 litres are about 2.64 gallons."
    british = said(quantity("10", "L"), unit("[gal_us]", "gallons"), region="GB")[0]
    assert british == "10 litres are about 2.2 imperial gallons."
    american = said(quantity("10", "L"), unit("[gal_us]", "us gallons"), region="GB")[0]
    assert american == "10 litres are about 2.64 gallons."


def test_thirty_degrees_in_celsius_are_fahrenheit() -> None:
    assert said(quantity("30", "Cel", "[degF]"), unit("Cel"))[0].startswith("30 degrees Fahrenheit is about minus 1.1")


def test_an_ounce_in_millilitres_is_a_fluid_one() -> None:
    assert said(quantity("2", "[oz_av]"), unit("mL"))[0] == "2 fluid ounces are about 59.15 millilitres."


@pytest.mark.parametrize(
    ("value", "source", "target", "words"),
    [
        ("100", "[mi_i]", "km", "about 160.9 kilometres"),
        ("5", "[mi_i]", "[ft_i]", "are 26,400 feet"),
        ("1", "[in_i]", "cm", "is 2.54 centimetres"),
        ("6", "[ft_i]", "m", "about 1.83 metres"),
        ("1", "mm", "[mi_i]", "about 6.214 times 10 to the power of minus 7 miles"),
        ("1e25", "km", "mm", "1 times 10 to the power of 31 millimetres"),
        ("123456", "TBy", "bit", "about 9.876 times 10 to the power of 17 bits"),
        ("0", "m", "km", "0 metres are 0 kilometres"),
    ],
)
def test_numbers_are_rounded_for_the_ear(value: str, source: str, target: str, words: str) -> None:
    assert words in said(quantity(value, source), unit(target))[0]


@pytest.mark.parametrize("locale", sorted(WORDS))
def test_what_does_not_convert_is_admitted(locale: str) -> None:
    text, reason = said(quantity("3", "km"), unit("kg"), locale=locale)
    assert reason == "INCOMPATIBLE_UNITS"
    assert text.endswith(".")
    assert text.startswith(("Kilom", "Kilóm", "Chilom"))
    assert said(quantity("3", "K"), unit("Cel"), locale=locale)[1] == ""
    assert said(quantity("-3", "K"), unit("Cel"), locale=locale)[1] == "BELOW_ABSOLUTE_ZERO"
    assert said(quantity("-500", "[degF]"), unit("Cel"), locale=locale)[1] == "BELOW_ABSOLUTE_ZERO"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1e400", "NUMBER_OUT_OF_RANGE"),
        ("1e-400", "NUMBER_OUT_OF_RANGE"),
        ("1e999999999999999999", "NUMBER_OUT_OF_RANGE"),
        ("9" * 10_000, "NUMBER_OUT_OF_RANGE"),
        ("NaN", "UNREADABLE_QUANTITY"),
        ("Infinity", "UNREADABLE_QUANTITY"),
        ("", "UNREADABLE_QUANTITY"),
        ("five", "UNREADABLE_QUANTITY"),
        ("1\x00", "UNREADABLE_QUANTITY"),
    ],
)
def test_strange_numbers(value: str, reason: str) -> None:
    assert said(quantity(value, "m"), unit("km"))[1] == reason


@pytest.mark.parametrize("code", ["furlong", "[MI_I]", "KM", "\0", "x" * 10_000])
def test_unknown_units(code: str) -> None:
    assert said(quantity("5", code), unit("km"))[1] == "UNKNOWN_UNIT"
    assert said(quantity("5", "km"), unit(code))[1] == "UNKNOWN_UNIT"


def test_missing_or_untyped_slots() -> None:
    assert said(quantity("5", ""), unit("km"))[1] == "UNIT_MISSING"
    assert said(quantity("5", "1"), unit("km"))[1] == "UNIT_MISSING"
    assert said(unit("km"))[1] == "UNREADABLE_QUANTITY"
    assert said(quantity("5", "km"))[1] == "UNIT_MISSING"
    assert said()[1] == "UNIT_MISSING"
    assert said(understanding_pb2.Slot(name="quantity", text="much"), unit("km"))[1] == "UNREADABLE_QUANTITY"
    plain = understanding_pb2.Slot(name="quantity")
    plain.value.integer = 5
    assert said(plain, unit("km"))[1] == "UNIT_MISSING"


def test_a_unit_without_a_typed_value_goes_by_its_name() -> None:
    slot = understanding_pb2.Slot(name="unit", text="Kilometern")
    assert said(quantity("5", "[mi_i]"), slot, locale="de")[0] == "5 Meilen sind ungefähr 8,05 Kilometer."


def test_a_length_of_time_converts() -> None:
    slot = understanding_pb2.Slot(name="quantity", text="an hour and a half")
    slot.value.duration.seconds = 5400
    assert said(slot, unit("min"))[0] == "5,400 seconds are 90 minutes."


def test_what_the_skill_says_when_only_asked() -> None:
    def asked(*slots: understanding_pb2.Slot) -> tuple[int, str]:
        told = can_fulfill(UNITS, request("units.convert", *slots))
        return told.fulfilment, told.reason

    assert asked(quantity("5", "[mi_i]"), unit("km")) == (understanding_pb2.FULFILMENT_YES, "")
    assert asked(quantity("5", "m"), unit("kg")) == (understanding_pb2.FULFILMENT_MAYBE, "INCOMPATIBLE_UNITS")
    assert asked(unit("kg"))[0] == understanding_pb2.FULFILMENT_NO


def test_the_quantity_stays_in_focus() -> None:
    done = execute(UNITS, request("units.convert", quantity("5", "[mi_i]"), unit("km")))[-1].done
    assert [slot.name for slot in done.focus] == ["quantity"]


def test_problems_are_worded_in_every_language() -> None:
    for words in WORDS.values():
        assert words.problems.keys() == set(Problem)


def test_another_language_is_answered_in_english() -> None:
    assert said(quantity("5", "[mi_i]"), unit("km"), locale="sv")[0].startswith("5 miles are about 8")


def test_numbers_are_bounded() -> None:
    with pytest.raises(ConversionProblem) as raised:
        number("1e31")
    assert raised.value.problem is Problem.OUT_OF_RANGE
