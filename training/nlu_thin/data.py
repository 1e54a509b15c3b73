"""Labelled sentences from our templates and from two CC BY sets; the only reader of `$ANTIPHON_DATA` here.

Training: templates, CLINC150 `train` and `oos_train` (CC BY 3.0), HWU64 (CC BY 4.0) without any sentence of SLURP's
devel or test part. Calibration: SLURP devel and a tenth of CLINC150 `train`. Held out: SLURP test, CLINC150 `val` and
`oos_val`, patterns never trained on, and xSID (German, Italian; CC BY-SA 4.0), which is only measured on.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.nlu.values.number_words import WORDS
from training.nlu_thin.grammar import Example, generate
from training.nlu_thin.templates import OUT_OF_SCOPE, TEMPLATES

CLINC = {
    "time": "clock.time", "date": "clock.date", "calculator": "calculator.compute", "greeting": "dialogue.greeting",
    "what_can_i_ask_you": "dialogue.help", "cancel": "dialogue.stop", "repeat": "dialogue.repeat",
    "goodbye": "dialogue.goodbye", "thank_you": "dialogue.thanks",
}  # fmt: skip
"""CLINC150's intents that are ours; all others are out of scope."""

SLURP_LABELS = Path(__file__).with_name("slurp_labels.json")
"""Our intents where SLURP's own label is too coarse: id of a test sentence -> intent, null to leave it out."""

_SLOTS = {"place_name": "place", "time_zone": "place", "date": "day", "event_name": "day"}
_PER_INTENT = {"en": 1200, "de": 350, "fr": 350, "es": 350, "it": 350}
_FRAGMENTS = 4000
_NOISE = 1200
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрстуфхцчшыьэюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "अआइईउकखगघचजटडणतथदनपबभमयरलवशसह",
    "的一是不了人我在有他这为之大来以个中上们",
    "あいうえおかきくけこさしすせそたちつてと",
    "가나다라마바사아자차카타파하",
)
_NOT_ASKED = re.compile(
    r"difference|time ?zone|how many|weather|alarm|holiday|best day|convert|if it|when it|my time|set "
)
_DATE = re.compile(r"\b(date|day|month|year|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today)\b")
_TIME = re.compile(r"\b(time|hour|clock)\b")
_HWU_RULES = {
    "general_commandstop": (re.compile(r"stop|cancel|shut|quiet|enough|quit|abort"), "dialogue.stop"),
    "general_repeat": (re.compile(r"repeat|again|once more|more time"), "dialogue.repeat"),
    "general_praise": (re.compile(r"thank|appreciat"), "dialogue.thanks"),
    "general_greet": (re.compile(r""), "dialogue.greeting"),
    "greet": (re.compile(r""), "dialogue.greeting"),
    "general_explain": (re.compile(r"$^"), ""),
}


@dataclass(frozen=True)
class Corpus:
    """The parts of the data; the held-out ones by name."""

    train: list[Example]
    calibration: list[Example]
    held_out: Mapping[str, list[Example]]


def load(seed: int, data: Path | None = None) -> Corpus:
    """Everything, the same for the same seed. `data` is `$ANTIPHON_DATA` unless given."""
    rng = random.Random(seed)
    root = (data or Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))) / "text"
    devel, test = _slurp(root / "slurp/devel.jsonl"), _slurp(root / "slurp/test.jsonl")
    clinc = json.loads((root / "clinc150/data_full.json").read_text(encoding="utf-8"))
    clinc_train = list(_clinc(clinc["train"], clinc["oos_train"]))
    rng.shuffle(clinc_train)
    tenth = len(clinc_train) // 10
    held = {_key(row["sentence"]) for row in (*devel, *test)} | {
        _key(text) for text, _ in clinc["val"] + clinc["oos_val"]
    }
    train = [*_templates(rng, held_out=False), *clinc_train[tenth:], *_hwu(root / "hwu64/rasa_KFold_1_train.json")]
    train += [*_fragments(rng, train), *_noise(rng)]
    return Corpus(
        train=[example for example in train if _key(example.text) not in held],
        calibration=[*_slurp_examples(devel, {}), *clinc_train[:tenth]],
        held_out={
            "slurp": list(_slurp_examples(test, json.loads(SLURP_LABELS.read_text(encoding="utf-8")))),
            "clinc": list(_clinc(clinc["val"], clinc["oos_val"])),
            "patterns": list(_templates(random.Random(seed + 1), held_out=True)),
            "xsid": list(_xsid(root / "xsid")),
        },
    )


