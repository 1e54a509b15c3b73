"""What stands in figures, written out in five languages, and where each part of it comes from."""

from __future__ import annotations

import random
import re
import time

import pytest

from services.tts.normalizer import normalize

pytestmark = pytest.mark.unit

SPOKEN: dict[str, dict[str, str]] = {
    "en-US": {
        "It is 2026-11-20.": "It is November 20th, 20 26.",
        "11/20/2026": "November 20th, 20 26",
        "11/12/2026": "November 12th, 20 26",
        "20.11.2026": "November 20th, 20 26",
        "November 20, 2026": "November 20th, 20 26",
        "in 1999": "in 19 99",
        "1905": "19 oh 5",
        "2005.": "2005.",
        "1999 people": "1999 people",
        "the 1990s": "the 1990s",
        "7:30": "7 30",
        "7:05 pm": "7 oh 5 pm",
        "7:00": "7 o'clock",
        "at 7:00 a.m.": "at 7 a.m.",
        "7:30-8:30": "7 30 to 8 30",
        "2026-11-20T14:30:00Z": "November 20th, 20 26, 14 30",
        "3.5": "3.5",
        "3,5": "3.5",
        "1,234.5": "1234.5",
        "1.234,5": "1234.5",
        "3rd": "3rd",
        "7:05\u202fPM": "7 oh 5\u202fPM",
        "at 9:15am": "at 9 15 am",
        "It's 7:05pm.": "It's 7 oh 5 pm.",
        "00:00": "midnight",
        "25:99": "25:99",
        "1 000": "1 000",
        "$3, please": "3 dollars, please",
        "£3.2bn": "£3.2bn",
        "$-5": "$-5",
        "-$5.20": "minus 5 dollars and 20 cents",
        "$5.20": "5 dollars and 20 cents",
        "$1": "1 dollar",
        "$0.01": "1 cent",
        "$5 million": "5 million dollars",
        "8.05 km": "8.05 kilometers",
        "1 km": "1 kilometer",
        "20 °C": "20 degrees Celsius",
        "-5 °C": "minus 5 degrees Celsius",
        "10-20 km": "10 to 20 kilometers",
        "1999-2005": "19 99 to 2005",
        "5%": "5%",
        "555-1234": "five five five, one two three four",
        "(555) 123-4567": "five five five, one two three, four five six seven",
        "007": "zero zero seven",
        "1/2": "one half",
        "1.2.3": "1.2.3",
    },
    "en-GB": {
        "11/12/2026": "the 11th of December, 20 26",
        "20 November 2026": "the 20th of November 20 26",
        "£1.50": "1 pound and 50 pence",
    },
    "de": {
        "20.11.2026": "zwanzigster November 2026",
        "am 20.11.2026": "am zwanzigsten November 2026",
        "Heute ist der 3. Mai": "Heute ist der dritte Mai",
        "am 20.11. um 8": "am zwanzigsten November um 8",
        "im 3. Stock": "im dritten Stock",
        "Es sind 3. Dann": "Es sind 3. Dann",
        "14:30 Uhr": "14 Uhr 30",
        "14.30 Uhr": "14 Uhr 30",
        "1:00 Uhr": "ein Uhr",
        "um 7:30": "um 7 Uhr 30",
        "3.5": "3,5",
        "1.234,5": "1234,5",
        "5,20 €": "5 Euro 20",
        "1 €": "ein Euro",
        "0,99 €": "99 Cent",
        "2,5 Mio. €": "2,5 Millionen Euro",
        "1 000 000": "1000000",
        "1,5 Millionen €": "1,5 Millionen Euro",
        "8,05 km": "8,05 Kilometer",
        "1 h": "eine Stunde",
        "noch 1 Minute": "noch eine Minute",
        "um 1 Uhr": "um ein Uhr",
        "noch 21 Minuten": "noch 21 Minuten",
        "-3 °C": "minus 3 Grad Celsius",
        "10–20 km": "10 bis 20 Kilometer",
        "im Jahr 1999": "im Jahr neunzehnhundertneunundneunzig",
        "0170 1234567": "null eins sieben null, eins zwei drei vier fünf sechs sieben",
    },
    "es": {
        "20/11/2026": "20 de noviembre de 2026",
        "las 14:30": "las 14 y 30",
        "la 1:05": "la una y 5",
        "3.5": "3,5",
        "1.234,5": "1234,5",
        "3º": "3º",
        "3.º": "3º",
        "5,20 €": "5 euros con 20 céntimos",
        "21 km": "veintiún kilómetros",
        "31 h": "treinta y una horas",
        "Queda 1 minuto": "Queda un minuto",
        "21 horas y 21 minutos": "veintiuna horas y veintiún minutos",
        "1 km": "un kilómetro",
        "3,14159": "3 coma uno cuatro uno cinco nueve",
    },
    "es-MX": {"3.5": "3.5", "1,234.5": "1234.5", "01/05/2026": "primero de mayo de 2026"},
    "fr": {
        "20/11/2026": "20 novembre 2026",
        "01/05/2026": "premier mai 2026",
        "14h30": "14 heures 30",
        "21:00": "vingt et une heures",
        "1 234,5": "1234,5",
        "le 3e": "le troisième",
        "la 1re": "la première",
        "1 heure et 21 minutes": "une heure et vingt et une minutes",
        "21e": "vingt et unième",
        "80e": "quatre-vingtième",
        "5,20 €": "5 euros 20",
        "1\u202f234,50\u00a0€": "1234 euros 50",
        "2 millions €": "2 millions d'euros",
        "06 12 34 56 78": "zéro six, un deux, trois quatre, cinq six, sept huit",
    },
    "it": {
        "20/11/2026": "20 novembre 2026",
        "1 maggio": "primo maggio",
        "il 1° maggio": "il primo maggio",
        "1 ora e 21 minuti": "un'ora e 21 minuti",
        "le 14:30": "le 14 e 30",
        "1.234,5": "1234,5",
        "3º": "3º",
        "5,20 €": "5 euro e 20 centesimi",
        "1 h": "un'ora",
        "il 2° piano": "il 2º piano",
        "3-5 km": "3 a 5 chilometri",
    },
    "ja": {"5 km, 14:30": "5 km, 14:30"},
}
CASES = [(language, text, said) for language, cases in SPOKEN.items() for text, said in cases.items()]


