"""Measures the models of languages: `python -m training.asr_languages.evaluate [LANGUAGE…] [--set tuning]`.

Commands drawn from the skills' phrases (none that the settings were chosen on) and commands in words of our own, all
spoken by espeak-ng and so labelled synthetic, by the model alone and with the phrases of the built-in skills as a
session's grammar, which is what users get. Real people: paragraphs read aloud ($ANTIPHON_DATA, audio/azure9; the
first of each language was used for tuning and is left out), by the commands model, to which they are foreign, and with
their sentences given as the phrases of a session. Everything runs through `Transcriber` as in the service.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.grammar import PhraseGrammar
from services.asr.segmenter import RATE_HZ
from services.runtime.audio import Pcm
from training.asr_commands.evaluate import HEADING, measured, padded, read_wave
from training.asr_commands.speaking import Job, speak
from training.asr_languages.grammar import sentences, weighted_sentences
from training.asr_languages.sessions import built_in_grammar, with_grammar
from training.asr_languages.train import LANGUAGES, MODELS, SEED

VOICES: Mapping[str, Sequence[str]] = {
    "de": ("de+klatt3", "de+klatt4", "de", "de+f2", "de+m3", "de+klatt"),
    "es": ("es+klatt3", "es+klatt4", "es", "es+f2", "es-419+m3", "es+klatt"),
    "fr": ("fr+klatt3", "fr+klatt4", "fr", "fr+f2", "fr+m3", "fr+klatt"),
    "it": ("it+klatt3", "it+klatt4", "it", "it+f2", "it+m3", "it+klatt"),
}
_SPEEDS = (150, 165, 180)
_TUNING_SEED, _TEST_SEED = 41, 977
_OWN_WORDS = Path(__file__).parent / "own_words"

Clips = Sequence[tuple[str, Pcm]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--set", choices=("tuning", "test"), default="test")
    options = parser.parse_args()
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    for language in options.languages:
        model = options.models / f"{language}-commands"
        print(f"\n{model.name}\n{HEADING}")
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as built:
            models = {
                "": model,
                ", skills' phrases given": with_grammar(model, built_in_grammar(language), Path(built)),
            }
            if options.set == "tuning":
                _report(
                    "tuning commands, synthetic", language, tuning_commands(language, options.count), models, folder
                )
                continue
            own = (_OWN_WORDS / f"{language}.txt").read_text(encoding="utf-8").splitlines()
            known = {text for text, _ in weighted_sentences(language, SEED)}
            commands = test_commands(language, 4 * options.count)
            unseen = [text for text in commands if text not in known][: options.count // 2]
            seen = [text for text in commands if text in known][: options.count // 2]
            _report("commands not in the training text, synthetic", language, unseen, models, folder)
            _report("commands in the training text, synthetic", language, seen, models, folder)
            _report("commands in other words, synthetic", language, own, models, folder)
            clips = real(language, data)[1:]
            _report_real("read text, real", clips, model)
            _report_real("the same, sentences given", clips, with_phrases(model, sentences_of(clips), Path(folder)))


def _report(name: str, language: str, texts: Sequence[str], models: Mapping[str, Path | Decoders], folder: str) -> None:
    clips = spoken(language, texts, Path(folder))
    for given, model in models.items():
        score = measured(model, clips)
        low, high = interval(score.exact, score.clips)
        print(score.row(name + given), f"exact {low:.2f} to {high:.2f}", flush=True)


def _report_real(name: str, clips: Clips, model: Path | Decoders) -> None:
    scores = [measured(model, [clip]) for clip in clips]
    errors, words = sum(score.errors for score in scores), sum(score.words for score in scores)
    each = ", ".join(f"{score.errors / score.words:.3f}" for score in scores)
    print(f"| {name} | {len(clips)} | {errors / words:.3f} | of {words} words; clip by clip {each}", flush=True)


def sentences_of(clips: Clips) -> list[str]:
    """As long as phrases may be."""
    cut = 12
    texts = [text.split() for text, _ in clips]
    return [" ".join(words[at : at + cut]) for words in texts for at in range(0, len(words), cut)]


def with_phrases(model: Path, phrases: Sequence[str], folder: Path) -> Decoders:
    """The model as a session has it that brings these phrases."""
    return with_grammar(model, PhraseGrammar(tuple((text, 1.0) for text in phrases)), folder)


def tuning_commands(language: str, count: int) -> list[str]:
    return sentences(language, count, _TUNING_SEED)


def test_commands(language: str, count: int) -> list[str]:
    """None of those that anything was chosen on."""
    seen = set(tuning_commands(language, 5 * count))
    return [text for text in sentences(language, 3 * count, _TEST_SEED) if text not in seen][:count]


def spoken(language: str, texts: Sequence[str], folder: Path) -> Clips:
    voices = VOICES[language]
    jobs = [
        Job(text, str(folder / f"{at}.wav"), voices[at % len(voices)], _SPEEDS[at % len(_SPEEDS)])
        for at, text in enumerate(texts)
    ]
    speak(jobs)
    return [(job.text, padded(read_wave(Path(job.path)), at)) for at, job in enumerate(jobs)]


def real(language: str, data: Path) -> Clips:
    """Paragraphs read by people, with their text: far from the domain."""
    found = []
    for listing in sorted((data / "audio/azure9").glob(f"{language}-*/*/trans.txt")):
        for line in listing.read_text(encoding="utf-8-sig").splitlines():
            name, _, text = line.partition("\t")
            words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.lower())
            found.append((" ".join(words), read_flac(listing.parent / f"{Path(name).stem}.flac")))
    return found


def read_flac(path: Path) -> Pcm:
    """16 kHz."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == RATE_HZ, rate
    mono: Pcm = audio[:, 0].astype(np.int16)
    return mono


def interval(hits: int, count: int, draws: int = 2000) -> tuple[float, float]:
    """95 %, by resampling the clips."""
    rng = random.Random(1)
    means = sorted(sum(rng.random() < hits / count for _ in range(count)) / count for _ in range(draws))
    return means[draws // 40], means[-draws // 40]


if __name__ == "__main__":
    main()
