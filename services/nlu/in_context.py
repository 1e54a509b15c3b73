"""Reads by the examples of a request (k-shot): the nearest of them tell the intent, honestly labelled as retrieval.

The interpreter calls `ExampleReader.read` where a request brings examples. Two sentences are alike by the words and
pieces of words that they share, the rarer the more, and by the multilingual model's embedding, which knows what is
meant alike in several languages, but only near what it was trained on. An intent gets the share of its nearest example,
and how near the nearest of all lies tells whether any covers the utterance. Slots of examples are taken where the words
around them are said again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp

import numpy as np

from services.nlu.combining import Evidence
from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.language_features import encode
from services.nlu.engines.languages import Embedder, Floats
from services.nlu.engines.phrase_sentence import ValueFinder
from services.nlu.engines.phrases import PhraseBook
from services.nlu.library import Shelf
from services.nlu.skills import Intent, Skill, SlotSpec
from services.nlu.sources import Heard, by_phrases, complete
from services.nlu.text import Token, normalise, tokenise
from services.nlu.understanding import Example, Options, Slot
from services.runtime.errors import InvalidInput

MAX_EXAMPLES = 64

IN_CONTEXT = "#in_context"
"""Behind a model's name in `Evidence.sources`: the model as it goes by examples, which provenance tells apart."""

_MAX_SLOTS = 8
_EMBEDDED = 0.25  # what the embedding counts beside shared features; chosen on CLINC150 `train` and xSID `valid`
_SHARPNESS = 20.0  # of shares by similarity; fitted on CLINC150 `train`, as are the two below
_NEAR = 0.4  # similarity of the nearest example at which it is even whether any covers the utterance
_STEEPNESS = 12.0


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the examples say of one text: share by intent (out of scope is ""), and that any covers it."""

    shares: Mapping[str, float]
    covered: float


class ExampleReader:
    """Stateless but for the model; one per replica."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def info(self) -> EngineInfo:
        return self._embedder.info

    @property
    def source(self) -> str:
        """The model as evidence names it."""
        return f"{self._embedder.info.model}{IN_CONTEXT}"

    async def read(
        self,
        heard: Heard,
        options: Options,
        shelf: Shelf,
        finder: ValueFinder,
        locale: str,
        deadline: float | None,
    ) -> tuple[list[Evidence], float]:
        """Evidence by the examples of the options, and the probability that any of them covers the utterance.

        Args:
            locale: that the finder reads values in.

        Raises:
            InvalidInput: from `checked`.
            DeadlineExceeded, Overloaded: from the model.
        """
        examples = checked(options.examples)
        sentences = [*heard.tokens, *(tokenise(one.text) for one in examples)]
        placed = await self._embedder.embed(sentences, deadline)
        similar = _alike(sentences, len(heard.texts))
        similar += _EMBEDDED * (placed[: len(heard.texts)] @ placed[len(heard.texts) :].T)
        told = [recalled([one.intent for one in examples], row.tolist()) for row in similar]
        by_words = {one.intent: one for one in by_phrases(heard, _book(examples, shelf, locale), finder, options)}
        made = []
        covered = sum(weight * one.covered for weight, one in zip(heard.weights, told, strict=True))
        for intent in sorted({one.intent for one in examples} - {""}):
            if options.skills and intent.partition(".")[0] not in options.skills:
                continue
            parts = [weight * one.shares.get(intent, 0.0) for weight, one in zip(heard.weights, told, strict=True)]
            worded = by_words.get(intent)
            at = worded.hypothesis if worded else parts.index(max(parts))
            slots: tuple[Slot, ...] = worded.slots if worded else ()
            known = shelf.intents.get(intent)
            made.append(Evidence(intent, sum(parts), at, slots, complete(known, slots), (self.source,)))
        return made, covered