@pytest.mark.parametrize(("language", "text", "said"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_figures_are_read_as_a_person_would(language: str, text: str, said: str) -> None:
    assert normalize(text, language).text == said
    framed = normalize(f"({text}) ok", language).text
    assert framed.endswith(" ok")


def test_positions_lead_back_to_the_text() -> None:
    text = "Um 14:30 Uhr sind es 5 km."
    said = normalize(text, "de")
    assert said.text == "Um 14 Uhr 30 sind es 5 Kilometer."
    for word, origin in (("Um", "Um"), ("14", "14:30"), ("Uhr", "Uhr"), ("sind", "sind"), ("Kilometer", "km")):
        assert said.origin(said.text.index(word)) == text.index(origin)
    inside = said.text.index("30")
    assert said.origin(inside) == text.index("Uhr")
    assert said.origin(inside, end=True) == text.index(" sind")
    assert said.origin(len(said.text), end=True) == len(text)


LANGUAGES = ("en-US", "en-GB", "de", "de-CH", "es", "es-MX", "fr", "it")
ALPHABET = "0123456789" * 3 + "aZéß .,:;/-–−+()'’\u00a0\u202f€$£%°º²\n½٣" + "hH"
SCRAPS = ("km", " Uhr", " Mai", "November ", " °C", "million ", "er", "e ", "12:30", "2026", "T", "+49 ", " €", "st")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_raises_is_lost_or_goes_astray(language: str) -> None:
    dice = random.Random(language)
    for _ in range(400):
        text = "".join(dice.choice((*ALPHABET, *SCRAPS)) for _ in range(dice.randrange(1, 60)))
        said = normalize(text, language)
        origins = [said.origin(position) for position in range(len(said.text) + 1)]
        assert origins == sorted(origins), text
        assert 0 <= origins[0] <= origins[-1] <= len(text), text
        assert not re.search(r"[0-9]", text) or said.text.strip(), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_beside_figures_stay(language: str) -> None:
    dice = random.Random(7)
    for _ in range(200):
        words = [f"w{chr(97 + number)}q" for number in range(6)]
        figures = [
            dice.choice(("5 km", "1.234,5", "20/11/2026", "7:30", "$5", "12", "3.", "1-2", "007")) for _ in words
        ]
        text = " ".join(f"{word} {figure}" for word, figure in zip(words, figures, strict=True))
        kept = normalize(text, language).text
        assert [word for word in kept.split() if word in words] == words, text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "unit", ["9", "1,", "1.", "0 ", "+1", "1 2", "1:0", "1-", "$1", "11/", "1'", "12 345 ", "1st "]
)
def test_four_thousand_code_points_take_no_time(language: str, unit: str) -> None:
    text = (unit * 4000)[:4000]
    began = time.process_time()
    said = normalize(text, language)
    assert time.process_time() - began < 0.5
    assert len(said.text) < 20 * len(text)
