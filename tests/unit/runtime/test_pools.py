"""Which pool serves a call."""

from __future__ import annotations

import pytest

from services.runtime.errors import FailedPrecondition
from services.runtime.pools import Pool, PoolDirectory

pytestmark = pytest.mark.unit

DIRECTORY = PoolDirectory(
    (
        Pool("asr", "asr", "h:1"),
        Pool("asr-zh", "asr", "h:2", locales=("zh", "zh-Hant-TW")),
        Pool("asr-de", "asr", "h:3", locales=("de-DE",)),
        Pool("asr-acme", "asr", "h:4", tenants=("acme",)),
        Pool("asr-canary", "asr", "h:5", locales=("zh",), arm="canary"),
        Pool("nlu-fr", "nlu", "h:6", locales=("fr",)),
    )
)


@pytest.mark.parametrize(
    ("wanted", "pool"),
    [
        ({}, "asr"),
        ({"locale": "en-US"}, "asr"),
        ({"locale": "zh"}, "asr-zh"),
        ({"locale": "zh-CN"}, "asr-zh"),
        ({"locale": "zh-hant-tw"}, "asr-zh"),
        ({"locale": "de-AT"}, "asr-de"),
        ({"tenant": "acme"}, "asr-acme"),
        ({"tenant": "acme", "locale": "en"}, "asr-acme"),
        ({"tenant": "acme", "locale": "zh"}, "asr-zh"),
        ({"tenant": "other"}, "asr"),
        ({"arm": "canary", "locale": "zh-CN"}, "asr-canary"),
        ({"arm": "canary", "locale": "de"}, "asr-de"),
        ({"arm": "no-such-arm"}, "asr"),
    ],
)
def test_resolve(wanted: dict[str, str], pool: str) -> None:
    assert DIRECTORY.resolve("asr", **wanted).name == pool


def test_a_locale_that_no_pool_serves_names_those_that_are() -> None:
    with pytest.raises(FailedPrecondition, match="there are: fr") as refused:
        DIRECTORY.resolve("nlu", "ja")
    assert refused.value.reason == "LOCALE_NOT_SERVED"


def test_a_capability_that_does_not_run() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        DIRECTORY.resolve("tts")
    assert refused.value.reason == "CAPABILITY_NOT_RUNNING"


def test_reserved_pools_are_for_their_tenants_alone() -> None:
    only = PoolDirectory((Pool("asr-acme", "asr", "h:4", tenants=("acme",)),))
    with pytest.raises(FailedPrecondition):
        only.resolve("asr", tenant="globex")


def test_it_survives_the_way_to_a_replica() -> None:
    assert PoolDirectory.from_json(DIRECTORY.to_json()) == DIRECTORY
    assert PoolDirectory.from_json("") == PoolDirectory()
