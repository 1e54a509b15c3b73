"""Binary models of intents: what they learn of a few phrases, how they are kept, and what they cannot do."""

from __future__ import annotations

import random

import numpy as np
import pytest

from services.nlu.one_vs_all.book import OneVsAll
from services.nlu.one_vs_all.divergence import diverged
from services.nlu.one_vs_all.features import BUCKETS, ByFeature, Rows, rows_of, sparse
from services.nlu.one_vs_all.fitting import Drawn, fit
from services.nlu.one_vs_all.models import SkillModels, unpacked
from services.nlu.one_vs_all.spoken_phrases import Crowd, said
from services.nlu.one_vs_all.teaching import Ended, Surroundings, teach
from services.nlu.skills import Skill
from services.nlu.text import tokenise
from services.nlu.values.entities import Catalogue, CatalogueEntry
from tests.fakes.skill_manifests import skill

pytestmark = pytest.mark.unit

PETS = skill(
    "pets",
    {
        "feed": {
            "en": ["feed the hamster", "give the hamster its food", "the hamster is hungry", "feed my hamster now"]
        },
        "walk": {"en": ["walk the dog", "take the dog for a walk", "the dog needs to go out", "go out with the dog"]},
    },
    digest="p1",
)
BOATS = skill("boats", {"sail": {"en": ["set the sails", "hoist the main sail", "take the boat out"]}}, digest="b1")


def likely(book: OneVsAll, text: str) -> tuple[str, float]:
    """The likeliest intent and its probability."""
    read = book.read(tokenise(text))
    return max(read.intents.items(), key=lambda one: one[1], default=("", 0.0))


@pytest.fixture(scope="module")
def models() -> list[SkillModels]:
    return [teach(PETS, Surroundings([PETS, BOATS])), teach(BOATS, Surroundings([PETS, BOATS]))]


def test_words_in_another_order_and_form_are_understood(models: list[SkillModels]) -> None:
    book = OneVsAll.of(models, "en")
    for text, intent in (
        ("would you mind feeding the hamster", "pets.feed"),
        ("somebody should take my dog out for a walk", "pets.walk"),
        ("could you hoist the sails", "boats.sail"),
    ):
        name, probability = likely(book, text)
        assert name == intent
        assert probability > 0.5


@pytest.mark.parametrize("text", ["how tall is the moon", "xqzt", "", "?!", "今日は何曜日ですか"])
def test_what_nobody_serves_is_like_nothing(models: list[SkillModels], text: str) -> None:
    read = OneVsAll.of(models, "en").read(tokenise(text))
    assert read.outside > 0.8
    assert sum(read.intents.values()) + read.outside == pytest.approx(1, abs=0.05)


def test_a_skill_is_trained_without_the_models_of_others() -> None:
    again = teach(PETS, Surroundings([BOATS, PETS]))
    assert again.sha256 == teach(PETS, Surroundings([PETS, BOATS])).sha256
    assert again.seen == {"boats": "b1"}


def test_who_is_told_to_end_teaches_no_further_model() -> None:
    answers = iter((False, True))
    with pytest.raises(Ended):
        teach(PETS, Surroundings([PETS, BOATS]), lambda: next(answers))


def test_only_wanted_skills_are_told(models: list[SkillModels]) -> None:
    read = OneVsAll.of(models, "en").read(tokenise("feed the hamster"), frozenset({"boats"}))
    assert all(name.startswith("boats.") for name in read.intents)
    assert read.outside > 0.5


def test_no_locale_no_models(models: list[SkillModels]) -> None:
    read = OneVsAll.of(models, "de").read(tokenise("feed the hamster"))
    assert (dict(read.intents), read.outside) == ({}, 1.0)


def test_models_are_the_same_after_they_were_stored(models: list[SkillModels]) -> None:
    kept = unpacked(models[0].packed)
    text = tokenise("feed the hamster")
    before, after = (OneVsAll.of([one], "en").scores(text) for one in (models[0], kept))
    assert np.allclose(before, after, atol=0.01)
    assert (kept.name, kept.seen) == ("antiphon/one-vs-all.pets@1.0.0", {"boats": "b1"})


def test_damaged_bytes_are_no_models(models: list[SkillModels]) -> None:
    rng = random.Random(3)
    packed = models[0].packed
    for damaged in (b"", b"\0" * 40, packed[:-9], packed[:20], bytes(rng.randbytes(300))):
        with pytest.raises((ValueError, KeyError)):
            unpacked(damaged)


def drawn(rows: Rows) -> list[Drawn]:
    """All of them."""
    return [Drawn(ByFeature.of(rows.numbers, rows.features, rows.values), np.arange(len(rows)))]


