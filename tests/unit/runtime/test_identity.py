"""Credentials to principals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.runtime.errors import FailedPrecondition, Unauthenticated
from services.runtime.identity import (
    INTERNAL_TOKEN,
    LOCAL,
    SCOPES,
    TENANT,
    USER,
    Identity,
    Principal,
    digest,
    load_keys,
)

pytestmark = pytest.mark.unit

ADA = Principal("acme", "ada", frozenset({"converse"}))
WITH_KEYS = Identity({digest("k1"): ADA}, internal_token="inside")


@pytest.mark.parametrize(
    "metadata",
    [
        {"authorization": "Bearer k1"},
        {"authorization": "bearer  k1 "},
        {"x-api-key": "k1"},
        {"x-api-key": "k1", "authorization": "Bearer other"},
    ],
)
def test_a_known_key_is_its_principal(metadata: dict[str, str]) -> None:
    assert WITH_KEYS.authenticate(metadata) == ADA


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "API_KEY_MISSING"),
        ({"authorization": ""}, "API_KEY_MISSING"),
        ({"authorization": "Basic k1"}, "API_KEY_MISSING"),
        ({"authorization": "Bearer k2"}, "API_KEY_UNKNOWN"),
        ({"authorization": f"Bearer {digest('k1')}"}, "API_KEY_UNKNOWN"),
        ({INTERNAL_TOKEN: "guessed", "x-api-key": "k1"}, "INTERNAL_TOKEN_WRONG"),
        ({INTERNAL_TOKEN: "", "x-api-key": "k1"}, "INTERNAL_TOKEN_WRONG"),
    ],
)
def test_everybody_else_is_refused(metadata: dict[str, str], reason: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        WITH_KEYS.authenticate(metadata)
    assert refused.value.reason == reason


def test_the_internal_token_brings_the_principal_along() -> None:
    forwarded = dict(WITH_KEYS.forward(ADA))
    assert WITH_KEYS.authenticate(forwarded) == ADA
    assert forwarded == {INTERNAL_TOKEN: "inside", TENANT: "acme", USER: "ada", SCOPES: "converse"}


def test_without_an_internal_token_nothing_is_forwarded_or_believed() -> None:
    identity = Identity({digest("k1"): ADA})
    assert identity.forward(ADA) == []
    with pytest.raises(Unauthenticated):
        identity.authenticate({INTERNAL_TOKEN: "", TENANT: "acme"})


def test_without_keys_everybody_is_local_whatever_they_claim() -> None:
    assert Identity().authenticate({}) == LOCAL
    assert Identity().authenticate({TENANT: "acme"}) == LOCAL


def test_key_files_hold_keys_or_their_digests(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entries = {"plain": {"tenant": "a"}, f"sha256:{digest('hidden').upper()}": {"tenant": "b", "scopes": ["admin"]}}
    path.write_text(json.dumps(entries))
    assert load_keys(path) == {
        digest("plain"): Principal("a", "", frozenset({"converse"})),
        digest("hidden"): Principal("b", "", frozenset({"admin"})),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "AttributeError"),
        ('{"secret-key": {}}', "tenant"),
        ('{"secret-key": {"tenant": "bücher"}}', "bücher"),
        ('{"secret-key": {"tenant": 5}}', "tenant 5"),
        ('{"secret-key": {"tenant": "a", "scopes": "admin"}}', "scopes of tenant 'a'"),
        ('{"secret-key": "a"}', "TypeError"),
    ],
)
def test_wrong_key_files_are_named_and_never_quoted(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(FailedPrecondition) as refused:
        load_keys(path)
    assert str(path) in refused.value.message
    assert told in refused.value.message
    assert "secret-key" not in refused.value.message


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="no-such"):
        load_keys(tmp_path / "no-such.json")
