"""The forms in which public sets come: MASSIVE's and SLURP's JSON lines, xSID's CoNLL. `evaluate_commands` picks one.

MASSIVE: FitzGerald et al. 2022, arXiv 2204.08582. SLURP: Bastianelli et al. 2020, arXiv 2011.13205. xSID: van der Goot
et al. 2021, arXiv 2105.07316.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from services.nlu.evaluation.samples import MAX_SAMPLES, Place, Sample, Span, lines
from services.runtime.errors import InvalidInput

MAX_FILES = 1_000

_BRACKETS = re.compile(r"[\[\]]")
_SLOT = re.compile(r"\[\s*([^:\[\]]{1,200}?)\s*:\s*([^\[\]]*?)\s*\]")


@dataclass(frozen=True)
class Format:
    """How one set is laid out.

    Attributes:
        taxonomy: how the labels begin that a model gives to this set.
        files: pattern of the files of one part in a folder; "{partition}" stands for its name.
        read: a file and the wanted part to samples.
    """

    taxonomy: str
    files: str
    read: Callable[[Path, str], Iterator[Sample]]

    def samples(self, data: Path, partition: str) -> list[Sample]:
        """All samples of a file, or of the files of a folder, in order.

        Raises:
            InvalidInput: `DATA_INVALID` with file and line, `DATA_UNREADABLE`, `DATA_EMPTY`, `DATA_TOO_LARGE`.
        """
        found: list[Sample] = []
        for path in self._paths(data, partition):
            found += islice(self.read(path, partition), MAX_SAMPLES + 1 - len(found))
            if len(found) > MAX_SAMPLES:
                raise InvalidInput(f"{data} holds more than {MAX_SAMPLES} sentences", reason="DATA_TOO_LARGE")
        if not found:
            raise InvalidInput(f"{data} holds no sentence of the part '{partition}'", reason="DATA_EMPTY")
        return found

    def _paths(self, data: Path, partition: str) -> Sequence[Path]:
        if not data.is_dir():
            return (data,)
        pattern = self.files.format(partition=partition)
        paths = sorted(islice(data.glob(pattern), MAX_FILES))
        if not paths:
            raise InvalidInput(f"{data} holds no file {pattern}", reason="DATA_EMPTY")
        return paths


def _massive(path: Path, partition: str) -> Iterator[Sample]:
    """One row per line; a file may hold several parts and locales."""
    for place, line in lines(path):
        if not line.strip():
            continue
        row = _row(place, line)
        if place.label(row.get("partition"), "partition") != partition:
            continue
        place.text(row.get("utt"), "utt")
        text, slots = _annotated(place, place.text(row.get("annot_utt"), "annot_utt"))
        intent = place.label(row.get("intent"), "intent")
        yield Sample(place.locale(row.get("locale")), text, (intent,), slots)


def _annotated(place: Place, annotated: str) -> tuple[str, tuple[Span, ...]]:
    """ "wake me [time : at nine]" to "wake me at nine" with its spans."""
    pieces: list[str] = []
    slots: list[Span] = []
    at = length = 0
    for match in _SLOT.finditer(annotated):
        pieces += [annotated[at : match.start()], match[2]]
        start = length + len(pieces[-2])
        length = start + len(match[2])
        if match[2]:
            slots.append(Span(match[1], start, length))
        at = match.end()
    pieces.append(annotated[at:])
    if any(_BRACKETS.search(piece) for piece in pieces):
        raise place.wrong("annot_utt: brackets that do not pair as [slot : value]")
    text = "".join(pieces)
    if text.isspace() or not text:
        raise place.wrong("annot_utt: no words")
    return text, tuple(slots)


def _slurp(path: Path, partition: str) -> Iterator[Sample]:
    """All rows of a file are one part. Scenario and action together are the intent; some rows shorten `intent`."""
    del partition
    for place, line in lines(path):
        if not line.strip():
            continue
        row = _row(place, line)
        text = place.text(row.get("sentence"), "sentence")
        whole = "_".join(place.label(row.get(name), name) for name in ("scenario", "action"))
        intents = tuple(dict.fromkeys((whole, place.label(row.get("intent"), "intent"))))
        yield Sample("en", text, intents, tuple(_entities(place, text, row)))


def _entities(place: Place, text: str, row: Mapping[str, Any]) -> Iterator[Span]:
    """Numbers of tokens to code points. A sentence joins its tokens with spaces, clitics ("what's") without."""
    try:
        surfaces = [unicodedata.normalize("NFC", token["surface"]) for token in row["tokens"]]
        named = [(entity["type"], entity["span"][0], entity["span"][-1]) for entity in row["entities"]]
    except (KeyError, TypeError, IndexError) as error:
        raise place.wrong("tokens or entities are not as SLURP writes them") from error
    spans = _laid_out(text, surfaces)
    for name, first, last in named:
        if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < len(surfaces)):
            raise place.wrong("an entity's span is outside the tokens")
        start, end = spans[first][0], spans[last][1]
        if start < end:
            yield Span(place.label(name, "entity type"), start, end)


def _xsid(path: Path, partition: str) -> Iterator[Sample]:
    """Blocks of lines apart by empty ones: comments with text and intent, then number, word, intent, tag by tabs."""
    del partition
    locale = path.name.partition(".")[0]
    comments: dict[str, str] = {}
    words: list[tuple[str, str]] = []
    place = Place(path, 0)
    for place, line in lines(path):
        if not line.strip():
            if any(word for word, _ in words):
                yield _block(place, locale, comments, words)
            comments, words = {}, []
        elif line.startswith("# "):
            name, _, value = line[2:].partition(" = ")
            comments[name] = value
        else:
            columns = line.split("\t")
            if len(columns) != 4:
                raise place.wrong(f"a word has 4 columns, not {len(columns)}")
            words.append((unicodedata.normalize("NFC", columns[1]), columns[3]))
    if any(word for word, _ in words):
        yield _block(place, locale, comments, words)


def _block(place: Place, locale: str, comments: Mapping[str, str], words: Sequence[tuple[str, str]]) -> Sample:
    text = place.text(comments.get("text"), "text")
    surfaces = [word for word, _ in words]
    if any(start == end for (start, end), word in zip(_laid_out(text, surfaces), surfaces, strict=True) if word):
        text = place.text(" ".join(surfaces), "the words")  # they were corrected, the text was not
    spans = _laid_out(text, surfaces)
    intent = _named(place.label(comments.get("intent"), "intent"))
    return Sample(locale, text, (intent,), tuple(_tagged(place, [tag for _, tag in words], spans)))


def _tagged(place: Place, tags: Sequence[str], spans: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """BIO to spans; an I without a B of its name begins one."""
    name, first = "", 0
    for at, tag in enumerate((*tags, "O")):
        prefix, _, own = tag.partition("-")
        if prefix not in {"B", "I", "O"} or (prefix != "O") != bool(own):
            raise place.wrong("a tag is neither O nor B-name nor I-name")
        if prefix == "I" and own == name:
            continue
        if name and spans[first][0] < spans[at - 1][1]:
            yield Span(_named(place.label(name, "slot")), spans[first][0], spans[at - 1][1])
        name, first = own, at


def _named(label: str) -> str:
    """xSID's label as a manifest may claim it: "alarm/set_alarm" to "alarm_set_alarm", "AddToPlaylist" likewise."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", label).replace("/", "_").replace("-", "_").lower()


def _laid_out(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text, in whatever case; a word that does not, as people correct the one and forget
    the other, stands nowhere: its end is its beginning."""
    spans, at = [], 0
    plain = _lowered(text)
    for word in words:
        start = plain.find(_lowered(word), at)
        start, at = (start, start + len(word)) if start >= 0 else (at, at)
        spans.append((start, at))
    return spans


def _lowered(text: str) -> str:
    """In lower case, and no longer than before: "İ" would become two."""
    return "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)


def _row(place: Place, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise place.wrong("the line is no JSON") from error
    if not isinstance(row, dict):
        raise place.wrong("the line is no JSON object")
    return row


FORMATS: Mapping[str, Format] = {
    "massive": Format("massive", "*.jsonl", _massive),
    "slurp": Format("massive", "{partition}.jsonl", _slurp),
    "xsid": Format("xsid", "*.{partition}.conll", _xsid),
}
"""By the name that the command line takes; SLURP's taxonomy is MASSIVE's."""