def test_a_model_weighs_only_its_own_features() -> None:
    model = fit(rows_of(["feed the hamster"]), drawn(rows_of(["how tall is the moon", "walk the dog"])))
    assert set(model.features) <= set(rows_of(["feed the hamster"]).features)
    assert len(model.lightened(5).features) == 5


def test_fitting_settles_whatever_the_weights() -> None:
    """Newton's steps are halved where they would run away."""
    others = rows_of([f"say {number} things of {number + 1} kinds" for number in range(300)])
    for standing_for in (300, 100_000):
        model = fit(rows_of(["feed the hamster", "feed it"]), drawn(others), standing_for=standing_for)
        assert np.isfinite(model.weights).all()
        assert np.abs(model.weights).max() < 50


def test_features_are_bounded_and_of_length_one() -> None:
    for text in ("feed the hamster", "a " * 2_000, "x" * 4_000, "שלום עולם", "7 77 777 77777777"):
        buckets, values = sparse(tokenise(text))
        assert len(buckets) < 5_000
        assert buckets.max() < BUCKETS
        assert float(values @ values) == pytest.approx(1, abs=1e-4)


def test_slots_are_said_with_their_values() -> None:
    rooms = Catalogue(
        "rooms", closed=False, entries=tuple(CatalogueEntry(one, {"en": (one,)}) for one in ("den", "bath"))
    )
    made = skill(
        "lamp",
        {"on": {"en": ["light in the {room|kitchen}", "wait {time}"]}},
        {"room": "ENTITY@rooms", "time": "DURATION"},
        catalogues=(rooms,),
    )
    lines = said(made, made.intents[0], "en")
    assert lines[0] == "light in the kitchen"
    assert {"light in the den", "light in the bath", "wait 10 min"} <= set(lines)


def test_a_crowd_is_drawn_from_without_repeats() -> None:
    crowd = Crowd([PETS, BOATS], "en")
    drawn = crowd.drawn(random.Random(1), 6)
    assert len(crowd) == 11
    assert len(set(drawn)) == 6
    assert all(
        line in said(owner, intent, "en")
        for name, line in drawn
        for owner in (PETS, BOATS)
        for intent in owner.intents
        if intent.full_name == name
    )


def changed(**phrases: list[str]) -> Skill:
    return skill("zoo", {name: {"en": lines} for name, lines in phrases.items()}, digest="z")


def test_a_skill_that_says_what_others_claim_diverges(models: list[SkillModels]) -> None:
    books, taught = {"en": OneVsAll.of(models, "en")}, {one.skill_id: one for one in models}
    apart = diverged(changed(lions=["show me the lions", "where are the lions"]), None, books, taught)
    assert (apart.share, dict(apart.stale)) == (0.0, {})
    near = diverged(changed(feed=["feed the hamster please", "show me the lions"]), None, books, taught)
    assert (near.share, dict(near.stale)) == (0.5, {"pets": 0.5})


def test_a_claim_is_told_before_it_outweighs_the_right_skill(models: list[SkillModels]) -> None:
    """The skill's own model still wins; who was trained before it came would take the sentence all the same."""
    zoo = changed(feed=["feed the hamster of the zoo", "the hamster of the zoo is hungry", "feed the zoo its food"])
    own = teach(zoo, Surroundings([PETS, BOATS, zoo]))
    book, taught = OneVsAll.of([*models, own], "en"), {one.skill_id: one for one in (*models, own)}
    assert all(likely(book, line)[0] == "zoo.feed" for line in zoo.intents[0].phrases["en"])
    assert diverged(zoo, None, {"en": book}, taught).stale["pets"] > 0.3


def test_what_others_were_trained_with_does_not_diverge() -> None:
    zoo = changed(feed=["feed the hamster please", "show me the lions"])
    pets = teach(PETS, Surroundings([PETS, zoo]))
    books = {"en": OneVsAll.of([pets], "en")}
    assert diverged(zoo, zoo, books, {"pets": pets}).share == 0.0


def test_phrases_that_two_skills_have_are_held_against_neither() -> None:
    twin = skill("twin", {"feed": dict(PETS.intents[0].phrases)}, digest="t1")
    book = OneVsAll.of(
        [teach(PETS, Surroundings([PETS, BOATS, twin])), teach(twin, Surroundings([PETS, BOATS, twin]))], "en"
    )
    read = book.read(tokenise("would you feed the hamster"))
    assert read.outside < 0.2
    assert 0.5 < read.intents["pets.feed"] / read.intents["twin.feed"] < 2
