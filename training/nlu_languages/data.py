"""Labelled sentences of xSID and sentences that are none of its intents; the only reader of `$ANTIPHON_DATA` here.

Trained on: the `valid` files of xSID 0.7 (CC BY-SA 4.0), which are translations of the same 300 sentences, with further
names from SNIPS 2017 (CC0). Measured on: its `test` files. Out of scope: phrases of skills in five languages, CLINC150
`train` (CC BY 3.0), and for the languages that have neither, sentences of random words (WikiPron's word lists): they
teach that unknown words are no intent.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from services.nlu.skills import parts_of, slots_in
from services.nlu.text import Token, tokenise

OUT_OF_SCOPE = "out_of_scope"
SOURCE = "en"

_INTENT = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORDS = {  # variety -> word list of WikiPron
    "ar": "ara_arab_broad", "da": "dan_latn_broad", "id": "ind_latn_broad", "ja": "jpn_hira_narrow",
    "nl": "nld_latn_broad", "no": "nob_latn_broad", "tr": "tur_latn_broad", "de": "deu_latn_broad",
    "it": "ita_latn_broad", "en": "eng_latn_us_broad",
}  # fmt: skip
_NAMES = frozenset("album artist entity_name movie_name object_name playlist restaurant_name track".split())
_RANDOM = 120  # sentences of random words per word list
_CLINC_AKIN = frozenset(
    (
        "alarm reminder reminder_update weather play_music update_playlist next_song restaurant_reservation "
        "restaurant_suggestion restaurant_reviews accept_reservations cancel_reservation confirm_reservation "
        "meeting_schedule schedule_meeting calendar calendar_update todo_list todo_list_update what_song how_busy"
    ).split()
)
_SAID_AKIN = re.compile(r"remind|erinner|recuérd|recuerd|rappel|ricord|wake|weck|alarm|svegli|réveil|despert")
_AKIN = re.compile(r"alarm|remind|weather|music|playlist|film|movie|book|restaurant|show_|notyet")


@dataclass(frozen=True)
class Sentence:
    """Words with their labels.

    Attributes:
        variety: "da", "de-ba", …
        number: of the English sentence of `valid` that it translates; 0 is not known.
        slots: (name, first word, word after the last); None where a source says nothing of slots.
    """

    variety: str
    words: tuple[str, ...]
    intent: str
    slots: tuple[tuple[str, int, int], ...] | None = ()
    number: int = 0

    @property
    def tokens(self) -> list[Token]:
        return [Token(0, 0, word) for word in self.words]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def folder() -> Path:
    return Path(os.environ["ANTIPHON_DATA"]) / "text"


def varieties(part: str) -> tuple[str, ...]:
    """Those that have a file of this part ("valid" or "test")."""
    return tuple(sorted(path.name.partition(".")[0] for path in folder().joinpath("xsid").glob(f"*.{part}.conll")))


def xsid(variety: str, part: str) -> list[Sentence]:
    """A file's sentences, in its order."""
    numbers = _numbers() if part == "valid" else {}
    blocks = folder().joinpath("xsid", f"{variety}.{part}.conll").read_text(encoding="utf-8").split("\n\n")
    return [_sentence(variety, block, numbers) for block in blocks if block.strip()]


@cache
def _numbers() -> Mapping[str, int]:
    """English sentence of `valid` -> its number; some files leave numbers out or have their own."""
    text = folder().joinpath("xsid", "da.valid.conll").read_text(encoding="utf-8")
    return {
        english.casefold(): int(number) for number, english in re.findall(r"# id = (\d+)\n# text-en = (.*)\n", text)
    }


def lexicon(language: str) -> list[tuple[str, str]]:
    """Pairs of an English word and a foreign one, in the order of the file."""
    lines = folder().joinpath("lexicons", f"eng-{language}.tsv").read_text(encoding="utf-8").splitlines()
    return [(one, other) for one, _, other in (line.partition("\t") for line in lines) if other]


def label(name: str) -> str:
    """xSID's name as a label of a manifest may be: "alarm/set_alarm" -> "alarm_set_alarm"."""
    return _INTENT.sub("_", name).replace("/", "_").replace("-", "_").lower()


def outside(seed: int) -> list[Sentence]:
    """Sentences that are none of xSID's intents, with the variety that they are in."""
    rng = random.Random(seed)
    return [*_phrases(), *_clinc("train", rng), *_random(rng)]


def exchanged(sentences: list[Sentence], rng: random.Random, times: int = 1) -> Iterator[Sentence]:
    """Each sentence with slots so many times more, its values exchanged for others of the slot and the variety; names
    of films, songs and the like, which all varieties leave in English, for names of SNIPS."""
    values: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for one in sentences:
        for name, start, end in one.slots or ():
            values[one.variety, name].append(one.words[start:end])
    called = names()
    for one in sentences * times:
        if one.slots:
            yield _filled(one, [rng.choice(called.get(name) or values[one.variety, name]) for name, _, _ in one.slots])


