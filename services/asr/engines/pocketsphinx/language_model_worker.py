"""The process that builds language models: `python -m services.asr.engines.pocketsphinx.language_model_worker FOLDER
MODEL_YAML…`.

Started by the pool in `language_models.py`: a build takes a third of a second of a core, which neither the event loop
nor a process that decodes may spend. It yields to those (nice). Its answer to a grammar is a folder of its own with

    model.lm.bin, words.dict    as `bundles.py` has them
    report.json                 what became of the phrases
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.language_models import DICTIONARY, MODEL, REPORT, unpack_request
from services.asr.engines.pocketsphinx.lexicon import Lexicon, write_dictionary
from services.asr.engines.pocketsphinx.ngrams import (
    END_ID,
    BackoffModel,
    Vocabulary,
    counted,
    mixed,
    read_arpa,
)
from services.asr.engines.pocketsphinx.phrases import Expansion, Speller, Words, expanded
from services.asr.engines.pocketsphinx.spoken_forms import spoken_forms
from services.asr.engines.pocketsphinx.trie import write_trie
from services.asr.grammar import PhraseGrammar
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.model_store import read_definition
from services.runtime.worker_process import serve

_NICE = 5
_DISCOUNT = 0.3
_DEFAULT_SHARE = 0.5
_MAX_BASE_BYTES = 8 << 20
_GENERAL = 1_500  # pairs of general words, and triples, that stand for free text beside the single words
_SEED = 11


class Base:
    """One bundle as phrases are mixed with it; what costs time is read at the first need of it."""

    def __init__(self, bundle: PocketsphinxBundle) -> None:
        self._bundle = bundle
        self.language = bundle.definition.locales[0]

    def warm(self) -> None:
        """Reads what builds need."""
        _ = self.lexicon
        if self.can_be_mixed:
            _ = self.general

    @property
    def can_be_mixed(self) -> bool:
        return self._bundle.language_model.stat().st_size <= _MAX_BASE_BYTES

    @cached_property
    def lexicon(self) -> Lexicon:
        return Lexicon(self._bundle.dictionary, self.language)

    @cached_property
    def model(self) -> tuple[Vocabulary, BackoffModel]:
        """Raises FailedPrecondition when it is too large to be mixed."""
        path = self._bundle.language_model
        if not self.can_be_mixed:
            raise FailedPrecondition(
                f"{self._bundle.definition.id} is too large to be mixed with phrases; only share 1 is served",
                reason="FEATURE_MISSING",
                field="options.grammar.share",
            )
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "base.arpa"
            converted(path, text)
            return read_arpa(text)

    @cached_property
    def general(self) -> Sequence[tuple[str, ...]]:
        """What stands for free text: every word once, and pairs and triples as they come in its text."""
        vocabulary, model = self.model
        rng = np.random.default_rng(_SEED)
        found = [(word,) for word in vocabulary.words[END_ID + 1 :]]
        pairs = model.keys3 // model.size
        seen3 = model.seen_pairs(pairs // model.size, pairs % model.size) * model.p3
        for order, keys, seen in ((2, model.keys2, model.seen2), (3, model.keys3, seen3)):
            digits = [keys // model.size**place % model.size for place in reversed(range(order))]
            inner = np.logical_and.reduce([digit > END_ID for digit in digits])
            weights = np.where(inner, np.sqrt(seen), 0.0)
            if weights.any():
                drawn = np.unique(rng.choice(len(keys), _GENERAL, p=weights / weights.sum()))
                found += [tuple(vocabulary.words[digit[at]] for digit in digits) for at in drawn]
        return found


class LanguageModelHandler:
    """Implements `worker_process.Handler`. One request builds one model."""

    def __init__(self, arguments: Sequence[str]) -> None:
        os.nice(_NICE)
        self._folder = Path(arguments[0])
        bundles = [PocketsphinxBundle.open(read_definition(Path(path))) for path in arguments[1:]]
        self._bases = {bundle.definition.id: Base(bundle) for bundle in bundles}

    def open(self, session: int) -> None:
        """Nothing: a session is one build."""

    def request(self, session: int, payload: bytes) -> bytes:
        if not payload:
            for base in self._bases.values():
                base.warm()
            return b""
        model, key, grammar = unpack_request(payload)
        begin = time.perf_counter()
        expansion = build(self._bases[model], grammar, self._folder, key)
        report: dict[str, Any] = {
            "accepted": expansion.accepted,
            "unmatched": [asdict(each) for each in expansion.unmatched],
            "build_seconds": round(time.perf_counter() - begin, 4),
        }
        return json.dumps(report).encode()

    def close(self, session: int) -> None:
        """Nothing."""


def build(base: Base, grammar: PhraseGrammar, folder: Path, key: str) -> Expansion:
    """Writes `folder/key`, at once or not at all.

    Nothing is written when no phrase can be heard; InvalidInput when there shall be nothing but phrases.
    """
    if grammar.share is None and not base.can_be_mixed:
        left_out = Expansion()
        left_out.refuse("", "MODEL_TOO_LARGE")  # the session goes on with the model's own
        return left_out
    base.lexicon.forget()
    share = _DEFAULT_SHARE if grammar.share is None else grammar.share
    vocabulary = Vocabulary(base.model[0].words[2:] if share < 1.0 else ())
    speller = Speller(vocabulary, base.lexicon.__contains__)

    def general() -> list[Words]:
        return [[vocabulary.add(word) for word in words] for words in base.general]

    expansion = expanded(grammar, speller, lambda kind: spoken_forms(base.language, kind), general)
    if not expansion.accepted and share < 1.0:
        return expansion
    if not expansion.accepted:
        raise InvalidInput(
            "no phrase of the grammar can be heard",
            reason="GRAMMAR_UNUSABLE",
            field="options.grammar.phrases",
            metadata={"reasons": ",".join(sorted({each.reason for each in expansion.unmatched}))},
        )
    model = counted(expansion.sentences, expansion.weights, len(vocabulary), _DISCOUNT)
    if share < 1.0:
        model = mixed([(share, model), (1.0 - share, base.model[1].grown(len(vocabulary)))])
    _publish(model, vocabulary, base.lexicon, expansion, folder / key)
    return expansion


def _publish(model: BackoffModel, vocabulary: Vocabulary, lexicon: Lexicon, expansion: Expansion, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="new-") as name:
        made = Path(name) / "made"
        made.mkdir()
        write_trie(model, vocabulary.words, made / MODEL)
        write_dictionary({word: lexicon.pronunciations(word) for word in vocabulary.words[2:]}, made / DICTIONARY)
        report = {"accepted": expansion.accepted, "unmatched": [asdict(each) for each in expansion.unmatched]}
        (made / REPORT).write_text(json.dumps(report), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)


def converted(source: Path, target: Path) -> None:
    """From binary to text and back, as the target's name says (`.arpa`, `.lm.bin`)."""
    config = pocketsphinx.Config()
    log = pocketsphinx.LogMath(config["logbase"])  # has to outlive the model, which does not hold it
    pocketsphinx.NGramModel(config, log, str(source)).write(str(target))


if __name__ == "__main__":
    serve(LanguageModelHandler)
