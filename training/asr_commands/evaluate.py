"""Measures a recognition model: `python -m training.asr_commands.evaluate [MODEL…]`. Its figures stand in the cards.

Sets: commands to clock and calculator, commands to the skills (their phrases, with values that the model was not
trained on), commands to them in other words and general sentences (SLURP test), all spoken by espeak-ng and so labelled
synthetic; real recordings of read speech (librivox, azure9) and of playing cards from $ANTIPHON_DATA, with a bootstrap
over clips. Everything runs through `Transcriber` as in the service, in this process, with endpointing by voice
activity; the first model also with the phrases of the built-in skills as a session's grammar, which is what users get.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.engines.silero import SileroDetector
from services.asr.events import Endpoint, EndpointReason, Final, Partial
from services.asr.requests import Endpointing, SessionConfig
from services.asr.segmenter import RATE_HZ
from services.asr.transcriber import Transcriber
from services.runtime.audio import AudioFormat, Encoding, Pcm, PcmDecoder
from services.runtime.model_store import read_definition
from training.asr_commands.grammar import sample
from training.asr_commands.places import known_places
from training.asr_commands.speaking import Job, speak
from training.asr_commands.text import normalised
from training.asr_commands.train import DOMAIN_SENTENCES, OUT, SEED, built_in
from training.asr_languages.grammar import grammar, sentences
from training.asr_languages.sessions import built_in_grammar, with_grammar

_VOICES = ("en-us+klatt3", "en-gb+klatt4", "en-us+klatt", "en-us", "en-gb+f2", "en-us+m1")
_SPEEDS = (150, 165, 180)
_HELD_OUT_SEED = 99
HEADING = "| set | clips | WER (95 %) | exact | CPU / audio | endpoint to final, CPU ms p50 / p95 |"
OTHER_WORDS = Path(__file__).parents[1] / "asr_languages" / "own_words" / "en.txt"


@dataclass
class Score:
    """What one model did on one set."""

    words: int = 0
    errors: int = 0
    exact: int = 0
    clips: int = 0
    by_clip: list[tuple[int, int]] = field(default_factory=list)  # errors, words
    audio_s: float = 0.0
    cpu_s: float = 0.0
    final_ms: list[float] = field(default_factory=list)  # of CPU, which does not depend on what else runs
    confident_wrong: int = 0
    stayed: Counter[tuple[int, bool]] = field(default_factory=Counter)
    broken_prefixes: int = 0
    partials: int = 0

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the word error rate: percentiles of 2,000 draws of clips."""
        clips = np.array(self.by_clip)
        drawn = clips[np.random.default_rng(1).integers(len(clips), size=(2_000, len(clips)))].sum(axis=1)
        low, high = np.percentile(drawn[:, 0] / np.maximum(drawn[:, 1], 1), (2.5, 97.5))
        return float(low), float(high)

    def row(self, name: str) -> str:
        final = np.percentile(self.final_ms, (50, 95)) if self.final_ms else (0.0, 0.0)
        return (
            f"| {name} | {self.clips} | {self.errors / max(self.words, 1):.3f} "
            f"({self.interval()[0]:.2f}-{self.interval()[1]:.2f}) | {self.exact / self.clips:.2f} | "
            f"{self.cpu_s / self.audio_s:.3f} | {final[0]:.1f} / {final[1]:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, default=[OUT, OUT.parent / "en-dictation"])
    parser.add_argument("--count", type=int, default=120)
    options = parser.parse_args()
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "held-out commands, synthetic": synthetic(Path(folder), "c", commands(options.count)),
            "commands to the skills, synthetic": synthetic(Path(folder), "s", of_skills(options.count)),
            "commands in other words, synthetic": synthetic(Path(folder), "o", in_other_words()),
            "SLURP test, synthetic": synthetic(Path(folder), "g", general(data, options.count // 2)),
            "librivox, real": real(data, "librivox"),
            "cards, real": real(data, "cards"),
            "documentation (azure9), real": azure(data),
        }
        sets["all that is real"] = [clip for name in list(sets)[-3:] for clip in sets[name]]
        adapted = with_grammar(options.models[0], built_in_grammar("en"), Path(folder))
        for name_of_model, model in [
            *((model.name, model) for model in options.models),
            (f"{options.models[0].name} with the skills' phrases as a session's grammar", adapted),
        ]:
            print(f"\n{name_of_model}\n{HEADING}")
            for name, clips in sets.items():
                score = measured(model, clips)
                print(score.row(name), flush=True)
                if name.startswith("held"):
                    print("  partials that stayed, by looks unchanged:", dict(sorted(score.stayed.items())))
                    print(f"  stable prefixes broken: {score.broken_prefixes} of {score.partials}")
                print(f"  wrong with confidence > 0.8: {score.confident_wrong}")


def commands(count: int) -> list[str]:
    """Commands of the grammar that are not in the training sample."""
    words = {line.split()[0].partition("(")[0] for line in (OUT / "commands.dict").read_text().splitlines()}
    places = known_places(words)
    trained = set(sample(SEED, DOMAIN_SENTENCES, places))
    drawn = dict.fromkeys(sample(_HELD_OUT_SEED, 20 * count, places))
    return [text for text in drawn if text not in trained][:count]


def of_skills(count: int) -> list[str]:
    """Commands to the skills as they come with the platform, those that are in the training text left out."""
    with built_in() as folder:
        drawn = [" ".join(normalised(text)) for text in sentences("en", 3 * count, _HELD_OUT_SEED, folder)]
        trained = {" ".join(normalised(text)) for text, _ in grammar("en", folder).phrases}
    return [text for text in dict.fromkeys(drawn) if text not in trained][:count]


def in_other_words() -> list[str]:
    """Commands to the skills as none of their phrases says them, for all we know; ours."""
    return OTHER_WORDS.read_text(encoding="utf-8").splitlines()


def general(data: Path, count: int) -> list[str]:
    lines = (data / "text" / "slurp" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [" ".join(normalised(json.loads(line)["sentence"])) for line in random.Random(1).sample(lines, count)]


def synthetic(folder: Path, prefix: str, texts: Sequence[str]) -> list[tuple[str, Pcm]]:
    jobs = [
        Job(text, str(folder / f"{prefix}{at}.wav"), _VOICES[at % len(_VOICES)], _SPEEDS[at % len(_SPEEDS)])
        for at, text in enumerate(texts)
    ]
    speak(jobs)
    return [(job.text, padded(read_wave(Path(job.path)), at)) for at, job in enumerate(jobs)]


def real(data: Path, folder: str) -> list[tuple[str, Pcm]]:
    return [(text, padded(read_wave(path), 0)) for text, path in _transcribed(data / "audio" / "asr-en" / folder)]


def azure(data: Path) -> list[tuple[str, Pcm]]:
    """Read documentation of speech software."""
    folder = data / "audio" / "azure9" / "en-US" / "training"
    lines = (folder / "trans.txt").read_text(encoding="utf-8-sig").splitlines()
    clips = []
    for line in lines:
        name, _, text = line.partition("\t")
        if text:
            pcm, rate_hz = soundfile.read(folder / name.replace(".wav", ".flac"), dtype="int16")
            assert rate_hz == RATE_HZ
            clips.append((" ".join(normalised(text)), padded(pcm, 0)))
    return clips


def _transcribed(folder: Path) -> Iterator[tuple[str, Path]]:
    listing = next(path for path in (folder / "transcription", folder / "cards.transcription") if path.exists())
    for line in listing.read_text(encoding="utf-8").splitlines():
        text, _, name = line.rpartition("(")
        path = folder / f"{name.rstrip(')')}.wav"
        if path.exists():
            yield " ".join(normalised(text.replace("<s>", "").replace("</s>", ""))), path


def read_wave(path: Path) -> Pcm:
    """16 kHz."""
    with wave.open(str(path)) as file:
        decoder = PcmDecoder(AudioFormat(Encoding.LINEAR16, file.getframerate()), RATE_HZ)
        return np.concatenate((decoder.feed(file.readframes(file.getnframes())), decoder.finish()))


def padded(speech: Pcm, seed: int) -> Pcm:
    """Half the level, 0.4 s before and 0.8 s after, and a noise floor of -66 dBFS."""
    quiet = np.concatenate((np.zeros(6_400), speech * 0.5, np.zeros(12_800)))
    noise = np.random.default_rng(seed).normal(0, 16, quiet.size)
    return np.clip(quiet + noise, -32_768, 32_767).astype(np.int16)


def measured(model: Path | Decoders, clips: Sequence[tuple[str, Pcm]]) -> Score:
    if isinstance(model, Path):
        model = Decoders(PocketsphinxBundle.open(read_definition(model / "model.yaml")))
    score = Score()
    for text, pcm in clips:
        _hear(model, text, pcm, score)
    return score


def _hear(decoders: Decoders, text: str, pcm: Pcm, score: Score) -> None:
    config = SessionConfig(model="", interim=True, words=True, endpointing=Endpointing(continuous=True))
    transcriber = Transcriber(config, SileroDetector(), decoders)
    partials: list[Partial] = []
    finals: list[Final] = []
    begin = time.process_time()
    data = pcm.tobytes()
    for at in range(0, len(data), 3_200):
        asked = time.process_time()
        events = transcriber.feed(data[at : at + 3_200])
        if any(isinstance(event, Endpoint) and event.reason is EndpointReason.SILENCE for event in events):
            score.final_ms.append(1e3 * (time.process_time() - asked))
        partials += [event for event in events if isinstance(event, Partial)]
        finals += [event for event in events if isinstance(event, Final)]
    finals += [event for event in transcriber.finish() if isinstance(event, Final)]
    score.cpu_s += time.process_time() - begin
    score.audio_s += len(pcm) / RATE_HZ
    heard = " ".join(final.alternatives[0].text for final in finals if final.alternatives)
    wrong = distance(text.split(), heard.split())
    score.by_clip.append((wrong, len(text.split())))
    score.words += len(text.split())
    score.errors += wrong
    score.exact += not wrong
    score.clips += 1
    best = [final.alternatives[0].confidence or 0.0 for final in finals if final.alternatives]
    score.confident_wrong += bool(wrong and best and min(best) > 0.8)
    _judge_partials(partials, finals, score)


def _judge_partials(partials: Sequence[Partial], finals: Sequence[Final], score: Score) -> None:
    texts = {final.utterance: f"{final.alternatives[0].text} " for final in finals if final.alternatives}
    for partial in partials:
        final = texts.get(partial.utterance, "")
        score.partials += 1
        score.stayed[round(100 * partial.stability), final.startswith(f"{partial.text} ")] += 1
        score.broken_prefixes += not final.startswith(partial.text[: partial.stable_prefix])


def distance(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """Words to change, leave out or put in (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


if __name__ == "__main__":
    main()
