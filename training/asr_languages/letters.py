"""Learns letters' sounds: `python -m training.asr_languages.letters [LANGUAGE…]` writes models/g2p-*/letters.tsv.gz.

Reads $ANTIPHON_DATA/text/g2p: WikiPron (Apache-2.0) and, for English, cmudict (BSD-2-Clause). Letters are aligned with
sounds by Viterbi training (none, one or two sounds a letter); then each context of a letter, growing, is kept where it
says something else than the shorter one (Daelemans' IGTree). Every tenth word is held out and the share of words and
sounds told rightly printed; the files are learned from all the words.
"""

from __future__ import annotations

import argparse
import gzip
import io
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from services.asr.engines.pocketsphinx.g2p import WINDOWS, Pronouncer, context
from training.asr_commands.evaluate import distance

OUT = Path("services/asr/models")
_FILES = {"de": "deu_latn_broad", "es": "spa_latn_ca_broad", "fr": "fra_latn_broad", "it": "ita_latn_broad"}
_ITERATIONS = 6
_MOST_SOUNDS = 2  # of one letter
_HELD_OUT = 10  # every so many words
_SILENT_FIRST = 5.0  # of a double letter the first one has the sound: one way of two, so that contexts agree
_MIN_SEEN = {"en": 3}  # contexts seen less often are left out: 130,000 words would make 4 MB

Sounds = tuple[str, ...]
Entry = tuple[str, Sounds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=["de", "en", "es", "fr", "it"])
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    for language in options.languages:
        entries = list(read(data, language))
        pairs = aligned(entries)
        known = [pair for at, pair in enumerate(pairs) if at % _HELD_OUT]
        held_out = [entry for at, entry in enumerate(entries) if at % _HELD_OUT == 0]
        words, sounds = accuracy(tree(known, _MIN_SEEN.get(language, 1)), held_out)
        contexts = tree(pairs, _MIN_SEEN.get(language, 1))
        folder = options.out / f"g2p-{language}"
        folder.mkdir(parents=True, exist_ok=True)
        size = write(contexts, folder / "letters.tsv.gz")
        print(f"{language}: {len(entries)} words, held out {words:.3f} of words and {sounds:.3f} of sounds right; "
              f"{len(contexts)} contexts, {size} bytes", flush=True)  # fmt: skip


def read(data: Path, language: str) -> Iterator[Entry]:
    """Words, lower case, with the first pronunciation of each; names with spaces and the like are left out."""
    seen = set()
    for word, sounds in _cmudict(data) if language == "en" else _wikipron(data, language):
        if word not in seen and word.replace("'", "a").isalpha() and sounds:
            seen.add(word)
            yield word, sounds


def _cmudict(data: Path) -> Iterator[Entry]:
    for line in (data / "text/g2p/cmudict.dict").read_text(encoding="utf-8").splitlines():
        word, *sounds = line.partition(" #")[0].split()
        yield word.partition("(")[0], tuple(sound.rstrip("012") for sound in sounds)


def _wikipron(data: Path, language: str) -> Iterator[Entry]:
    for line in (data / f"text/g2p/wikipron/{_FILES[language]}.tsv").read_text(encoding="utf-8").splitlines():
        word, _, sounds = line.partition("\t")
        yield word.lower().replace("'", ""), tuple(plain(sound) for sound in sounds.split() if plain(sound))


def plain(sound: str) -> str:
    """The transcribers' spellings of one sound made one; marks that no English phone could show are dropped."""
    for mark in "ʰ̥̊‿ʔ͜͡ˑ̆ä̝̞̈":
        sound = sound.replace(mark, "")
    return sound.replace("̍", "̩").replace("̩̩", "̩").replace("ʀ", "ʁ").lstrip("̩ː̯")


def aligned(entries: Sequence[Entry]) -> list[tuple[str, list[Sounds]]]:
    """Each word with the sounds of each of its letters."""
    costs: dict[str, dict[Sounds, float]] = {}
    found: list[tuple[str, list[Sounds]]] = []
    for _ in range(_ITERATIONS):
        counts: dict[str, Counter[Sounds]] = defaultdict(Counter)
        found = []
        for word, sounds in entries:
            chunks = _best_path(word, sounds, costs)
            if chunks is not None:
                found.append((word, chunks))
                for letter, chunk in zip(word, chunks, strict=True):
                    counts[letter][chunk] += 1
        costs = {
            letter: {chunk: -math.log(count / seen.total()) for chunk, count in seen.items()}
            for letter, seen in counts.items()
        }
    return found


def _best_path(word: str, sounds: Sounds, costs: dict[str, dict[Sounds, float]]) -> list[Sounds] | None:
    """Sounds by letter; at first, when nothing is known, one to one as near the diagonal as can be."""
    if len(sounds) > _MOST_SOUNDS * len(word):
        return None
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    slope = len(sounds) / len(word)
    for at, letter in enumerate(word):
        row: dict[int, tuple[float, int]] = {}
        known = costs.get(letter)
        first_of_two = word[at + 1 : at + 2] == letter
        for start, (cost, _) in best[-1].items():
            for taken in range(min(_MOST_SOUNDS, len(sounds) - start) + 1):
                end = start + taken
                if known is None:
                    step = abs(end - slope * (at + 1)) + (0.5, 0.0, 1.0)[taken]
                else:
                    step = known.get(sounds[start:end], 12.0 + taken)
                if first_of_two and not taken:
                    step += _SILENT_FIRST
                if end not in row or cost + step < row[end][0]:
                    row[end] = (cost + step, start)
        best.append(row)
    if len(sounds) not in best[-1]:
        return None
    end, chunks = len(sounds), []
    for row in reversed(best[1:]):
        start = row[end][1]
        chunks.append(sounds[start:end])
        end = start
    return chunks[::-1]


def tree(pairs: Iterable[tuple[str, list[Sounds]]], min_seen: int) -> dict[str, Sounds]:
    """Context -> sounds, for the contexts that are needed."""
    seen: list[dict[str, Counter[Sounds]]] = [defaultdict(Counter) for _ in WINDOWS]
    parents: dict[str, str] = {}
    for word, chunks in pairs:
        padded = "#" * 4 + word + "#" * 4
        for at, chunk in enumerate(chunks, 4):
            keys = [context(padded, at, before, after) for before, after in WINDOWS]
            for depth, key in enumerate(keys):
                seen[depth][key][chunk] += 1
                parents.setdefault(key, keys[depth - 1] if depth else "")
    choice = {key: counts.most_common(1)[0][0] for level in seen for key, counts in level.items()}
    needed = set(seen[0])
    for level in reversed(seen[1:]):
        for key, counts in level.items():
            if counts.total() >= min_seen and (key in needed or choice[key] != choice[parents[key]]):
                needed.update((key, parents[key]))
    return {key: choice[key] for key in sorted(needed)}


def accuracy(contexts: dict[str, Sounds], entries: Sequence[Entry]) -> tuple[float, float]:
    pronouncer = Pronouncer(contexts, None, {})
    exact = wrong = total = 0
    for word, sounds in entries:
        heard = pronouncer.spoken(word)
        exact += tuple(heard) == sounds
        wrong += distance(sounds, heard)
        total += len(sounds)
    return exact / len(entries), 1 - wrong / total


def write(contexts: dict[str, Sounds], path: Path) -> int:
    text = "".join(f"{key}\t{' '.join(sounds)}\n" for key, sounds in contexts.items())
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write(text.encode())
    path.write_bytes(raw.getvalue())
    return len(raw.getvalue())


if __name__ == "__main__":
    main()
