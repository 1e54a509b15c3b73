"""Measures the models of languages: `python -m training.asr_languages.evaluate [LANGUAGE…] [--set tuning]`.

Commands drawn from the skills' phrases (not those of the same words that the settings were chosen on), commands in
words of our own that no manifest has, and general sentences, all spoken by espeak-ng and so labelled synthetic; real
read speech of $ANTIPHON_DATA (audio/azure9). Everything runs through `Transcriber` as in the service.
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

from services.asr.transcriber import RATE_HZ
from services.runtime.audio import Pcm
from training.asr_commands.evaluate import measured, padded, read_wave
from training.asr_commands.speaking import Job, speak
from training.asr_languages.grammar import sentences
from training.asr_languages.train import LANGUAGES, MODELS

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
        print(f"\n{model.name}\n| set | clips | WER | exact | CPU / audio | endpoint to final ms p50 / p95 |")
        with tempfile.TemporaryDirectory() as folder:
            for name, clips in _sets(language, options.set, options.count, Path(folder), data).items():
                score = measured(model, clips)
                low, high = interval(score.exact, score.clips)
                print(score.row(name), f"exact {low:.2f} to {high:.2f}", flush=True)


def _sets(language: str, chosen: str, count: int, folder: Path, data: Path) -> Mapping[str, Clips]:
    if chosen == "tuning":
        return {"tuning commands, synthetic": spoken(language, tuning_commands(language, count), folder)}
    own = (_OWN_WORDS / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    return {
        "held-out commands, synthetic": spoken(language, test_commands(language, count), folder),
        "commands in other words, synthetic": spoken(language, own, folder),
        "read text, real": real(language, data),
    }


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
