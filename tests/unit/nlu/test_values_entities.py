"""Names of catalogues as people say them and recognisers hear them."""

from __future__ import annotations

import random
import time

import pytest

from services.nlu.text import tokenise
from services.nlu.understanding import Situation
from services.nlu.values.entities import Catalogue, CatalogueEntry, EntityIndex
from services.nlu.values.finder import Finder
from services.nlu.values.kinds import Entity
from services.nlu.values.places import Gazetteer

pytestmark = pytest.mark.unit


def entry(entity_id: str, weight: float = 1.0, **names: str) -> CatalogueEntry:
    return CatalogueEntry(entity_id, {tag: tuple(said.split("|")) for tag, said in names.items()}, weight)


DEVICES = Catalogue(
    "devices",
    closed=True,
    entries=(
        entry("lamp", en="lamp|light", de="Lampe|Licht", es="lámpara|luz", fr="lampe|lumière", it="lampada|luce"),
        entry("living", en="living room", de="Wohnzimmer", es="salón", fr="salon|salle de séjour", it="soggiorno"),
        entry("bath", en="bathroom", de="Badezimmer|Bad", es="baño", fr="salle de bains", it="bagno"),
        entry("dishwasher", en="dishwasher", de="Spülmaschine", es="lavavajillas", fr="lave-vaisselle"),
        entry("battery", en="battery", de="Batterie", es="batería", fr="pile", it="batteria"),
        entry("latte", en="caffè latte|latte", de="Milchkaffee", es="café con leche", it="caffellatte"),
        entry("front", en="front door", de="Haustür", es="puerta principal", fr="porte d'entrée"),
        entry("tv", en="TV"),
    ),
)  # fmt: skip


def a_finder(language: str, catalogue: Catalogue = DEVICES) -> Finder:
    return Finder(language, Situation(), Gazetteer.bundled(), {catalogue.name: catalogue})


def read(words: str, language: str) -> str:
    values = a_finder(language).read("ENTITY", tokenise(words), "devices")
    return values[0].entity_id if values and isinstance(values[0], Entity) else "-"


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("lamp", "en", "lamp"),
        ("the lamps", "en", "lamp"),
        ("my light", "en", "lamp"),
        ("Living Room", "en", "living"),
        ("the livingroom", "en", "living"),
        ("bath room", "en", "bath"),
        ("dishwaser", "en", "dishwasher"),
        ("the dish washer", "en", "dishwasher"),
        ("batteries", "en", "battery"),
        ("caffe latte", "en", "latte"),
        ("a latte", "en", "latte"),
        ("front doors", "en", "front"),
        ("frunt door", "en", "front"),
        ("tv", "en", "tv"),
        ("die Lampe", "de", "lamp"),
        ("Lampen", "de", "lamp"),
        ("dem Licht", "de", "lamp"),
        ("wohn zimmer", "de", "living"),
        ("das Badezimmer", "de", "bath"),
        ("Spuelmaschine", "de", "dishwasher"),
        ("spülmaschinen", "de", "dishwasher"),
        ("der fernseher", "de", "-"),
        ("tv", "de", "tv"),
        ("las luces", "es", "lamp"),
        ("la lampara", "es", "lamp"),
        ("el salon", "es", "living"),
        ("lavabajillas", "es", "dishwasher"),
        ("las baterías", "es", "battery"),
        ("café con leche", "es", "latte"),
        ("la lumière", "fr", "lamp"),
        ("les lampes", "fr", "lamp"),
        ("salle de bain", "fr", "bath"),
        ("lave vaisselle", "fr", "dishwasher"),
        ("porte d'entrée", "fr", "front"),
        ("la luce", "it", "lamp"),
        ("le luci", "it", "lamp"),
        ("lampade", "it", "lamp"),
        ("il bagno", "it", "bath"),
        ("caffelatte", "it", "latte"),
        ("cat", "en", "-"),
        ("limp", "en", "-"),
        ("living", "en", "-"),
        ("the", "en", "-"),
        ("room living", "en", "-"),
        ("dxshwxsher", "en", "-"),
        ("?", "en", "-"),
    ],
)
def test_a_name_as_it_is_said(words: str, language: str, expected: str) -> None:
    assert read(words, language) == expected


def test_exact_names_are_surer_than_those_with_a_slip() -> None:
    finder = a_finder("en")
    sure = [finder.find("ENTITY", tokenise(words), "devices")[0].confidence for words in ("dishwasher", "dishwaser")]
    assert sure[0] > 0.95 > sure[1] > 0.5


def test_names_in_a_sentence_without_and_with_their_article() -> None:
    tokens = tokenise("turn on the living room lamp")
    places = a_finder("en").find("ENTITY", tokens, "devices")
    assert [(one.start, one.end) for one in places] == [(2, 5), (3, 5), (5, 6)]
    assert all(one.catalogue_hit for one in places)


def test_the_canonical_name_is_that_of_the_language() -> None:
    (value, *_) = a_finder("de").read("ENTITY", tokenise("Licht"), "devices")
    assert isinstance(value, Entity)
    assert (value.catalogue, value.name) == ("devices", "Lampe")


