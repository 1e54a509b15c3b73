"""A command model as sessions have it: with the phrases they bring. `evaluate.py` measures that beside the model alone.

The phrases of the built-in skills come as the front door sends them, by its own code.
"""

from __future__ import annotations

from pathlib import Path

from antiphon.skills import load_manifest
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.contexts import Profile
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.asr import conversion
from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.language_model_worker import Base, build
from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.runtime.model_store import read_definition

BUILT_IN = ("calculator", "clock", "home", "lists", "notyet", "smalltalk", "timers", "units")


def built_in_grammar(language: str, skills: Path = Path("skills")) -> PhraseGrammar:
    """What the front door sends for somebody who speaks the language and has the built-in skills."""
    registry = SkillRegistry()
    for name in BUILT_IN:
        manifest = from_manifest(load_manifest(skills / name / "manifest.yaml"))
        registry.register(manifest, built_in=True)
        registry.enable(EVERYONE, manifest.id)
    told = Grammars(registry).of(Profile("evaluation", language))
    assert told is not None
    return conversion.grammar(told, conversion.grammar_digest(told))


def with_grammar(model: Path, grammar: PhraseGrammar, folder: Path) -> Decoders:
    """Decoders of a session that brings these phrases."""
    bundle = PocketsphinxBundle.open(read_definition(model / "model.yaml"))
    expansion = build(Base(bundle), grammar, folder, "session")
    built = LanguageModel("session", str(folder / "session"), expansion.accepted)
    return Decoders(bundle).adapted(built)
