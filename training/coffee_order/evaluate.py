"""Orders understood in process: `python -m training.coffee_order.evaluate [--share S] [--skills] [--failures]`.

Phrases were chosen with this, on the tuning part (`benchmarks/coffee.py` says which recordings those are); it reads no
others. The manifest becomes a grammar, the grammar a language model, the words an order, all by the services' own code,
without front door, decision and pacing: 50 orders take half a minute of one core. The benchmark has the whole way.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills import load_manifest
from benchmarks.coffee import INTENT, MENU, SKILL, Order, Taken, orders, report
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.contexts import Profile
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.asr import conversion
from services.asr.engines.pocketsphinx.engine import PocketsphinxEngine
from services.asr.events import Final
from services.asr.grammar import PhraseGrammar
from services.asr.recognizer import Recognizer
from services.asr.requests import SessionConfig
from services.asr.settings import AsrSettings
from services.nlu.engines.phrases import PhraseBook
from services.nlu.manifests import skill_of
from services.nlu.text import normalise, tokenise
from services.nlu.understanding import Situation
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer
from services.runtime.model_store import read_definition

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "services" / "asr" / "models" / "en-commands" / "model.yaml"
CHUNK_BYTES = 3_200


def grammar_of(manifests: Iterable[manifest_pb2.SkillManifest], only: frozenset[str]) -> PhraseGrammar:
    """What the front door tells the recogniser of these skills."""
    registry = SkillRegistry()
    for manifest in manifests:
        registry.register(from_manifest(manifest), built_in=True)
        registry.enable(EVERYONE, manifest.skill_id)
    told = Grammars(registry).of(Profile("tuning", "en", only_skills=only))
    assert told is not None
    return conversion.grammar(told, conversion.grammar_digest(told))


async def heard(asked: Sequence[Order], grammar: PhraseGrammar, alternatives: int) -> list[list[str]]:
    """The alternatives for each order, best first."""
    engine = PocketsphinxEngine([read_definition(MODEL)], workers=1)
    await engine.start()
    recogniser = Recognizer(engine, {"en": engine.models[0].id}, AsrSettings())
    config = SessionConfig(model=engine.models[0].id, max_alternatives=alternatives)
    found = []
    try:
        for order in asked:
            session, events = await recogniser.open(config, grammar)
            audio = order.samples.astype("<i2").tobytes()
            events += await session.settle()
            for at in range(0, len(audio), CHUNK_BYTES):
                events += await session.take(audio[at : at + CHUNK_BYTES])
            events += await session.finish()
            await session.close()
            finals = [event for event in events if isinstance(event, Final)]
            found.append([each.text for each in finals[0].alternatives] if finals else [])
    finally:
        await engine.close()
    return found


class Reader:
    """Reads orders by phrases, as the understanding service does when only this skill may answer."""

    def __init__(self, manifests: Iterable[manifest_pb2.SkillManifest]) -> None:
        skills = [skill_of(manifest) for manifest in manifests]
        self._book = PhraseBook(skills, "en")
        self._catalogues = {f"{one.skill_id}.{each.name}": each for one in skills for each in one.catalogues}
        self._gazetteer = Gazetteer.bundled()

    def read(self, order: Order, texts: Sequence[str]) -> Taken:
        """The best reading of the first text that is an order."""
        for text in texts:
            tokens = tokenise(normalise(text, field="text"))
            finder = Finder("en", Situation(), self._gazetteer, self._catalogues)
            readings = self._book.read(tokens, finder, frozenset({SKILL}))
            if readings and readings[0].intent.full_name == INTENT:
                found = {}
                for each in readings[0].slots:
                    words = " ".join(token.norm for token in tokens[each.start : each.end])
                    entity = str(getattr(each.found.values[0], "entity_id", "")) if each.found is not None else ""
                    menu = MENU[each.spec.name]
                    found[each.spec.name] = menu.get(words.replace(" ", "_"), menu.get(entity, words))
                return Taken(order, texts[0], found, executed=True)
        return Taken(order, texts[0] if texts else "")


def understood(
    asked: Sequence[Order], manifests: Sequence[manifest_pb2.SkillManifest], share: float | None = None
) -> list[Taken]:
    """Orders as they are understood; `share` of the grammar, or None for what the front door sends for one skill."""
    grammar = grammar_of(manifests, frozenset({SKILL}) if share is None else frozenset())
    if share is not None:
        grammar = PhraseGrammar(grammar.phrases, grammar.classes, share, f"{grammar.digest}-{share}")
    reader = Reader(manifests)
    texts = asyncio.run(heard(asked, grammar, 3))
    return [reader.read(order, each) for order, each in zip(asked, texts, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, help="of the phrases against the command model; 1 without it")
    parser.add_argument("--skills", action="store_true", help="with the phrases of all skills; needs --share")
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--manifest", type=Path, default=ROOT / "skills" / SKILL / "manifest.yaml")
    options = parser.parse_args()
    manifests = [load_manifest(options.manifest)]
    if options.skills:
        others = sorted(path for path in (ROOT / "skills").glob("*/manifest.yaml") if path.parent.name != SKILL)
        manifests += [load_manifest(path) for path in others]
    report({"tuning, in process": understood(orders("tuning"), manifests, options.share)}, options.failures)


if __name__ == "__main__":
    main()