def _fragments(rng: random.Random, examples: list[Example]) -> list[Example]:
    """Pieces of one to three words out of sentences that are not ours, as partial results and noise give them."""
    ours = {
        word for one in examples if one.intent != OUT_OF_SCOPE and len(one.text) < 30 for word in _key(one.text).split()
    }
    found = {}
    for example in rng.sample([one for one in examples if one.intent == OUT_OF_SCOPE], _FRAGMENTS):
        words = _key(example.text).split()
        length = rng.randint(1, 3)
        start = rng.randrange(max(1, len(words) - length + 1))
        piece = words[start : start + length]
        if not ours.issuperset(piece):
            found[" ".join(piece)] = Example(" ".join(piece), OUT_OF_SCOPE, example.language, None)
    return list(found.values())


def _noise(rng: random.Random) -> Iterator[Example]:
    """Words of other scripts, letters at random and bare numbers: what has no known feature is not ours."""
    for _ in range(_NOISE):
        letters = rng.choice(_ALPHABETS)
        words = ["".join(rng.choices(letters, k=rng.randint(1, 8))) for _ in range(rng.randint(1, 6))]
        yield Example(" ".join(words), OUT_OF_SCOPE, "und", None)
    for language, words_of in WORDS.items():
        for number in [*range(21), *rng.sample(range(1000), 20)]:
            yield Example(rng.choice([str(number), *words_of.spell(number)]), OUT_OF_SCOPE, language, None)


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _templates(rng: random.Random, *, held_out: bool) -> Iterator[Example]:
    for language, intents in TEMPLATES.items():
        for intent in intents:
            count = _PER_INTENT[language] // (10 if held_out else 1)
            yield from generate(rng, language, intent, count, held_out=held_out)


def _clinc(rows: Iterable[tuple[str, str]], out_of_scope: Iterable[tuple[str, str]]) -> Iterator[Example]:
    for text, label in (*rows, *out_of_scope):
        intent = CLINC.get(label, OUT_OF_SCOPE)
        yield Example(text, intent, "en", () if intent in _SLOTLESS else None)


_SLOTLESS = frozenset(intent for intent in CLINC.values() if intent.startswith("dialogue."))


def _hwu(path: Path) -> Iterator[Example]:
    for row in json.loads(path.read_text(encoding="utf-8"))["rasa_nlu_data"]["common_examples"]:
        entities = [(entity["entity"], entity["start"], entity["end"]) for entity in row["entities"]]
        intent = _our_intent(row["intent"], row["text"])
        if intent:
            # HWU64 marks "wednesday" in "next wednesday", which we read as one day: its days are not trained on.
            yield Example(row["text"], intent, "en", None if intent == "clock.date" else _spans(intent, entities))


def _our_intent(label: str, text: str) -> str:
    """Empty for sentences that no label of ours fits."""
    if label == "datetime_query":
        if _NOT_ASKED.search(text):
            return ""
        return "clock.time" if _TIME.search(text) else "clock.date" if _DATE.search(text) else ""
    if label == "qa_maths":
        return "calculator.compute" if re.search(r"\d|plus|minus|times|divided|root|sum|multipl|calculat", text) else ""
    if label in _HWU_RULES:
        rule, intent = _HWU_RULES[label]
        return intent if rule.search(text) else ""
    return OUT_OF_SCOPE


def _spans(intent: str, entities: Iterable[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...] | None:
    if intent in {"calculator.compute", OUT_OF_SCOPE}:
        return None
    if not intent.startswith("clock."):
        return ()
    spans: list[tuple[str, int, int]] = []
    for name, start, end in sorted(entities, key=lambda entity: entity[1]):
        slot = _SLOTS.get(name)
        if slot and spans and spans[-1][0] == slot and start - spans[-1][2] <= 1:
            spans[-1] = (slot, spans[-1][1], end)  # "christmas" + "this year" is one day
        elif slot:
            spans.append((slot, start, end))
    return tuple(spans)


def _slurp(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _slurp_examples(rows: Iterable[Mapping[str, Any]], labels: Mapping[str, str | None]) -> Iterator[Example]:
    for row in rows:
        key = str(row["slurp_id"])
        intent = labels[key] if key in labels else _our_intent(row["intent"], row["sentence"])
        if intent:
            yield Example(row["sentence"], intent, "en", _spans(intent, _slurp_entities(row)))


def _slurp_entities(row: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Token spans to code points. The sentence joins its tokens with spaces, clitics ("what's") without."""
    places, at = [], 0
    for token in row["tokens"]:
        start = row["sentence"].find(token["surface"], at)
        at = start + len(token["surface"])
        places.append((start, at))
    for entity in row["entities"]:
        yield entity["type"], places[entity["span"][0]][0], places[entity["span"][-1]][1]


def _xsid(root: Path) -> Iterator[Example]:
    """Alarms, weather, music and the like in German and Italian: nothing of it is ours."""
    for language in ("de", "it"):
        for path in sorted(root.rglob(f"{language}.test.conll")):
            for block in path.read_text(encoding="utf-8").split("\n\n"):
                if match := re.search(r"^# text = (.+)$", block, re.MULTILINE):
                    yield Example(match.group(1).strip(), OUT_OF_SCOPE, language, None)
