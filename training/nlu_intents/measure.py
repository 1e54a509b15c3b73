"""Measures the bundle as it is served, beside its baselines, and writes the figures into it.

    python -m training.nlu_intents.measure --baselines    # first: SLURP test by the baselines
    python -m training.nlu_intents.measure                # SLURP test and half of CLINC150 val, once, in the end

Needs what `train.py` needs; the baselines take some minutes and are kept in `build/nlu_intents`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.nlu.engines.labels import vocabulary
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_intents.data import Corpus, Sentence, load
from training.nlu_intents.evaluation import Floats, baselines, evaluate
from training.nlu_intents.export import BUILD, BUNDLE
from training.nlu_intents.piece_batches import PieceData

MODEL = "antiphon/intents-en"
BASELINES = BUILD / "baselines.json"


async def outputs(
    client: OnnxClient, corpus: Corpus, sentences: Sequence[Sentence]
) -> tuple[Floats, Floats, list[Floats], float]:
    """Probabilities of both heads and of each sentence's tags, read one by one; median CPU milliseconds of one."""
    definition = await client.load(MODEL)
    found: dict[str, list[Floats]] = {"massive": [], "clinc": [], "tags": []}
    spent = []
    for batch in PieceData(sentences, corpus.clinc_labels, vocabulary(definition)).in_order(1):
        began = time.process_time()
        made = await client.infer(MODEL, {"pieces": batch.ids})
        spent.append((time.process_time() - began) * 1000)
        found["massive"] += list(made["massive"])
        found["clinc"] += list(made["clinc"])
        found["tags"] += [made["tags"][0][batch.firsts[0]]]
    return np.array(found["massive"]), np.array(found["clinc"]), found["tags"], statistics.median(spent)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--baselines", action="store_true")
    options = parser.parse_args()
    corpus = load(options.seed)
    if options.baselines:
        BASELINES.write_text(json.dumps(baselines(corpus)) + "\n", encoding="utf-8")
        return
    client = OnnxClient(ModelStore([options.bundle.parent]), threads=1)
    report = json.loads((options.bundle / "scores.json").read_text(encoding="utf-8"))
    slurp = await outputs(client, corpus, corpus.slurp)
    clinc = await outputs(client, corpus, corpus.clinc)
    known = json.loads(BASELINES.read_text(encoding="utf-8"))
    report |= evaluate(corpus, {"slurp": slurp[:3], "clinc": clinc[:3]}, known)
    report["cpu_ms_p50"] = round(slurp[3], 2)
    print(json.dumps(report, indent=2))
    (options.bundle / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
