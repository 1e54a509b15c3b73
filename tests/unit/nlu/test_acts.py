"""Yes and no to a question, as people say them."""

from __future__ import annotations

import pytest

from services.nlu.acts import SAID_PLAINLY, Act, dialogue_acts
from services.nlu.understanding import Understanding
from tests.unit.nlu.test_text import HOSTILE

pytestmark = pytest.mark.unit


def acts(text: str, language: str) -> list[Act]:
    return [one.act for one in dialogue_acts(Understanding((text,), (), 1.0, language))]


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ("yes", "Yes, please.", "yeah sure", "of course", "go ahead", "do it", "why not", "yes do it now")),
        ("de", ("ja", "ja bitte", "na klar", "mach das", "auf jeden Fall", "in Ordnung", "ja, mach's")),
        ("es", ("sí", "sí, por favor", "claro que sí", "por supuesto", "adelante", "vale gracias")),
        ("fr", ("oui", "oui s'il te plaît", "bien sûr", "d'accord", "vas-y", "c'est ça")),
        ("it", ("sì", "sì grazie", "va bene", "certo che sì", "d'accordo", "fallo")),
        ("de-AT", ("ja gern",)),
    ],
)
def test_a_plain_yes(language: str, texts: tuple[str, ...]) -> None:
    assert {text: acts(text, language) for text in texts} == {text: [Act.AFFIRM] for text in texts}


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ("no", "no thank you", "no don't do it", "not now", "please don't", "I don't think so", "no way")),
        ("de", ("nein", "nein danke", "auf keinen Fall", "lieber nicht", "nein, mach das nicht")),
        ("es", ("no", "no gracias", "mejor no", "en absoluto")),
        ("fr", ("non", "non merci", "surtout pas", "pas du tout", "non pas maintenant")),
        ("it", ("no", "no grazie", "meglio di no", "assolutamente no")),
    ],
)
def test_a_plain_no(language: str, texts: tuple[str, ...]) -> None:
    assert {text: acts(text, language) for text in texts} == {text: [Act.DENY] for text in texts}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("yes the blue one in the garden", "en"),
        ("sure is a nice day", "en"),
        ("no idea what you mean", "en"),
        ("please", "en"),
        ("ja was denn sonst noch", "de"),
        ("ja", "en"),
        ("yes", "mi"),
        *((text, "en") for text in HOSTILE.values()),
    ],
)
def test_what_is_more_or_less_than_an_answer(text: str, language: str) -> None:
    assert acts(text, language) == []


def test_a_yes_is_as_sure_as_a_plain_one_can_be() -> None:
    (one,) = dialogue_acts(Understanding(("yes",), (), 1.0, "en"))
    assert one.confidence == SAID_PLAINLY
