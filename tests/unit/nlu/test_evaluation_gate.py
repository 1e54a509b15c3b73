"""Scorecards are counted rightly, and the gate tells a worse model from an unlucky one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from services.nlu.engines.engine import TaggedSlot
from services.nlu.evaluation import cards
from services.nlu.evaluation.gate import regressions
from services.nlu.evaluation.samples import Sample, Span
from services.nlu.evaluation.scoring import LocaleScore, Outcome, Scorecard, score
from services.runtime.errors import InvalidInput
from tests.fakes.forgetful_labels import ForgetfulLabels
from tests.fakes.label_reader import ScriptedLabels

pytestmark = pytest.mark.unit

SAMPLES = [
    Sample("en", "wake me at nine", ("alarm_set",), (Span("time", 11, 15),)),
    Sample("en", "play bach", ("play_music",), (Span("artist_name", 5, 9),)),
    Sample("en", "do nothing", ("never_heard_of",), ()),
    Sample("de", "wecke mich", ("alarm_set",), ()),
]


def reader() -> ScriptedLabels:
    return ScriptedLabels(
        {
            "wake me at nine": {"massive:alarm_set": 0.9, "clinc150:alarm": 1.0, "massive:play_music": 0.1},
            "play bach": {"massive:play_music": 0.6, "massive:alarm_set": 0.2},
            "do nothing": {"massive:alarm_set": 0.2},
            "wecke mich": {"massive:play_music": 0.6, "massive:alarm_set": 0.3},
        },
        {
            "wake me at nine": (TaggedSlot("massive:time", 3, 4, 0.9),),
            "play bach": (TaggedSlot("massive:song_name", 1, 2, 0.9), TaggedSlot("clinc150:x", 0, 1, 0.9)),
        },
    )


def card(locales: Mapping[str, LocaleScore]) -> Scorecard:
    return Scorecard("test/labels@1", "", "massive", locales)


def locale(right: int, of: int = 1_000, digest: str = "same", seed: int = 1) -> LocaleScore:
    """`right` sentences of `of`, which ones by chance; a slot in each, right where the intent is."""
    rng = random.Random(seed)
    good = set(rng.sample(range(of), right))
    outcomes = tuple(Outcome(at in good, at in good, +(at in good), 1, 1) for at in range(of))
    return LocaleScore(outcomes, digest, 0.0, 0.0, 1.0, 2.0, {})


async def test_sentences_are_counted_by_locale() -> None:
    done = await score(reader(), SAMPLES, "massive")
    assert list(done.locales) == ["de", "en"]
    en = done.locales["en"]
    assert en.intent_accuracy == pytest.approx(2 / 3)
    assert en.slot_f1 == pytest.approx(2 / 4)
    assert en.exact_match == pytest.approx(1 / 3)
    assert en.unknown == {"never_heard_of": 1}
    assert en.refused == pytest.approx(1 / 3)
    # 0.9 right, 0.6 right and 0.2 wrong, each alone in its bin
    assert en.ece == pytest.approx((0.1 + 0.4 + 0.2) / 3)
    assert 0 < en.p50_ms <= en.p95_ms
    assert done.locales["de"].intent_accuracy == 0
    assert done.locales["de"].slot_f1 == 1
    lines = list(cards.table(done))
    assert [line.split()[0] for line in lines[2:4]] == ["de", "en"]
    assert lines[4] == "intents that the model does not know: 1 (1 sentences): never_heard_of"


async def test_a_card_comes_back_from_its_file(tmp_path: Path) -> None:
    done = await score(reader(), SAMPLES, "massive")
    cards.write(done, tmp_path / "card.json")
    again = cards.read(tmp_path / "card.json")
    assert again.locales["en"].outcomes == done.locales["en"].outcomes
    assert again.locales["en"].digest == done.locales["en"].digest
    assert not regressions(done, again, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "{}",
        '{"version": 2}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":[]}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":{"en":{"ece":0,"refused":0,"p50_ms":0,"p95_ms":0,'
        '"unknown":{},"digest":"","outcomes":[[1,1,2,1,1]]}}}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":{"en":{"ece":0,"refused":0,"p50_ms":0,"p95_ms":0,'
        '"unknown":{},"digest":"","outcomes":[]}}}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":{}}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":{"en":{"ece":0,"refused":0,"p50_ms":0,"p95_ms":0,'
        '"unknown":{"a":Infinity},"digest":"","outcomes":[[1,1,1,1,1]]}}}',
        '{"version":1,"model":"","digest":"","taxonomy":"","locales":{"en":{"ece":0,"refused":0,"p50_ms":0,"p95_ms":0,'
        '"unknown":{},"digest":"","outcomes":[["right",1,0.5,0.9,0.9]]}}}',
    ],
    ids=range(10),
)
def test_a_file_that_is_no_card_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        cards.read(path)
    assert (caught.value.reason, str(path) in caught.value.message) == ("SCORECARD_INVALID", True)


def test_a_card_that_lost_sentences_is_not_compared() -> None:
    held = locale(850)
    with pytest.raises(InvalidInput) as caught:
        regressions(card({"en": held}), card({"en": replace(held, outcomes=held.outcomes[:1])}), 0.0)
    assert caught.value.reason == "BASELINE_DIFFERS"


def test_the_same_model_is_not_refused() -> None:
    assert not regressions(card({"en": locale(850)}), card({"en": locale(850)}), 0.0)


def test_a_model_that_regresses_in_one_locale_is_refused_there() -> None:
    found = regressions(
        card({"de": locale(800), "en": locale(850)}), card({"de": locale(740, seed=2), "en": locale(850)}), 0.0
    )
    assert {one.locale for one in found if one.refuses} == {"de"}
    assert any("intent accuracy fell from 80.0% to 74.0%" in one.sentence for one in found)
    assert not [
        one for one in regressions(card({"de": locale(800)}), card({"de": locale(740, seed=2)}), 0.06) if one.refuses
    ]


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_told_and_refuses_nothing(seed: int) -> None:
    """Two models that are equally good on what they were not measured on: their sentences differ by chance."""
    rng = random.Random(seed)
    rights = [sum(rng.random() < 0.85 for _ in range(1_000)) for _ in range(2)]
    found = regressions(card({"en": locale(rights[0])}), card({"en": locale(rights[1], seed=seed + 50)}), 0.0)
    assert not [one for one in found if one.refuses]
    assert all("may be chance" in one.sentence for one in found)


def test_one_sentence_of_ten_is_no_proof() -> None:
    found = regressions(card({"en": locale(10, of=10)}), card({"en": locale(9, of=10)}), 0.0)
    assert found
    assert not any(one.refuses for one in found)


def test_a_locale_that_is_missing_is_named() -> None:
    found = regressions(card({"de": locale(800), "en": locale(850)}), card({"en": locale(850)}), 1.0)
    assert [(one.locale, one.refuses) for one in found] == [("de", True)]
    assert "now was not" in found[0].sentence


def test_other_sentences_cannot_be_compared() -> None:
    with pytest.raises(InvalidInput, match="other sentences"):
        regressions(card({"en": locale(850)}), card({"en": locale(850, digest="other")}), 0.0)
    with pytest.raises(InvalidInput, match="taxonomy"):
        regressions(Scorecard("a", "", "xsid", {}), card({}), 0.0)


async def test_a_worsened_reader_is_refused() -> None:
    texts = [f"sentence {number}" for number in range(400)]
    script = {text: {"massive:a": 0.9, "massive:b": 0.1} for text in texts}
    samples = [Sample("en", text, ("a",), ()) for text in texts]
    good = ScriptedLabels(script)
    before = await score(good, samples, "massive")
    assert not regressions(before, await score(good, samples, "massive"), 0.0)
    after = await score(ForgetfulLabels(good, 0.1), samples, "massive")
    assert [one.locale for one in regressions(before, after, 0.02) if one.refuses] == ["en", "en"]