def names() -> Mapping[str, list[tuple[str, ...]]]:
    """Slot -> names that SNIPS 2017 (CC0) has for it in its training part."""
    found: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for path in sorted(folder().joinpath("snips").glob("*/*/train_*.json")):
        if not path.stem.endswith("_full"):
            sets = json.loads(path.read_bytes().decode("utf-8", errors="ignore"))
            for row in next(iter(sets.values())):
                for part in row["data"]:
                    words = tuple(token.norm for token in tokenise(part["text"]))
                    if part.get("entity") in _NAMES and words:
                        found[part["entity"]][words] = None
    return {slot: list(said) for slot, said in found.items()}


def _filled(one: Sentence, values: Sequence[tuple[str, ...]]) -> Sentence:
    words: list[str] = []
    slots = []
    at = 0
    for (name, start, end), value in zip(one.slots or (), values, strict=True):
        words += one.words[at:start]
        slots.append((name, len(words), len(words) + len(value)))
        words += value
        at = end
    words += one.words[at:]
    return replace(one, words=tuple(words), slots=tuple(slots))


def _sentence(variety: str, block: str, numbers: Mapping[str, int]) -> Sentence:
    words: list[str] = []
    tags: list[str] = []
    told: dict[str, str] = {}
    for line in block.splitlines():
        if line.startswith("# "):
            name, _, value = line.removeprefix("# ").partition(" = ")
            told[name] = value.strip()
        elif line:
            _, word, _, tag = line.split("\t")[:4]
            pieces = [token.norm for token in tokenise(word)]
            words += pieces
            tags += [tag, *[tag.replace("B-", "I-", 1)] * (len(pieces) - 1)][: len(pieces)]
    english = told.get("text-en") or (told["text"] if variety == SOURCE else "")
    number = numbers.get(english.casefold(), 0) if english else int(told.get("id", "0").partition("/")[0])
    return Sentence(variety, tuple(words), label(told["intent"]), tuple(_spans(tags)), number)


def _spans(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    start = 0
    while start < len(tags):
        name = tags[start][2:]
        end = start + 1
        if name:
            while end < len(tags) and tags[end] == f"I-{name}":
                end += 1
            yield label(name), start, end
        start = end


def _phrases() -> Iterator[Sentence]:
    """Of skills whose intents are not akin to any of xSID's; values of slots are the phrases' own examples."""
    manifests = [*sorted(Path("skills").glob("*/manifest.yaml")), Path("services/nlu/conversation.yaml")]
    for path in manifests:
        skill = yaml.safe_load(path.read_text(encoding="utf-8"))
        for intent in skill["intents"]:
            if _AKIN.search(f"{skill['skill_id']}.{intent['name']}"):
                continue
            for locale, said in (intent.get("phrases") or {}).items():
                for phrase in said:
                    if not _SAID_AKIN.search(phrase):
                        yield Sentence(locale, spoken(phrase), OUT_OF_SCOPE, None)


def spoken(phrase: str) -> tuple[str, ...]:
    """The words of a phrase with its examples in their places."""
    examples = iter([example for _, example in slots_in(phrase)])
    words = [next(examples) if is_slot else part for part, is_slot in parts_of(phrase)]
    return tuple(token.norm for token in tokenise(" ".join(words)))


def _clinc(part: str, rng: random.Random) -> list[Sentence]:
    sets = json.loads(folder().joinpath("clinc150", "data_full.json").read_text(encoding="utf-8"))
    kin = [text for text, intent in sets[part] if intent not in _CLINC_AKIN]
    rows = [*kin, *(text for text, _ in sets[f"oos_{part}"])]
    rng.shuffle(rows)
    return [
        Sentence("en", tuple(token.norm for token in tokenise(text)), OUT_OF_SCOPE, None)
        for text in rows[: 1500 if part == "train" else 2000]
    ]


def unknown() -> list[Sentence]:
    """English sentences out of scope that are never trained on: CLINC150 `val` and `oos_val`."""
    return _clinc("val", random.Random(0))


def _random(rng: random.Random) -> Iterator[Sentence]:
    for variety, name in _WORDS.items():
        lines = folder().joinpath("g2p", "wikipron", f"{name}.tsv").read_text(encoding="utf-8").splitlines()
        words = [line.partition("\t")[0].casefold() for line in lines]
        for _ in range(_RANDOM):
            said = " ".join(rng.choices(words, k=rng.randint(2, 8)))
            yield Sentence(variety, tuple(token.norm for token in tokenise(said)), OUT_OF_SCOPE, None)
