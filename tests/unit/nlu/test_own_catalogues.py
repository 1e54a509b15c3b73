"""What requests bring along is made once."""

from __future__ import annotations

import pytest

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import text_pb2
from services.nlu.manifests import OwnCatalogues

pytestmark = pytest.mark.unit


def sent(*names: str, name: str = "contacts") -> manifest_pb2.Catalogue:
    made = manifest_pb2.Catalogue(name=name)
    for each in names:
        made.entries.add(entity_id=each, names=[text_pb2.LocalizedText(language_code="en", text=each)])
    return made


def test_the_same_content_is_the_same_object() -> None:
    own = OwnCatalogues()
    (first,) = own.of([sent("anna", "bob")])
    again, other, renamed = own.of([sent("anna", "bob"), sent("anna"), sent("anna", "bob", name="friends")])
    assert again is first
    assert [entry.entity_id for entry in other.entries] == ["anna"]
    assert renamed is not first
    assert renamed.name == "friends"


def test_the_oldest_are_dropped_when_there_are_too_many_entries() -> None:
    own = OwnCatalogues(most=3)
    (first,) = own.of([sent("anna", "bob")])
    own.of([sent("carl")])
    assert own.of([sent("anna", "bob")])[0] is first
    own.of([sent("dora", "emil", "fritz", "gerd")])
    assert own.of([sent("anna", "bob")])[0] is not first


def test_a_larger_one_than_is_kept_is_read_all_the_same() -> None:
    (made,) = OwnCatalogues(most=1).of([sent("anna", "bob", "carl")])
    assert len(made.entries) == 3
    assert OwnCatalogues().of([]) == ()
