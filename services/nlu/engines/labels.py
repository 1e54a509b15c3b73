"""The trained English engine: labels of the MASSIVE and CLINC150 taxonomies, and MASSIVE's slots.

The interpreter calls `read` with all alternatives of an utterance and asks, for every intent of a skill that claims
labels, how probable these are. The bundle (`antiphon/intents-en`) was made by `training/nlu_intents`; how good it is
and where it fails is in its CARD.md. The two taxonomies are two heads: each tells all of its own labels, so that a
skill may claim labels of either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.nlu.engines.bundle import described, names, spans
from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo, TaggedSlot
from services.nlu.engines.pieces import Pieces, Vocabulary
from services.nlu.text import Token
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition

MODEL = "antiphon/intents-en"

TAXONOMIES: Mapping[str, str] = {"massive": "massive", "clinc": "clinc150"}
"""Head of the network -> how labels of its taxonomy begin ("massive:alarm_set")."""

LEAST = 0.0005
"""Labels below it are not told: hundreds of them would be added up for every sentence, to nothing."""

_MEASURED = {"slurp": "SLURP test", "clinc": "CLINC150 val"}


@dataclass(frozen=True, slots=True)
class LabelReading:
    """One sentence as read.

    Attributes:
        labels: "massive:alarm_set" -> probability, from `LEAST` on; each taxonomy sums to about 1 with its `outside`.
        outside: taxonomy -> probability that none of its labels fits.
        slots: named as labels ("massive:date"), in order.
    """

    labels: Mapping[str, float]
    outside: Mapping[str, float]
    slots: tuple[TaggedSlot, ...]


class LabelReader(Protocol):
    """Reads sentences into labels. Implemented by `LabelEngine`; tests have a scripted one."""

    @property
    def info(self) -> EngineInfo: ...

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        """One reading per sentence, in order; arguments as of `IntentEngine.read`."""
        ...


class LabelEngine:
    """Runs one bundle.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID` if the bundle was made for another engine, or its vocabulary is
            not the one that it was made with.
    """

    def __init__(self, client: ModelClient, definition: ModelDefinition) -> None:
        self._client = client
        self._definition = definition
        self._labels = {head: names(definition, head) for head in TAXONOMIES}
        self._tags = names(definition, "tags")
        if any(OUT_OF_SCOPE not in names for names in self._labels.values()):
            raise FailedPrecondition(
                f"Model {definition.id} is no bundle for the engine of labels.", reason="MODEL_DEFINITION_INVALID"
            )
        self._vocabulary = vocabulary(definition)
        self._info = _describe(definition, self._labels, client.backend(definition.id))

    @classmethod
    async def load(cls, client: ModelClient, model: str = MODEL) -> LabelEngine:
        return cls(client, await client.load(model))

    @property
    def info(self) -> EngineInfo:
        return self._info.at(self._client.backend(self._definition.id))

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        encoded = [self._vocabulary.encode(tokens) for tokens in sentences]
        pieces = np.zeros((len(encoded), max(len(one.ids) for one in encoded)), np.int64)
        for at, one in enumerate(encoded):
            pieces[at, : len(one.ids)] = one.ids
        outputs = await self._client.infer(self._definition.id, {"pieces": pieces}, deadline=deadline)
        return [
            self._reading(tokens, one, {name: rows[at] for name, rows in outputs.items()})
            for at, (tokens, one) in enumerate(zip(sentences, encoded, strict=True))
        ]

    def _reading(
        self, tokens: Sequence[Token], pieces: Pieces, outputs: Mapping[str, npt.NDArray[np.float32]]
    ) -> LabelReading:
        if not any(token.norm[0].isalnum() for token in tokens):  # no word at all: a guess would mean nothing
            return LabelReading({}, dict.fromkeys(TAXONOMIES.values(), 1.0), ())
        labels: dict[str, float] = {}
        outside: dict[str, float] = {}
        for head, taxonomy in TAXONOMIES.items():
            probabilities, names = outputs[head], self._labels[head]
            outside[taxonomy] = float(probabilities[names.index(OUT_OF_SCOPE)])
            for number in np.flatnonzero(probabilities >= LEAST).tolist():
                if names[number] != OUT_OF_SCOPE:
                    labels[f"{taxonomy}:{names[number]}"] = float(probabilities[number])
        tags = outputs["tags"][list(pieces.firsts)]  # a word is tagged where it begins
        return LabelReading(labels, outside, tuple(spans(tags, self._tags, "massive:")))


def vocabulary(definition: ModelDefinition) -> Vocabulary:
    """The word pieces of a bundle, which lie beside its graph.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID` if they are not there or not those that it was made with.
    """
    path = definition.path.with_name("pieces.txt")
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != definition.parameters.get("pieces_sha256"):
        raise FailedPrecondition(
            f"The vocabulary of model {definition.id} is not what it was made with.", reason="MODEL_DEFINITION_INVALID"
        )
    return Vocabulary(content.decode().splitlines())


def _describe(definition: ModelDefinition, labels: Mapping[str, tuple[str, ...]], backend: str) -> EngineInfo:
    intents = tuple(
        f"{taxonomy}:{name}" for head, taxonomy in TAXONOMIES.items() for name in labels[head] if name != OUT_OF_SCOPE
    )
    description = f"Word pieces, a distilled encoder; {len(intents)} labels of MASSIVE and CLINC150."
    return described(definition, intents, description, _scores(definition), backend)


def _scores(definition: ModelDefinition) -> Iterator[tuple[str, str, float, str]]:
    """What the training run measured, from the bundle; nothing if the bundle brings no figures."""
    path = definition.path.with_name("scores.json")
    if not path.is_file():
        return
    report = json.loads(path.read_text(encoding="utf-8"))
    for key, dataset in _MEASURED.items():
        model = report.get(key, {}).get("model", {})
        for figure, metric in (("accuracy", "intent_accuracy"), ("slot_f1", "slot_f1")):
            if figure in model:
                yield "en", metric, float(model[figure]), dataset
        if "out_of_scope_auc" in model:
            yield "en", "out_of_scope_auc", float(model["out_of_scope_auc"]), dataset
