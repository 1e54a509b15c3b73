"""The multilingual engine: labels of one taxonomy in many languages, and embeddings to compare sentences by.

The interpreter asks it for languages that no model of their own reads, and `in_context.py` for embeddings. The bundle
(`antiphon/intents-xsid`) was made by `training/nlu_languages`; how good it is, variety by variety, is in its CARD.md.
One network serves all languages: a further one costs no memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.nlu.engines.bundle import described, names, spans
from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo
from services.nlu.engines.labels import LEAST, LabelReading
from services.nlu.engines.language_features import MAX_TOKENS, SLOTS, encode
from services.nlu.text import Token
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition

MODEL = "antiphon/intents-xsid"

_BATCH = 32

Floats = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Places sentences so that those that mean the same lie near. Implemented by `LanguageEngine`."""

    @property
    def info(self) -> EngineInfo: ...

    async def embed(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Floats:
        """Float32 [sentences, dimensions], each of length 1; arguments as of `IntentEngine.read`."""
        ...


class LanguageEngine:
    """Runs one bundle.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID` if the bundle was made for other features than this code's.
    """

    def __init__(self, client: ModelClient, definition: ModelDefinition) -> None:
        self._client = client
        self._definition = definition
        self._taxonomy = str(definition.parameters.get("taxonomy", ""))
        self._intents = names(definition, "intents")
        self._tags = names(definition, "tags")
        if not self._taxonomy or OUT_OF_SCOPE not in self._intents or definition.inputs[0].shape[-1] != SLOTS:
            raise FailedPrecondition(
                f"Model {definition.id} is no bundle for the engine of many languages.",
                reason="MODEL_DEFINITION_INVALID",
            )
        self._info = _describe(definition, self._taxonomy, self._intents, client.backend(definition.id))

    @classmethod
    async def load(cls, client: ModelClient, model: str = MODEL) -> LanguageEngine:
        return cls(client, await client.load(model))

    @property
    def info(self) -> EngineInfo:
        return self._info.at(self._client.backend(self._definition.id))

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        outputs = await self._outputs(sentences, deadline)
        return [self._reading(tokens, at, outputs) for at, tokens in enumerate(sentences)]

    async def embed(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Floats:
        parts = [
            (await self._outputs(sentences[at : at + _BATCH], deadline))["embedding"]
            for at in range(0, len(sentences), _BATCH)
        ]
        return np.concatenate(parts)

    async def _outputs(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Mapping[str, Floats]:
        encoded = [encode(tokens) for tokens in sentences]
        features = np.zeros((len(encoded), max(map(len, encoded)), SLOTS), np.int64)
        for at, one in enumerate(encoded):
            features[at, : len(one)] = one
        return await self._client.infer(self._definition.id, {"features": features}, deadline=deadline)

    def _reading(self, tokens: Sequence[Token], at: int, outputs: Mapping[str, Floats]) -> LabelReading:
        if not any(token.norm[0].isalnum() for token in tokens):  # no word at all: a guess would mean nothing
            return LabelReading({}, {self._taxonomy: 1.0}, ())
        told = {
            f"{self._taxonomy}:{name}": float(probability)
            for name, probability in zip(self._intents, outputs["intents"][at], strict=True)
            if probability >= LEAST
        }
        outside = told.pop(f"{self._taxonomy}:{OUT_OF_SCOPE}", 0.0)
        tags = outputs["tags"][at][: min(len(tokens), MAX_TOKENS)]
        return LabelReading(told, {self._taxonomy: outside}, tuple(spans(tags, self._tags, f"{self._taxonomy}:")))


def _describe(definition: ModelDefinition, taxonomy: str, intents: Sequence[str], backend: str) -> EngineInfo:
    labels = tuple(f"{taxonomy}:{name}" for name in intents if name != OUT_OF_SCOPE)
    description = f"Hashed character features, convolutions; {len(labels)} labels in many languages."
    return described(definition, labels, description, _scores(definition), backend)


def _scores(definition: ModelDefinition) -> Iterator[tuple[str, str, float, str]]:
    """What the training run measured, by variety; nothing if the bundle brings no figures."""
    path = definition.path.with_name("scores.json")
    if not path.is_file():
        return
    for variety, figures in json.loads(path.read_text(encoding="utf-8")).get("varieties", {}).items():
        yield variety, "intent_accuracy", float(figures["accuracy"]), "xSID test"
        yield variety, "slot_f1", float(figures["slot_f1"]), "xSID test"
