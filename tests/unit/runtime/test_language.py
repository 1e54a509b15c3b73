"""Language tags from clients: canonical form, fallback order, hostile tags."""

from __future__ import annotations

import pytest
from langcodes import Language

from services.runtime.errors import InvalidInput
from services.runtime.language import best_supported, canonical, fallbacks

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("given", "expected"),
    [("de_AT", "de-AT"), ("DE-at", "de-AT"), ("iw", "he"), ("zh-cmn-Hans-CN", "zh-Hans-CN"), ("EN", "en")],
)
def test_canonical_form(given: str, expected: str) -> None:
    assert canonical(given) == expected


@pytest.mark.parametrize("tag", ["", "*", "en-a", "not a tag", "ｅｎ", "en\x00", "a" * 9, "de-" + "x" * 9, "e" * 5000])
def test_malformed_tags_name_their_field(tag: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        canonical(tag, field="config.language_codes")
    assert (caught.value.reason, caught.value.field) == ("LANGUAGE_TAG_MALFORMED", "config.language_codes")


@pytest.mark.parametrize(
    ("tag", "chain"),
    [
        ("de-AT", ("de-AT", "de", "mul")),
        ("zh-Hant-TW", ("zh-Hant-TW", "zh-TW", "zh-Hant", "zh", "mul")),
        ("und", ("mul",)),
        ("mul", ("mul",)),
    ],
)
def test_fallback_chain(tag: str, chain: tuple[str, ...]) -> None:
    assert fallbacks(tag) == chain


@pytest.mark.parametrize(
    ("requested", "supported", "chosen"),
    [
        (["de-AT"], ["mul", "de", "de-DE"], "de"),
        (["de-AT"], ["en-US", "de_DE", "mul"], "de_DE"),
        (["en-IN"], ["en-US", "en-GB"], "en-GB"),
        (["gsw"], ["de", "fr"], "de"),
        (["ca"], ["es"], None),
        (["ja"], ["de", "mul"], "mul"),
        (["ja", "de-CH"], ["de", "mul"], "de"),
        (["ja"], ["de"], None),
        (["und"], ["de"], None),
        ([], ["mul"], "mul"),
    ],
)
def test_best_supported(requested: list[str], supported: list[str], chosen: str | None) -> None:
    assert best_supported(requested, supported) == chosen


def test_made_up_tags_do_not_fill_the_memory() -> None:
    for number in range(40_000):
        best_supported([f"x-{number:x}"], ["en"])
    assert len(Language._PARSE_CACHE) < 30_000
