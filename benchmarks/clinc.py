"""CLINC150 as benchmarks need it: intents with their sentences, and sentences that are out of every scope.

`shortlister.py` and `one_vs_all.py` read it. The folder comes from ANTIPHON_DATA; nothing of it is kept here.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from services.nlu.skills import Intent, Skill


@dataclass(frozen=True)
class Labelled:
    """A sentence and its intent; empty for out of scope."""

    text: str
    intent: str

    @property
    def first_half(self) -> bool:
        """Drawn by the words, so that it is the same in every run."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 0


class Clinc:
    """The parts `train`, `val` and `oos_val`."""

    def __init__(self) -> None:
        folder = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
        path = folder / "text/clinc150/data_full.json"
        if not path.is_file():
            raise SystemExit(f"CLINC150 is not in {folder}: set ANTIPHON_DATA")
        self._parts = json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def train(self) -> dict[str, list[str]]:
        """Sentences by intent."""
        made: dict[str, list[str]] = {}
        for text, intent in self._parts["train"]:
            made.setdefault(intent, []).append(text)
        return {intent: made[intent] for intent in sorted(made)}

    @cached_property
    def validation(self) -> list[Labelled]:
        """3,000 sentences in scope, then 100 that are not."""
        inside = [Labelled(text, intent) for text, intent in self._parts["val"]]
        return inside + [Labelled(text, "") for text, _ in self._parts["oos_val"]]


def as_skill(name: str, sentences: list[str], version: str = "1.0.0") -> Skill:
    """A skill of one intent, `NAME.do`, that says these sentences."""
    plain = tuple(one.replace("{", "").replace("}", "") for one in sentences)
    digest = hashlib.sha256("\n".join((name, *plain)).encode()).hexdigest()
    return Skill(name, version, ("en",), (Intent(name, "do", (), {"en": plain}),), digest=digest)
