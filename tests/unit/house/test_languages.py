"""A language that is served is there whole: who adds one learns here what is missing (docs/adding-a-language.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills import load_manifest
from services.arbitration.adapters.small_words import SMALL_WORDS
from services.registry import LANGUAGES

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
FILES = (
    "services/dialogue/languages/{tag}.yaml",
    "services/nlu/values/languages/{tag}.grammar",
    "services/asr/spoken_forms/{tag}.yaml",
    "services/asr/models/{tag}-commands/model.yaml",
    "services/asr/models/{tag}-commands/CARD.md",
    "services/asr/models/g2p-{tag}/CARD.md",
)
MANIFESTS = sorted((ROOT / "skills").glob("*/manifest.yaml"))
ENGLISH_ONLY = {"coffee_order"}
"""Skills that are examples, not part of the assistant."""

BUILT_IN = [path for path in MANIFESTS if path.parent.name not in ENGLISH_ONLY]


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("file", FILES)
def test_each_language_has_its_files(tag: str, file: str) -> None:
    assert (ROOT / file.format(tag=tag)).is_file()


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: str(path.parent.name))
def test_each_skill_speaks_each_language(tag: str, path: Path) -> None:
    manifest = load_manifest(path)
    assert tag in manifest.locales
    assert any(name.language_code == tag for name in manifest.display_names)
    for intent in manifest.intents:
        spoken = [phrase for said in intent.phrases if said.language_code == tag for phrase in said.phrases]
        assert spoken, f"{intent.name} has no phrases"
        asks = [slot.name for slot in intent.slots if slot.required and not _asks_in(slot, tag)]
        assert not asks, f"{intent.name} cannot ask for {asks}"


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_conversation_itself_speaks_each_language(tag: str) -> None:
    assert SMALL_WORDS[tag]
    conversation = yaml.safe_load((ROOT / "services/nlu/conversation.yaml").read_text(encoding="utf-8"))
    assert all(intent["phrases"][tag] for intent in conversation["intents"])
    questions = yaml.safe_load((ROOT / "benchmarks/data/questions.yaml").read_text(encoding="utf-8"))
    assert all(question[tag] for question in questions)


def _asks_in(slot: manifest_pb2.SlotDefinition, tag: str) -> bool:
    return any(prompt.language_code == tag for prompt in slot.prompts)