def _alike(sentences: Sequence[Sequence[Token]], count: int) -> Floats:
    """Cosine of hashed features weighted by how telling they are among the examples: the first `count` sentences
    against the rest, float32 [count, rest]."""
    bags = [np.unique(encode(tokens)) for tokens in sentences]
    touched, places = np.unique(np.concatenate(bags), return_inverse=True)
    matrix = np.zeros((len(bags), len(touched)), np.float32)
    matrix[np.repeat(np.arange(len(bags)), [len(bag) for bag in bags]), places] = 1
    matrix[:, touched == 0] = 0  # padding
    counts = matrix[count:].sum(axis=0)
    matrix *= np.log((1 + len(bags) - count) / (1 + counts)) + 1
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    result: Floats = matrix[:count] @ matrix[count:].T
    return result


def recalled(intents: Sequence[str], similarities: Sequence[float]) -> Recalled:
    """Shares of the intents by how near their examples lie, times the probability that any covers the text."""
    nearest = max(similarities)
    covered = 1 / (1 + exp(-_STEEPNESS * (nearest - _NEAR)))
    by_intent: dict[str, float] = defaultdict(float)
    for intent, similarity in zip(intents, similarities, strict=True):
        by_intent[intent] = max(by_intent[intent], exp(_SHARPNESS * (similarity - nearest)))
    total = sum(by_intent.values())
    shares = {intent: covered * one / total for intent, one in by_intent.items()}
    return Recalled(shares, covered - shares.get("", 0.0))


def checked(examples: Iterable[Example], field: str = "options.examples") -> tuple[Example, ...]:
    """The examples with their texts in NFC.

    Raises:
        InvalidInput: `EXAMPLES_TOO_MANY`, `EXAMPLE_INVALID`, or a text that cannot be read.
    """
    given = tuple(examples)
    if len(given) > MAX_EXAMPLES:
        raise InvalidInput(
            f"A request has at most {MAX_EXAMPLES} examples, not {len(given)}.", reason="EXAMPLES_TOO_MANY", field=field
        )
    for at, one in enumerate(given):
        skill, dot, name = one.intent.partition(".")
        if one.intent and (len(one.intent) > 129 or not (skill and dot and name)):
            raise InvalidInput(
                "An example's intent is a full name such as timers.set_timer.",
                reason="EXAMPLE_INVALID",
                field=f"{field}[{at}].intent",
            )
        spans = sorted((start, end) for _, start, end in one.slots)
        outside = any(not 0 <= start < end <= len(one.text) for start, end in spans)
        if outside or len(spans) > _MAX_SLOTS or any(a[1] > b[0] for a, b in pairwise(spans)):
            raise InvalidInput(
                f"An example has at most {_MAX_SLOTS} slots, apart from each other, with spans inside its text.",
                reason="EXAMPLE_INVALID",
                field=f"{field}[{at}].slots",
            )
    return tuple(
        Example(normalise(one.text, field=f"{field}[{at}].text"), one.intent, one.slots) for at, one in enumerate(given)
    )


def _book(examples: Sequence[Example], shelf: Shelf, locale: str) -> PhraseBook:
    """The examples as phrases: their slots stand where theirs stood."""
    phrases: dict[str, list[str]] = defaultdict(list)
    slots: dict[str, dict[str, SlotSpec]] = defaultdict(dict)
    for one in examples:
        if not one.intent or "{" in one.text or "}" in one.text:
            continue
        known = shelf.intents.get(one.intent)
        text = one.text
        for name, start, end in sorted(one.slots, key=lambda slot: -slot[1]):
            text = f"{text[:start]}{{{name}}}{text[end:]}"
            slots[one.intent][name] = (known.slot(name) if known else None) or SlotSpec(name)
        phrases[one.intent].append(text)
    skills = [
        Skill(
            intent.partition(".")[0],
            "1.0.0",
            (locale,),
            (
                Intent(
                    intent.partition(".")[0],
                    intent.partition(".")[2],
                    tuple(slots[intent].values()),
                    {locale: tuple(said)},
                ),
            ),
        )
        for intent, said in phrases.items()
    ]
    return PhraseBook(skills, locale)
