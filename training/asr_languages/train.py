"""Makes services/asr/models/<language>-commands: `python -m training.asr_languages.train [LANGUAGE…]`.

The language model is made of the skills' phrases of that language (`skills/*/manifest.yaml`) with the spoken forms of
values, and of general sentences (`general/<language>.txt`, ours), so that other speech does not turn into commands.
Pronunciations come from `services/asr/engines/pocketsphinx/g2p.py`. Takes some seconds; the same files give the same
model.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from services.asr.engines.pocketsphinx.g2p import Pronouncer
from services.asr.engines.pocketsphinx.language_model_worker import converted
from services.asr.engines.pocketsphinx.lexicon import write_dictionary
from services.asr.engines.pocketsphinx.ngrams import Vocabulary, counted, mixed, write_arpa
from services.asr.engines.pocketsphinx.phrases import Speller, Words
from training.asr_languages.grammar import weighted_sentences

LANGUAGES = ("de", "es", "fr", "it")
MODELS = Path("services/asr/models")
GENERAL = Path(__file__).parent / "general"
SEED = 3
DOMAIN_DISCOUNT, GENERAL_DISCOUNT = 0.3, 0.75
DOMAIN_WEIGHT = 0.85  # at the start of a sentence; what is left over is general speech

# Foreign phones fit less well than one's own, so the language model must not outvote them: 6.5 beat 9 and 12 on the
# tuning sentences of `evaluate.py`. Wider beams got two or three more in a hundred right, finals ten times as late.
DECODER = {"lw": 6.5, "fwdflat": False, "maxhmmpf": 3000, "maxwpf": 20}
# With phrases of a session; still wider beams got two more in a hundred of the French right, finals twice as late.
SESSION_DECODER = {"beam": 1e-55, "wbeam": 1e-34, "pbeam": 1e-55, "lpbeam": 1e-45, "lponlybeam": 1e-34}
# Mean cepstra of real speech, that of en-commands.
FEATURE_MEAN = [45.0, 1.1, -3.0, 7.1, -6.1, 1.9, -4.1, -4.4, -1.0, -1.9, 0.6, -1.9, 0.6]
_NAMES = {"de": "German", "es": "Spanish", "fr": "French", "it": "Italian"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--out", type=Path, default=MODELS)
    options = parser.parse_args()
    for language in options.languages:
        out = options.out / f"{language}-commands"
        print(language, *build(language, out))
        print(" ", *(f"{path.name}: {path.stat().st_size} bytes" for path in sorted(out.iterdir())))


def build(language: str, out: Path) -> tuple[int, ...]:
    """Writes language model and dictionary; numbers of sentences, of words and of n-grams by order."""
    pronouncer = Pronouncer.load(language)
    vocabulary = Vocabulary()
    speller = Speller(vocabulary, lambda word: bool(pronouncer.pronounce(word)))
    texts = general_sentences(language)
    general: list[Words] = [words for text in texts if (words := speller.words(text)[0])]
    domain_text: list[Words] = []
    weights: list[float] = []
    left_out: set[str] = set()
    for text, weight in weighted_sentences(language, SEED):
        words, unknown = speller.words(text)
        left_out.update(unknown)
        if words and not unknown:
            domain_text.append(words)
            weights.append(weight)
    if left_out:
        print("  no pronunciation:", *sorted(left_out))
    domain = counted(domain_text, weights, len(vocabulary), DOMAIN_DISCOUNT)
    other = counted(general, [1.0] * len(general), len(vocabulary), GENERAL_DISCOUNT)
    model = mixed([(DOMAIN_WEIGHT, domain), (1.0 - DOMAIN_WEIGHT, other)])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        text_file = Path(folder) / "model.arpa"
        sizes = write_arpa(model, vocabulary.words, text_file)
        converted(text_file, out / "commands.lm.bin")
    write_dictionary({word: pronouncer.pronounce(word) for word in vocabulary.words[2:]}, out / "commands.dict")
    (out / "model.yaml").write_text(yaml.safe_dump(_definition(language, out), sort_keys=False, width=118))
    return len(domain_text), len(vocabulary), *sizes


def _definition(language: str, out: Path) -> Mapping[str, object]:
    return {
        "publisher": "antiphon",
        "name": f"{language}-commands",
        "version": "1",
        "file": "commands.lm.bin",
        "sha256": hashlib.sha256((out / "commands.lm.bin").read_bytes()).hexdigest(),
        "licence": "Apache-2.0 AND BSD-2-Clause",
        "locales": [language],
        "inputs": [],
        "outputs": [],
        "parameters": {
            "description": f"{_NAMES[language]} commands to the built-in skills (n-grams), said in the phones of the "
            "English acoustic model en-us of CMU Sphinx.",
            "acoustic_model": "wheel:en-us/en-us",
            "language_model": "commands.lm.bin",
            "dictionary": "commands.dict",
            "decoder": DECODER,
            "session_decoder": SESSION_DECODER,
            "feature_mean": FEATURE_MEAN,
        },
    }


def general_sentences(language: str) -> Sequence[str]:
    return (GENERAL / f"{language}.txt").read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    main()
