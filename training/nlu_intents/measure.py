"""Measures the bundle as it is served, beside its baselines, and writes the figures into it.

    python -m training.nlu_intents.measure

Needs what `train.py` needs, and a few minutes, most of them for the baseline.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import numpy as np

from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_intents.data import Corpus, Sentence, load
from training.nlu_intents.encoding import Encoded
from training.nlu_intents.evaluation import Floats, evaluate
from training.nlu_intents.export import BUNDLE

MODEL = "antiphon/intents-en"


async def outputs(
    client: OnnxClient, corpus: Corpus, sentences: Sequence[Sentence]
) -> tuple[Floats, Floats, list[Floats]]:
    """Probabilities of both heads, and of the tags of each sentence."""
    found: dict[str, list[Floats]] = {"massive": [], "clinc": [], "tags": []}
    for batch in Encoded(sentences, corpus.clinc_labels).batches(256):
        for name, rows in (await client.infer(MODEL, {"features": batch.ids})).items():
            found[name] += list(rows)
    return np.array(found["massive"]), np.array(found["clinc"]), found["tags"]


async def main() -> None:
    client = OnnxClient(ModelStore([BUNDLE.parent]), threads=1)
    report = json.loads((BUNDLE / "scores.json").read_text(encoding="utf-8"))
    corpus = load(report["seed"])
    made = {
        name: await outputs(client, corpus, sentences)
        for name, sentences in (("slurp", corpus.slurp), ("clinc", corpus.clinc))
    }
    report |= evaluate(corpus, made)
    print(json.dumps(report, indent=2))
    (BUNDLE / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
