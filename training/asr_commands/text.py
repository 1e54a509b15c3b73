"""General English that the command model is mixed with, so that other speech does not turn into commands.

Read by `train.py` from $ANTIPHON_DATA: SLURP devel (CC BY 4.0), HWU64 (CC BY 4.0), CLINC150 train (CC BY 3.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from training.asr_commands.grammar import number

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_NUMBER = re.compile(r"\d+")


def general_sentences(data: Path) -> Iterator[list[str]]:
    for text in _raw(data / "text"):
        words = normalised(text)
        if words:
            yield words


def normalised(text: str) -> list[str]:
    """Words as spoken: lower case, whole numbers in words, no punctuation."""
    text = text.lower().replace("’", "'").replace("%", " percent ").replace("&", " and ")
    text = _NUMBER.sub(lambda match: f" {number(int(match[0]))} " if len(match[0]) < 7 else " ", text)
    return _WORD.findall(text)


def _raw(folder: Path) -> Iterator[str]:
    for line in (folder / "slurp" / "devel.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["sentence"]
    hwu = json.loads((folder / "hwu64" / "rasa_KFold_1_train.json").read_text(encoding="utf-8"))
    for example in hwu["rasa_nlu_data"]["common_examples"]:
        yield example["text"]
    clinc = json.loads((folder / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    for split in ("train", "oos_train"):
        for text, _ in clinc[split]:
            yield text
