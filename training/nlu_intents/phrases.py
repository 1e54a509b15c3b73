"""The phrases of the built-in skills as training sentences, with the labels that their intents claim.

`train.py` calls `load` in the last round: sentences that the platform itself promises to understand are read at least
as well as those of public sets. Slots of free text are filled with words of any kind, so that not these words decide.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import skills
from antiphon.skills.manifest import load_manifest
from services.nlu.manifests import skill_of
from services.nlu.skills import TEXT, Intent, parts_of, slots_in
from services.nlu.text import tokenise
from training.nlu_intents.data import Sentence

_THIRD_PARTY = "coffee_order"  # stands for a skill that nobody knows beforehand
_VARIANTS = 5  # of a phrase with free text


def load(rng: random.Random, words: Iterable[str], held: Iterable[str]) -> list[Sentence]:
    """Phrases in English of intents that claim one label of a taxonomy, without the `held` keys.

    Args:
        words: to fill slots of free text with, one or two at a time.
    """
    filling, without = sorted(words), set(held)
    found: dict[str, Sentence] = {}
    for path in sorted(Path(skills.__path__[0]).glob("*/manifest.yaml")):
        if path.parent.name != _THIRD_PARTY:
            for intent in skill_of(load_manifest(path)).intents:
                found |= {one.key: one for one in _sentences(rng, intent, filling)}
    return [one for key, one in found.items() if key not in without]


def _sentences(rng: random.Random, intent: Intent, filling: list[str]) -> Iterator[Sentence]:
    labels = {name: claimed[0] for name, claimed in intent.taxonomies.items() if len(claimed) == 1}
    massive, clinc = (labels[name].partition(":")[2] if name in labels else None for name in ("massive", "clinc150"))
    if massive is None and clinc is None:
        return
    free = {slot.name for slot in intent.slots if slot.value_type == TEXT}
    for phrase in intent.phrases.get("en", ()):
        examples, parts = dict(slots_in(phrase)), list(parts_of(phrase))
        for variant in range(_VARIANTS if free & set(examples) else 1):
            said = {
                name: " ".join(rng.sample(filling, rng.randint(1, 2)))
                if variant and name in free
                else example or "that"
                for name, example in examples.items()
            }
            text = " ".join(said[piece] if slot else piece for piece, slot in parts)
            words = tuple(token.norm for token in tokenise(text) if token.norm[0].isalnum())
            if words:
                yield Sentence(words, massive, clinc, None)
