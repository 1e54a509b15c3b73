"""Makes services/asr/models/en-commands: `python -m training.asr_commands.train`.

Three texts are mixed: sentences of our own grammar (clock and calculator), the English phrases of the built-in skills
with what can stand in their slots, and general English. Takes $ANTIPHON_DATA (text), `phrases.json` (what the skills'
manifests held; `--take-phrases` reads them anew) and the dictionary of the pocketsphinx wheel; needs no GPU and about a
minute. The same seed and phrases give the same files, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from services.asr.engines.pocketsphinx.bundles import wheel_path
from services.asr.engines.pocketsphinx.g2p import Pronouncer
from services.asr.engines.pocketsphinx.language_model_worker import converted
from services.asr.engines.pocketsphinx.lexicon import read_dictionary, write_dictionary
from services.asr.engines.pocketsphinx.ngrams import BackoffModel, Vocabulary, counted, mixed, write_arpa
from services.asr.engines.pocketsphinx.phrases import Speller, Words, expanded
from services.asr.engines.pocketsphinx.spoken_forms import spoken_forms
from services.asr.grammar import PhraseGrammar
from training.asr_commands.grammar import sample
from training.asr_commands.places import PRONUNCIATIONS, known_places
from training.asr_commands.text import general_sentences
from training.asr_languages.grammar import grammar, manifests

SEED = 2
DOMAIN_SENTENCES = 150_000
DOMAIN_DISCOUNT, GENERAL_DISCOUNT = 0.3, 0.75
COMMANDS_WEIGHT, SKILLS_WEIGHT = 0.5, 0.3  # at the start of a sentence; what is left over is general English
MIN_WORD_COUNT = 4  # general words seen less often are left to the dictation model
FREE_TEXTS = 1_500  # pieces of general sentences, of one to three words, that stand for free text
OUT = Path("services/asr/models/en-commands")
PHRASES = Path(__file__).parent / "phrases.json"
"""The skills' phrases that the model was made of, so that it can be made again when the skills have moved on."""
SKILLS = ("calculator", "clock", "home", "lists", "notyet", "smalltalk", "timers", "units")
"""Those that come with the platform; others bring their phrases to a session by themselves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--take-phrases", action="store_true", help="take the skills' phrases as they are now")
    options = parser.parse_args()
    if options.take_phrases:
        PHRASES.write_text(json.dumps(skills().packed(), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    build(options.out)


def build(out: Path) -> None:
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    pronunciations = {**read_dictionary(wheel_path("wheel:en-us/cmudict-en-us.dict")), **PRONUNCIATIONS}
    places = known_places(set(pronunciations))
    rules = Pronouncer.load("en")
    vocabulary = Vocabulary()

    def spoken(word: str) -> tuple[str, ...]:
        return pronunciations.get(word) or rules.pronounce(word)

    speller = Speller(vocabulary, lambda word: bool(spoken(word)))
    commands: list[Words] = [speller.words(text)[0] for text in sample(SEED, DOMAIN_SENTENCES, places)]
    general = [words for words in general_sentences(data) if all(word in pronunciations for word in words)]
    counts = Counter(word for words in general for word in words)
    common = {word for word, count in counts.items() if count >= MIN_WORD_COUNT}
    pieces = free_texts([words for words in general if common.issuperset(words)])
    found = expanded(
        PhraseGrammar.unpacked(json.loads(PHRASES.read_text(encoding="utf-8"))),
        speller,
        lambda kind: spoken_forms("en", kind),
        lambda: [speller.words(text)[0] for text in pieces],
    )
    for refused in found.unmatched:
        print("left out:", refused.text, refused.reason, *refused.words)
    for word in sorted(common):
        vocabulary.add(word)
    other: list[Words] = [
        [vocabulary.ids[word] for word in words] for words in general if vocabulary.ids.keys() >= set(words)
    ]
    texts = (
        (COMMANDS_WEIGHT, commands, [1.0] * len(commands), DOMAIN_DISCOUNT),
        (SKILLS_WEIGHT, found.sentences, found.weights, DOMAIN_DISCOUNT),
        (1.0 - COMMANDS_WEIGHT - SKILLS_WEIGHT, other, [1.0] * len(other), GENERAL_DISCOUNT),
    )
    size = len(vocabulary)
    model = mixed(
        [(weight, counted(sentences, weights, size, discount)) for weight, sentences, weights, discount in texts]
    )
    sizes = write(model, vocabulary, out)
    write_dictionary({word: spoken(word) for word in vocabulary.words[2:]}, out / "commands.dict")
    print(f"{len(places)} places, {found.accepted} phrases, {size} words, n-grams {sizes}, sentences:")
    print(", ".join(str(len(each[1])) for each in texts))
    for name in ("commands.lm.bin", "commands.dict"):
        content = (out / name).read_bytes()
        print(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


@contextmanager
def built_in() -> Iterator[Path]:
    """A folder with the skills of the platform and no others."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SKILLS:
            (Path(folder) / name).symlink_to((Path("skills") / name).absolute())
        yield Path(folder)


def skills() -> PhraseGrammar:
    """The English phrases of all skills that come with the platform; slots of free text take any words."""
    free = {
        f"{manifest['skill_id']}_{intent['name']}_{slot['name']}"[:64]
        for manifest in manifests()
        for intent in manifest["intents"]
        for slot in intent.get("slots", ())
        if slot["value_type"] == "text"
    }
    with built_in() as folder:
        found = grammar("en", folder)
    classes = tuple(replace(each, value_type="TEXT") if each.name in free else each for each in found.classes)
    return replace(found, classes=classes)


def free_texts(sentences: Sequence[Sequence[str]]) -> list[str]:
    """Every word once, and pieces of two and three words."""
    rng = random.Random(SEED)
    words = sorted({word for sentence in sentences for word in sentence})
    drawn = []
    for length in (2, 3):
        long = [sentence for sentence in sentences if len(sentence) >= length]
        for sentence in rng.choices(long, k=FREE_TEXTS // 2):
            at = rng.randrange(len(sentence) - length + 1)
            drawn.append(" ".join(sentence[at : at + length]))
    return [*words, *dict.fromkeys(drawn)]


def write(model: BackoffModel, vocabulary: Vocabulary, out: Path) -> tuple[int, int, int]:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arpa = Path(folder) / "model.arpa"
        sizes = write_arpa(model, vocabulary.words, arpa)
        converted(arpa, out / "commands.lm.bin")
    return sizes


if __name__ == "__main__":
    main()
