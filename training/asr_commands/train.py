"""Makes services/asr/models/en-commands: `python -m training.asr_commands.train`.

Takes $ANTIPHON_DATA (text) and the dictionary of the pocketsphinx wheel; needs no GPU and about a minute. The same seed
gives the same files, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections import Counter
from pathlib import Path

import pocketsphinx

from training.asr_commands.grammar import sample
from training.asr_commands.ngram import END, DiscountedText, Mixture
from training.asr_commands.places import PRONUNCIATIONS, known_places
from training.asr_commands.text import general_sentences

SEED = 2
DOMAIN_SENTENCES = 150_000
DOMAIN_DISCOUNT, GENERAL_DISCOUNT = 0.3, 0.75
DOMAIN_WEIGHT = 0.7  # at the start of a sentence; what is left over is general English
MIN_WORD_COUNT = 4  # general words seen less often are left to the dictation model
OUT = Path("services/asr/models/en-commands")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--weight", type=float, default=DOMAIN_WEIGHT)
    parser.add_argument("--min-word-count", type=int, default=MIN_WORD_COUNT)
    options = parser.parse_args()
    build(options.out, options.weight, options.min_word_count)


def build(out: Path, weight: float = DOMAIN_WEIGHT, min_word_count: int = MIN_WORD_COUNT) -> None:
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    pronunciations = read_dictionary(Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict")
    for word, spoken in PRONUNCIATIONS.items():
        pronunciations[word] = list(spoken)
    places = known_places(set(pronunciations))
    domain = [text.split() for text in sample(SEED, DOMAIN_SENTENCES, places)]
    general = [words for words in general_sentences(data) if all(word in pronunciations for word in words)]
    counts = Counter(word for words in general for word in words)
    words = {word for sentence in domain for word in sentence} | {w for w, n in counts.items() if n >= min_word_count}
    general = [sentence for sentence in general if words.issuperset(sentence)]
    vocabulary = words | {END}
    mixture = Mixture(
        [
            (weight, DiscountedText(domain, vocabulary, DOMAIN_DISCOUNT)),
            (1 - weight, DiscountedText(general, vocabulary, GENERAL_DISCOUNT)),
        ],
        vocabulary,
    )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arpa = Path(folder) / "model.arpa"
        sizes = mixture.write_arpa(arpa)
        config = pocketsphinx.Config()
        log = pocketsphinx.LogMath(config["logbase"])
        pocketsphinx.NGramModel(config, log, str(arpa)).write(str(out / "commands.lm.bin"))
    lines = [
        f"{word}{'' if at == 0 else f'({at + 1})'} {spoken}"
        for word in sorted(words)
        for at, spoken in enumerate(pronunciations[word])
    ]
    (out / "commands.dict").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(places)} places, {len(domain)} + {len(general)} sentences, {len(words)} words, n-grams {sizes}")
    for name in ("commands.lm.bin", "commands.dict"):
        content = (out / name).read_bytes()
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def read_dictionary(path: Path) -> dict[str, list[str]]:
    """word -> its pronunciations in ARPAbet."""
    entries: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        head, _, spoken = line.partition(" ")
        entries.setdefault(head.partition("(")[0], []).append(spoken.strip())
    return entries


if __name__ == "__main__":
    main()
