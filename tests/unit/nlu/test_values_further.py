"""Days, times, lengths of time, numbers and money in languages that have no grammar of their own."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from dateparser.data.languages_info import language_order

from services.nlu.text import MAX_TOKENS, normalise, tokenise
from services.nlu.understanding import Situation, Value
from services.nlu.values.finder import Finder
from services.nlu.values.further.words import Words
from services.nlu.values.kinds import Money
from services.nlu.values.places import Gazetteer
from tests.fixtures.hostile_texts import HOSTILE

pytestmark = pytest.mark.unit

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 20, 13, 0, tzinfo=VIENNA)  # a Friday
LANGUAGES = ("nl", "da", "no", "id", "tr", "sr", "lt", "kk", "ar", "ja", "zh", "sv", "pl", "gsw")


def finder(language: str) -> Finder:
    return Finder(language, Situation(NOW.astimezone(UTC), "Europe/Vienna"), Gazetteer.bundled(), {})


def best(language: str, value_type: str, text: str) -> tuple[str, Value] | None:
    """The words and the value of the first find."""
    tokens = tokenise(normalise(text, field="text"))
    found = finder(language).find(value_type, tokens)
    if not found:
        return None
    return text[tokens[found[0].start].start : tokens[found[0].end - 1].end], found[0].values[0]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=VIENNA)


@pytest.mark.parametrize(
    ("language", "text", "words", "value"),
    [
        ("nl", "maak me morgen om 9 uur wakker", "morgen om 9 uur", at(21, 9)),
        ("nl", "overmorgen om half negen", "overmorgen om half negen", at(22, 8, 30)),
        ("nl", "over vijf minuten", "over vijf minuten", at(20, 13, 5)),
        ("nl", "om 8 uur 's avonds", "om 8 uur 's avonds", at(20, 20)),
        ("nl", "morgenavond om 8 uur", "morgenavond om 8 uur", at(21, 20)),
        ("da", "væk mig i morgen kl. 9", "i morgen kl. 9", at(21, 9)),
        ("da", "på fredag klokken syv om aftenen", "fredag klokken syv om aftenen", at(27, 19)),
        ("da", "om 5 minutter", "om 5 minutter", at(20, 13, 5)),
        ("no", "i morgen klokken halv åtte", "i morgen klokken halv åtte", at(21, 7, 30)),
        ("no", "fredag kl 19:30", "fredag kl 19:30", at(27, 19, 30)),
        ("id", "besok jam 9 pagi", "besok jam 9 pagi", at(21, 9)),
        ("id", "5 menit lagi", "5 menit lagi", at(20, 13, 5)),
        ("tr", "yarın sabah 6'ya alarm kur", "yarın sabah 6'ya", at(21, 6)),
        ("tr", "5 dakika sonra", "5 dakika sonra", at(20, 13, 5)),
        ("sr", "probudi me sutra u 9 ujutru", "sutra u 9 ujutru", at(21, 9)),
        ("sr", "сутра u 9", "сутра u 9", at(21, 9)),
        ("lt", "po 5 minučių", "po 5 minučių", at(20, 13, 5)),
        ("kk", "ертең сағат 9", "ертең сағат 9", at(21, 9)),
        ("ar", "غدا الساعة 9 صباحا", "غدا الساعة 9 صباحا", at(21, 9)),
        ("ar", "الجمعة الساعة ٧ مساء", "الجمعة الساعة ٧ مساء", at(27, 19)),
        ("ja", "明日の朝9時に起こして", "明日の朝9時", at(21, 9)),
        ("ja", "金曜日の午後3時30分", "金曜日の午後3時30分", at(27, 15, 30)),
        ("zh", "明天上午九点叫醒我", "明天上午九点", at(21, 9)),
        ("zh", "今天下午4点", "今天下午4点", at(20, 16)),
        ("zh", "星期五晚上八点半", "星期五晚上八点半", at(27, 20, 30)),
        ("sv", "fredag 19:30", "fredag 19:30", at(27, 19, 30)),
    ],
)
def test_moments(language: str, text: str, words: str, value: datetime) -> None:
    assert best(language, "DATETIME", text) == (words, value)


@pytest.mark.parametrize(
    ("language", "value_type", "text", "words", "value"),
    [
        ("nl", "DATE", "op 12 december 2027 graag", "12 december 2027", date(2027, 12, 12)),
        ("da", "DATE", "den 12. december", "12. december", date(2026, 12, 12)),
        ("nl", "DATE", "op 24-12-2026", "24-12-2026", None),
        ("zh", "DATE", "12月12日", "12月12日", date(2026, 12, 12)),
        ("nl", "DURATION", "zet een timer voor 1 uur en 30 minuten", "1 uur en 30 minuten", timedelta(minutes=90)),
        ("nl", "DURATION", "een half uur", "een half uur", timedelta(minutes=30)),
        ("da", "DURATION", "en timer på ti minutter", "ti minutter", timedelta(minutes=10)),
        ("ja", "DURATION", "1時間30分", "1時間30分", timedelta(minutes=90)),
        ("zh", "DURATION", "半小时", "半小时", timedelta(minutes=30)),
        ("ar", "DURATION", "١٠ دقائق", "١٠ دقائق", timedelta(minutes=10)),
        ("nl", "MONEY", "boek € 1.250,50 over", "€ 1.250,50", Money(Decimal("1250.50"), "EUR")),
        ("tr", "MONEY", "5 euro", "5 euro", Money(Decimal(5), "EUR")),
        ("nl", "DECIMAL", "1,5", "1,5", Decimal("1.5")),
        ("zh", "INTEGER", "四十五", "四十五", 45),
    ],
)
def test_other_values(language: str, value_type: str, text: str, words: str, value: Value | None) -> None:
    found = best(language, value_type, text)
    assert found == ((words, value) if value is not None else None)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("nl", "speel muziek van bach"),
        ("da", "spil noget musik"),
        ("ja", "音楽をかけて"),
        ("zh", "播放音乐"),
        ("tr", "müzik çal"),
    ],
)
def test_nothing_is_found_where_nothing_is_said(language: str, text: str) -> None:
    for value_type in ("DATE", "TIME", "DATETIME", "DURATION", "MONEY"):
        assert best(language, value_type, text) is None


def test_where_a_value_is_asked_for_it_is_read_whole() -> None:
    tokens = tokenise("morgen om 9 uur")
    assert finder("nl").read("DATETIME", tokens)[0] == at(21, 9)
    assert finder("nl").read("DURATION", tokens) == ()
    assert finder("nl").read("DURATION", tokenise("10 minuten")) == (timedelta(minutes=10),)


def test_only_languages_that_are_known_are_loaded() -> None:
    for tag in ("xx", "..", "os", "nl/../en", "", "__init__"):
        if tag != "os":  # Ossetian, which has a table
            assert Words.of(tag) is None
    assert finder("xx").find("INTEGER", tokenise("5"))[0].values[0] == 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_texts_cost_little(language: str) -> None:
    finder(language).find("DATE", tokenise("1"))  # the tables are made once
    for name, text in HOSTILE.items():
        tokens = tokenise(normalise(text, field="text"))
        reader = finder(language)
        began = time.process_time()
        for value_type in ("DATE", "TIME", "DATETIME", "DURATION", "MONEY", "INTEGER", "DECIMAL"):
            for one in reader.find(value_type, tokens):
                assert 0 <= one.start < one.end <= min(len(tokens), MAX_TOKENS)
                assert one.values
        assert time.process_time() - began < 0.3, name


def test_every_language_that_is_known_can_be_asked() -> None:
    """Some lack parts of what others tell, such as Tagalog its "today"."""
    for language in language_order:
        if "-" not in language:
            assert Words.of(language) is not None
    assert best("tl", "INTEGER", "alas 7") == ("7", 7)
