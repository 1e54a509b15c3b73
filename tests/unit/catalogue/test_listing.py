"""The table of models: what ships, what is installed, what can be had; and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.catalogue import listing
from services.catalogue.entries import Entry
from services.catalogue.stores import bundled, everything
from services.catalogue.verifying import verify
from tests.unit.catalogue.own_bundles import bundle, recogniser

pytestmark = pytest.mark.unit

ENTRIES = (
    Entry("hears", "asr", "acme", "1", "Hears.", "https://x.y/h", 5_000_000, locales=("en",), engine="transducer"),
    Entry("speaks", "tts", "acme", "1", "Speaks.", "https://x.y/s", licence="MIT", locales=("de", "fr")),
)


def test_what_ships_is_there_and_whole() -> None:
    found = {bundle.id: bundle for bundle in bundled()}
    assert {"cmusphinx/en-dictation@5.1", "antiphon/intents-thin@1"} <= set(found)
    assert found["cmusphinx/en-dictation@5.1"].engine == "pocketsphinx"
    assert {bundle.capability for bundle in found.values()} >= {"asr", "nlu"}
    assert [problem for bundle in found.values() for problem in verify(bundle).problems] == []


def test_an_installed_model_is_not_listed_as_available(tmp_path: Path) -> None:
    recogniser(tmp_path / "acme" / "hears" / "1")
    found = listing.rows(everything([tmp_path]), ENTRIES)
    assert [(row.state, row.capability) for row in found if row.name == "hears"] == [("installed", "asr")]
    assert [row.name for row in found if row.state == "available"] == ["speaks"]
    assert not [row for row in found if row.name == "hears.encoder"], "a part is no model of its own"


def test_what_is_unknown_is_said_to_be() -> None:
    head, hears, speaks = listing.table(listing.rows([], ENTRIES))
    assert head.split() == ["capability", "model", "engine", "locales", "size", "licence"]
    assert hears.split() == ["available", "asr", "hears", "transducer", "en", "5.0", "MB", "unknown"]
    assert speaks.split() == ["available", "tts", "speaks", "none", "here", "yet", "de,", "fr", "unknown", "MIT"]


@pytest.mark.parametrize(
    ("capability", "locale", "names"),
    [
        ("asr", "", ["hears"]),
        ("", "fr", ["speaks"]),
        ("", "de-AT", ["speaks"]),
        ("tts", "en", []),
        ("", "", ["hears", "speaks"]),
    ],
)
def test_it_can_be_narrowed(capability: str, locale: str, names: list[str]) -> None:
    assert [row.name for row in listing.rows([], ENTRIES, capability=capability, locale=locale)] == names


def test_what_others_wrote_does_not_speak_to_the_terminal(tmp_path: Path) -> None:
    bundle(tmp_path / "acme" / "loud" / "1", name="loud", licence="\x1b[2J", parameters={"engine": "\x07"})
    bundle(tmp_path / "acme" / "odd" / "1", name="odd", parameters={"engine": ["a"]})
    told = "\n".join(listing.table(listing.rows(everything([tmp_path]), ())))
    assert "acme/loud@1" in told
    assert "unknown" in next(line for line in told.splitlines() if "acme/odd@1" in line)
    assert not {"\x1b", "\x07"} & set(told)


def test_json_tells_everything(tmp_path: Path) -> None:
    bundle(tmp_path / "acme" / "other" / "1", name="other")
    (bundle(tmp_path / "acme" / "bad" / "1") / "model.yaml").write_text("[")
    read = json.loads(listing.as_json(listing.rows(everything([tmp_path]), ENTRIES)))
    by_state = {row["state"]: row for row in read}
    assert set(by_state) == {"bundled", "installed", "available", "broken"}
    assert by_state["installed"]["folder"] == str(tmp_path / "acme" / "other" / "1")
    assert by_state["available"]["memory_mb"] is None
    assert by_state["available"]["url"] == "https://x.y/s"
    assert "no model definition" in by_state["broken"]["summary"]
