"""The catalogue: the one that ships is whole, and a wrong one says file, entry and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.catalogue.entries import CAPABILITIES, Entry, find, read_catalogue
from services.runtime.errors import FailedPrecondition, NotFound

pytestmark = pytest.mark.unit

GOOD: dict[str, Any] = {
    "capability": "asr",
    "publisher": "acme",
    "version": "1",
    "summary": "Hears.",
    "url": "https://models.example/acme/hears.tar.bz2",
}


def written(folder: Path, models: Any) -> Path:
    path = folder / "models.yaml"
    path.write_text(models if isinstance(models, str) else yaml.safe_dump({"models": models}), encoding="utf-8")
    return path


def test_the_one_that_ships_is_whole() -> None:
    entries = read_catalogue()
    assert 15 <= len(entries) <= 40
    assert {entry.capability for entry in entries} == set(CAPABILITIES)
    assert {entry.engine for entry in entries} == {"", "transducer", "ctc"}
    assert all(entry.url.startswith("https://") for entry in entries)
    assert len({entry.url for entry in entries}) == len({entry.id for entry in entries}) == len(entries)
    assert all(entry.licence_source.startswith("https://") for entry in entries if entry.licence)
    assert not [entry.name for entry in entries if entry.licence_source and not entry.licence]


def test_what_is_not_known_is_empty(tmp_path: Path) -> None:
    (entry,) = read_catalogue(written(tmp_path, {"hears": GOOD}))
    assert entry == Entry("hears", **GOOD)
    assert (entry.size, entry.sha256, entry.licence, entry.memory_mb, entry.engine) == (None, "", "", None, "")
    assert (entry.id, entry.file) == ("acme/hears@1", "hears.tar.bz2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"licence": 3}, "key 'licence': expected text, got int"),
        ({"version": 1}, "key 'version': expected text, got int"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"url": None}, "key 'url'"),
        ({"url": "https://models.example/"}, "key 'url'"),
        ({"url": "ftp://models.example/x"}, "key 'url'"),
        ({"publisher": "../x"}, "key 'publisher'"),
        ({"publisher": ""}, "key 'publisher': it is empty"),
        ({"capability": "cooking"}, "key 'capability': 'cooking', known are activation"),
        ({"engine": "steam"}, "key 'engine': 'steam', known are transducer, ctc"),
        ({"sha256": "abc"}, "key 'sha256'"),
        ({"sha256": "A" * 64}, "key 'sha256'"),
        ({"size": -1}, "key 'size'"),
        ({"size": True}, "key 'size'"),
        ({"size": "big"}, "key 'size'"),
        ({"size": 10**30}, "key 'size'"),
        ({"memory_mb": 0}, "key 'memory_mb'"),
        ({"locales": "en"}, "key 'locales': expected a list"),
        ({"locales": [False]}, "key 'locales': 'False' is no language tag"),
        ({"summary": "x" * 301}, "key 'summary': at most 300"),
        ({"summary": "a\nb"}, "key 'summary'"),
    ],
)
def test_a_wrong_entry_says_where_and_what(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = written(tmp_path, {"hears": GOOD | change})
    with pytest.raises(FailedPrecondition) as error:
        read_catalogue(path)
    assert error.value.reason == "CATALOGUE_INVALID"
    assert str(error.value).startswith(f"{path}: entry 'hears': ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models: []",
        "models: {}\nmore: {}",
        "models: {hears: 3}",
        "models: {'../hears': {}}",
        "models: {3: {}}",
        "models: {hears: {capability: asr}}",
        "models: [",
        "models: {hears: {}, hears: {}}",
        "models: {? [1] : {}}",
        "models: &a {b: *a}",
        "[" * 1_000,
        "x" * 1_000_001,
    ],
)
def test_what_is_no_catalogue_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FailedPrecondition) as error:
        read_catalogue(path)
    assert error.value.reason == "CATALOGUE_INVALID"
    assert str(path) in str(error.value)


def test_a_catalogue_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="No such file"):
        read_catalogue(tmp_path / "none.yaml")


def test_models_are_found_by_name_and_by_id_and_the_near_ones_are_told(tmp_path: Path) -> None:
    entries = read_catalogue(written(tmp_path, {"hears": GOOD, "hears-more": GOOD}))
    assert find(entries, "hears") is find(entries, "acme/hears@1") is entries[0]
    with pytest.raises(NotFound, match="there are hears-more"):
        find(entries, "more")
    with pytest.raises(NotFound, match="antiphon models list"):
        find(entries, "less")


@pytest.mark.parametrize(
    ("locales", "asked", "speaks"),
    [
        (("en",), "en", True),
        (("en",), "en-GB", True),
        (("en-US",), "en", True),
        (("en-US",), "en-GB", False),
        (("en",), "e", False),
        (("de", "fr"), "FR", True),
        ((), "sw", True),
    ],
)
def test_whom_a_model_is_for(locales: tuple[str, ...], asked: str, speaks: bool) -> None:
    assert Entry("hears", **GOOD, locales=locales).speaks(asked) is speaks
