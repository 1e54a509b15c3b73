"""The first engine: hashed features in Python, a small network behind `ModelClient` (`antiphon/intents-thin`).

`app.py` loads it once; the interpreter sends all alternatives of an utterance in one padded batch. Made by
`training/nlu_thin`; how good it is and where it fails is in the bundle's CARD.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.nlu.engines.bundle import described, names, spans
from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo, Reading
from services.nlu.engines.features import MAX_TOKENS, SLOTS, encode
from services.nlu.text import Token
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition

MODEL = "antiphon/intents-thin"

_MEASURED = {"slurp": "SLURP test", "clinc": "CLINC150 val"}


class ThinEngine:
    """Runs one bundle of the thin kind.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID` if the bundle was made for other features than this code's.
    """

    def __init__(self, client: ModelClient, definition: ModelDefinition) -> None:
        self._client = client
        self._definition = definition
        self._intents = tuple(str(name) for name in definition.parameters.get("intents", ()))
        self._tags = names(definition, "tags")
        if OUT_OF_SCOPE not in self._intents or definition.inputs[0].shape[-1] != SLOTS:
            raise FailedPrecondition(
                f"Model {definition.id} is no bundle for the thin engine.", reason="MODEL_DEFINITION_INVALID"
            )
        self._info = _describe(definition, self._intents, client.backend(definition.id))

    @classmethod
    async def load(cls, client: ModelClient, model: str = MODEL) -> ThinEngine:
        return cls(client, await client.load(model))

    @property
    def info(self) -> EngineInfo:
        return self._info.at(self._client.backend(self._definition.id))

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[Reading]:
        encoded = [encode(tokens) for tokens in sentences]
        features = np.zeros((len(encoded), max(one.shape[1] for one in encoded), SLOTS), np.int64)
        for at, one in enumerate(encoded):
            features[at, : one.shape[1]] = one[0]
        outputs = await self._client.infer(self._definition.id, {"features": features}, deadline=deadline)
        return [
            self._reading(tokens, intents, tags)
            for tokens, intents, tags in zip(sentences, outputs["intents"], outputs["tags"], strict=True)
        ]

    def _reading(
        self, tokens: Sequence[Token], intents: npt.NDArray[np.float32], tags: npt.NDArray[np.float32]
    ) -> Reading:
        if not any(token.norm[0].isalnum() for token in tokens):  # no word at all: a guess would mean nothing
            return Reading({name: float(name == OUT_OF_SCOPE) for name in self._intents}, ())
        probabilities = dict(zip(self._intents, map(float, intents), strict=True))
        return Reading(probabilities, tuple(spans(tags[: min(len(tokens), MAX_TOKENS)], self._tags)))


def _describe(definition: ModelDefinition, intents: Sequence[str], backend: str) -> EngineInfo:
    named = tuple(name for name in intents if name != OUT_OF_SCOPE)
    description = f"Hashed word and character features, two convolutions; {len(named)} intents and out of scope."
    return described(definition, named, description, _scores(definition), backend)


def _scores(definition: ModelDefinition) -> Iterator[tuple[str, str, float, str]]:
    """What the training run measured, from the bundle; nothing if the bundle brings no figures."""
    path = definition.path.with_name("scores.json")
    if not path.is_file():
        return
    report = json.loads(path.read_text(encoding="utf-8"))
    for key, dataset in _MEASURED.items():
        if key in report:
            yield "en", "intent_accuracy", float(report[key]["model"]["accuracy"]), dataset
            if "slot_f1" in report[key]["model"]:
                yield "en", "slot_f1", float(report[key]["model"]["slot_f1"]), dataset
