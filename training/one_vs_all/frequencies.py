"""Counts in how many sentences each hashed feature of `services/nlu/one_vs_all` occurs.

    ANTIPHON_DATA=... python -m training.one_vs_all.frequencies

Sentences: CLINC150 `train` and `oos_train`, HWU64 (whose sentences are none of SLURP's test set), SLURP devel. What is
written are bucket numbers with their counts from 2 on: no sentence, no word. Labels are not looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.nlu.one_vs_all.features import BUCKETS, FREQUENCIES, rows_of

LEAST = 2
"""Rarer buckets are left out: they say what one person said."""


def sentences(data: Path) -> Iterator[str]:
    clinc = json.loads((data / "text/clinc150/data_full.json").read_text(encoding="utf-8"))
    yield from (text for part in ("train", "oos_train") for text, _ in clinc[part])
    for path in sorted((data / "text/hwu64").rglob("*.json")):
        examples = json.loads(path.read_text(encoding="utf-8"))["rasa_nlu_data"]["common_examples"]
        yield from (one["text"] for one in examples)
    for line in (data / "text/slurp/devel.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["sentence"]


def main() -> None:
    said = sorted(set(sentences(Path(os.environ.get("ANTIPHON_DATA", "../shared/data")))))
    counts = np.bincount(rows_of(said).features, minlength=BUCKETS)
    buckets = np.flatnonzero(counts >= LEAST)
    np.savez_compressed(
        FREQUENCIES,
        buckets=buckets.astype(np.int32),
        counts=counts[buckets].clip(max=65_535).astype(np.uint16),
        sentences=np.int32(len(said)),
    )
    print(f"{len(said)} sentences, {len(buckets)} buckets, {FREQUENCIES.stat().st_size} bytes")


if __name__ == "__main__":
    main()
