"""What comes into a store: whole, from nowhere else, and only in place of what it is meant to replace."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from services.catalogue.entries import Entry
from services.catalogue.installing import Naming, bring, usable_name
from services.catalogue.stores import Origin, installed, read_origin
from services.catalogue.unpacking import Limits
from services.catalogue.verifying import verify
from services.runtime.errors import AntiphonError, FailedPrecondition
from services.runtime.model_store import ModelStore
from tests.unit.catalogue.own_bundles import bundle, recogniser

pytestmark = pytest.mark.unit


def packed(source: Path, path: Path) -> Path:
    with tarfile.open(path, "w:bz2") as archive:
        archive.add(source, arcname="some-name")
    return path


def entry(sha256: str) -> Entry:
    return Entry("hears", "asr", "acme", "1", "Hears.", "https://x.y/h.tar.bz2", sha256=sha256)


def test_a_folder_becomes_a_bundle_of_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (made,) = bring(recogniser(tmp_path / "source"), store)
    assert made == store / "acme" / "hears" / "1"
    assert {model.id for model in ModelStore([store]).models()} == {"acme/hears@1", "acme/hears.encoder@1"}
    assert not list((store / ".incoming").iterdir())


def test_an_archive_does_too_and_says_where_it_came_from(tmp_path: Path) -> None:
    archive = packed(recogniser(tmp_path / "source"), tmp_path / "h.tar.bz2")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (made,) = bring(archive, tmp_path / "store", entry=entry(sha256=digest))
    origin = read_origin(made)
    assert origin is not None
    assert (origin.catalogue, origin.sha256, origin.pinned, origin.capability) == ("hears", digest, True, "asr")
    assert set(origin.files) == {"model.yaml", "tokens.txt", "CARD.md"} | {
        f"encoder/{name}" for name in ("model.yaml", "model.onnx", "CARD.md")
    }


def test_several_bundles_come_together(tmp_path: Path) -> None:
    recogniser(tmp_path / "source" / "a")
    bundle(tmp_path / "source" / "b", name="other")
    assert len(bring(tmp_path / "source", tmp_path / "store")) == 2


def test_a_pinned_archive_that_is_another_is_refused(tmp_path: Path) -> None:
    archive = packed(recogniser(tmp_path / "source"), tmp_path / "h.tar.bz2")
    with pytest.raises(FailedPrecondition, match="expected " + "0" * 64) as error:
        bring(archive, tmp_path / "store", entry=entry(sha256="0" * 64))
    assert error.value.reason == "DIGEST_MISMATCH"
    assert not installed(tmp_path / "store")


def test_what_is_there_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bring(bundle(tmp_path / "one", content=b"one"), store)
    with pytest.raises(AntiphonError) as error:
        bring(bundle(tmp_path / "two", content=b"two"), store)
    assert error.value.reason == "MODEL_EXISTS"
    (made,) = bring(tmp_path / "two", store, again=True)
    assert (made / "model.onnx").read_bytes() == b"two"
    assert len(installed(store)) == 1


def test_a_bundle_whose_file_is_another_is_refused(tmp_path: Path) -> None:
    (bundle(tmp_path / "source") / "model.onnx").write_bytes(b"other")
    with pytest.raises(FailedPrecondition, match=r"model\.onnx: sha256 is") as error:
        bring(tmp_path / "source", tmp_path / "store")
    assert error.value.reason == "MODEL_DIGEST_MISMATCH"
    assert not installed(tmp_path / "store")


@pytest.mark.parametrize("line", ["publisher: ../x", "name: ..", "file: ../../x", "file: /etc/hostname", "version: []"])
def test_a_definition_that_leads_out_is_refused(tmp_path: Path, line: str) -> None:
    definition = bundle(tmp_path / "source") / "model.yaml"
    kept = [one for one in definition.read_text().splitlines() if one.split(":")[0] != line.split(":")[0]]
    definition.write_text("\n".join([*kept, line]))
    with pytest.raises(FailedPrecondition) as error:
        bring(tmp_path / "source", tmp_path / "store")
    assert error.value.reason == "MODEL_DEFINITION_INVALID"
    assert not installed(tmp_path / "store")


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (bundle(tmp_path / "source") / "more").symlink_to("/etc")
    with pytest.raises(FailedPrecondition, match="link") as error:
        bring(tmp_path / "source", tmp_path / "store")
    assert error.value.reason == "ARCHIVE_UNSAFE"


def test_a_folder_larger_than_a_model_is_refused(tmp_path: Path) -> None:
    bundle(tmp_path / "source", content=b"x" * 5_000)
    for limits in (Limits(files=2), Limits(total_bytes=1_000)):
        with pytest.raises(FailedPrecondition) as error:
            bring(tmp_path / "source", tmp_path / "store", limits=limits)
        assert error.value.reason == "ARCHIVE_TOO_LARGE"


def test_what_is_no_bundle_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for naming in (None, Naming("local", "x", "1", "unknown", ())):
        with pytest.raises(AntiphonError, match="--locale") as error:
            bring(tmp_path / "source", tmp_path / "store", naming=naming)
        assert error.value.reason == "NAME_MISSING"


def test_what_is_not_there_or_a_single_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    for source, reason in (("none", "SOURCE_MISSING"), ("model.onnx", "ARCHIVE_UNKNOWN")):
        with pytest.raises(AntiphonError) as error:
            bring(tmp_path / source, tmp_path / "store")
        assert error.value.reason == reason


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(AntiphonError) as error:
        bring(bundle(tmp_path / "source"), tmp_path / "store")
    assert error.value.reason == "STORE_NOT_WRITABLE"


def test_verification_finds_what_changed_what_went_and_what_joined(tmp_path: Path) -> None:
    (made,) = bring(recogniser(tmp_path / "source"), tmp_path / "store")
    assert [verify(one).problems for one in installed(tmp_path / "store")] == [(), ()]
    (made / "tokens.txt").write_bytes(b"b 0\n")
    (made / "CARD.md").unlink()
    (made / "more.txt").write_text("x")
    (made / "encoder" / "model.onnx").unlink()
    whole, part = (verify(one) for one in installed(tmp_path / "store"))
    told = " ".join(whole.problems)
    assert all(name in told for name in ("tokens.txt", "CARD.md: it is missing", "more.txt: it was not installed"))
    assert "encoder/model.onnx: it is missing" in told
    assert part.problems == ("model.onnx: No such file or directory",)


def test_a_broken_bundle_hides_no_other(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bring(bundle(tmp_path / "good"), store)
    broken = bundle(store / "acme" / "broken" / "1")
    (broken / "model.yaml").write_text("name: [")
    bundle(store / ".incoming" / "half")
    found = {one.id: verify(one) for one in installed(store)}
    assert set(found) == {"acme/hears@1", str(broken)}
    assert found["acme/hears@1"].problems == ()
    assert "is no model definition" in found[str(broken)].problems[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 3}', '{"files": {}, "colour": "red"}', '{"files": {}, "capability": []}']
)
def test_an_origin_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "origin.json").write_text(text)
    assert read_origin(tmp_path) is None
    Origin(url="https://x.y/z", files={"a": "b"}).write(tmp_path)
    assert read_origin(tmp_path) == Origin(url="https://x.y/z", files={"a": "b"})
    assert json.loads((tmp_path / "origin.json").read_text())["pinned"] is False


def test_what_a_killed_process_left_goes_when_it_is_old(tmp_path: Path) -> None:
    for name in ("work-old", "work-new", "a.tar.bz2.partial"):
        (tmp_path / "store" / ".incoming" / name).mkdir(parents=True)
    os.utime(tmp_path / "store" / ".incoming" / "work-old", (0, 0))
    bring(bundle(tmp_path / "source"), tmp_path / "store")
    left = sorted(path.name for path in (tmp_path / "store" / ".incoming").iterdir())
    assert left == ["a.tar.bz2.partial", "work-new"]


def test_names_are_made_of_file_names() -> None:
    assert usable_name("a b!.tar.bz2") == "a-b"
    assert usable_name("model.v2.tar.gz") == "model.v2"
    assert usable_name("...") == "imported"