def test_of_two_with_one_name_the_likelier_is_first() -> None:
    both = Catalogue("x", closed=True, entries=(entry("a", 1.0, en="anna"), entry("b", 5.0, en="Anna")))
    values = a_finder("en", both).read("ENTITY", tokenise("anna"), "x")
    assert [value.entity_id for value in values if isinstance(value, Entity)] == ["b", "a"]


def test_an_unknown_catalogue_finds_nothing() -> None:
    assert a_finder("en").find("ENTITY", tokenise("lamp"), "gone") == ()
    assert a_finder("en").read("ENTITY", tokenise("lamp"), "gone") == ()
    assert a_finder("en", Catalogue("x", closed=False)).find("ENTITY", tokenise("lamp"), "x") == ()


def test_ten_thousand_names_are_found_as_fast_as_ten() -> None:
    rng = random.Random(7)
    names = ["".join(rng.choices("abcdefghilmnoprstu", k=rng.randint(4, 10))) for _ in range(20_000)]
    large = Catalogue(
        "large", closed=True, entries=tuple(entry(str(at), en=f"{names[at]} {names[-at]}") for at in range(1, 10_001))
    )
    EntityIndex.of(large, "en")
    finder = a_finder("en", large)
    slip = names[77][:2] + "x" + names[77][3:]
    sentence = tokenise(f"please play the song {slip} {names[-77]} in the living room tonight")
    started = time.process_time()
    places = finder.find("ENTITY", sentence, "large")
    took = time.process_time() - started
    assert any(isinstance(value, Entity) and value.entity_id == "77" for one in places for value in one.values)
    assert took < 0.05


@pytest.mark.parametrize("words", ["dishwasher " * 300, "x" * 4000, "a " * 2000, "lamp lamp the " * 200])
def test_hostile_words_are_bounded(words: str) -> None:
    started = time.process_time()
    assert len(a_finder("en").find("ENTITY", tokenise(words), "devices")) <= 64
    assert time.process_time() - started < 0.5


MILKS = Catalogue(
    "milks",
    closed=True,
    entries=(
        entry("some_milk", 5.0, en="some milk"),
        entry("milk", en="milk"),
        entry("a_bit", en="a bit of milk"),
        entry("skim", en="skim milk"),
        entry("some_skim", 5.0, en="some skim milk"),
        entry("soy", 9.0, en="some soy milk"),
    ),
)


def named(words: str) -> dict[str, str]:
    """Words that are found -> the thing that they most likely name."""
    tokens = tokenise(words)
    found = a_finder("en", MILKS).find("ENTITY", tokens, "milks")
    return {
        " ".join(token.norm for token in tokens[one.start : one.end]): one.values[0].entity_id
        for one in found
        if isinstance(one.values[0], Entity)
    }


@pytest.mark.parametrize(
    ("words", "said", "expected"),
    [
        ("a latte with milk", "milk", "milk"),
        ("a latte with some milk", "some milk", "some_milk"),
        ("a latte with a bit of milk please", "a bit of milk", "a_bit"),
        ("a latte with skim milk", "skim milk", "skim"),
        ("a latte with some skim milk", "some skim milk", "some_skim"),
        ("a latte with the milk", "the milk", "milk"),
        ("a latte with soy milk", "soy milk", "soy"),
    ],
)
def test_a_name_said_word_for_word_wins(words: str, said: str, expected: str) -> None:
    assert named(words)[said] == expected
    values = a_finder("en", MILKS).read("ENTITY", tokenise(said), "milks")
    assert next(one.entity_id for one in values if isinstance(one, Entity)) == expected


def test_an_article_alone_names_nothing() -> None:
    letters = Catalogue("milks", closed=True, entries=(entry("a", en="a"), entry("b", en="b")))
    assert [one.start for one in a_finder("en", letters).find("ENTITY", tokenise("a plan b"), "milks")] == [2]


FURTHER = Catalogue(
    "devices",
    closed=True,
    entries=(
        entry("lamp", nl="lamp|schemerlamp", da="lampe", nb="lampe", tr="ışık", ja="リビングの間接照明", zh="客厅的灯"),
        entry("kitchen", nl="keuken", da="køkken", nb="kjøkken", tr="mutfak", ja="キッチン", zh="厨房"),
    ),
)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("de schemerlampen", "nl", "lamp"),
        ("koekken", "da", "kitchen"),
        ("kontor", "da", "-"),
        ("kokken", "da", "kitchen"),
        ("køkkenet", "da", "kitchen"),
        ("lampene", "nb", "lamp"),
        ("IŞIKLAR", "tr", "lamp"),
        ("リビングの間接照明", "ja", "lamp"),
        ("ｷｯﾁﾝ", "ja", "kitchen"),
        ("客厅的灯", "zh", "lamp"),
    ],
)
def test_names_in_languages_without_a_grammar(words: str, language: str, expected: str) -> None:
    values = a_finder(language, FURTHER).read("ENTITY", tokenise(words), "devices")
    assert (values[0].entity_id if values and isinstance(values[0], Entity) else "-") == expected


def test_a_long_name_without_spaces_is_found_in_a_sentence() -> None:
    tokens = tokenise("リビングの間接照明をつけて")
    (found, *_) = a_finder("ja", FURTHER).find("ENTITY", tokens, "devices")
    assert (found.start, found.end) == (0, 9)
