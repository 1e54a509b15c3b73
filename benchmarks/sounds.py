"""Acoustic events on real recordings: what each label finds in every class of ESC-10, its precision and its recall.

    python -m benchmarks sounds [--threshold=0.5]

The labels say how a sound is, not what made it; which classes each is meant for was written down here before counting
(`MEANT`). A clip of such a class without the label is a miss, one of another class with it counts against precision.
Clips of ESC-10 last some five seconds and follow a second of faint noise. The rules were made with these clips at hand,
so the figures flatter them; how often speech of `librispeech-spk` is taken for each label is printed beside them.
`sound_onset` is meant for every sound: it has recall alone. `silence` is the end of clips that their makers filled up
with zeros: it is counted alone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.wake import data_folder, files, interval, read
from services.activation.detector import ACOUSTIC_LABELS, SOUND_ONSET, DetectionRequest, DetectionSession
from services.activation.engines import RATE_HZ
from services.activation.engines.keyphrase import PocketsphinxSpotter
from services.activation.engines.silero import SileroVoiceActivity
from services.activation.onsets import Onset
from services.activation.settings import ActivationSettings
from services.activation.sounds import Sound
from services.runtime.audio import Pcm

CLASSES, SPEECH = "esc10", "librispeech-spk"
MEANT: Mapping[str, frozenset[str]] = {
    "bang": frozenset({"Dog_bark", "Person_sneeze"}),
    "beep": frozenset({"Rooster"}),
    "steady_noise": frozenset({"Chainsaw", "Helicopter", "Rain", "Sea_waves"}),
}
"""Classes of ESC-10 whose clips should have the label."""


@dataclass(frozen=True)
class Clip:
    """A recording's class, its seconds, and how often each label was reported in it."""

    kind: str
    seconds: float
    found: Counter[str]


async def listened(pcm: Pcm, kind: str, threshold: float) -> Clip:
    """What the service's own session reports, as a stream of 100 ms messages."""
    faint = np.random.default_rng(1).normal(0, 5, RATE_HZ).astype(np.int16)
    request = DetectionRequest(acoustic_labels=(), acoustic_threshold=threshold)
    # Neither speech nor wake words are asked for: no process of theirs is started.
    session = DetectionSession(SileroVoiceActivity(1), ActivationSettings(), request, PocketsphinxSpotter(1))
    heard, found = np.concatenate((faint, pcm)), Counter[str]()
    try:
        for start in range(0, heard.size, RATE_HZ // 10):
            for event in await session.feed(heard[start : start + RATE_HZ // 10]):
                if isinstance(event, Sound):
                    found[event.label] += 1
                elif isinstance(event, Onset):
                    found[SOUND_ONSET] += 1
    finally:
        await session.close()
    return Clip(kind, pcm.size / RATE_HZ, found)


def share(hits: int, count: int) -> str:
    """`8/9 (57 to 98 %)`, with Wilson's 95 % interval."""
    if not count:
        return "none"
    low, high = interval(hits, count)
    return f"{hits}/{count} ({low:.0%} to {high:.0%})"


def report(clips: Sequence[Clip], speech: Sequence[Clip]) -> None:
    """Classes against labels, then each label by itself."""
    kinds = Counter(clip.kind for clip in clips)
    print(f"{'clips with at least one':<24}" + "".join(f"{label:>14}" for label in ACOUSTIC_LABELS))
    for kind, count in sorted(kinds.items()):
        having = Counter(label for clip in clips if clip.kind == kind for label in clip.found)
        print(f"  {kind:<15} of {count:>3}  " + "".join(f"{having[label]:>14}" for label in ACOUSTIC_LABELS))
    hours = sum(clip.seconds for clip in speech) / 3600
    for label in ACOUSTIC_LABELS:
        tagged = [clip for clip in clips if clip.found[label]]
        wrongly = f"in speech {sum(clip.found[label] for clip in speech) / hours:.0f} an hour"
        if label == SOUND_ONSET:
            print(f"{label:<13} recall {share(len(tagged), len(clips))}; {wrongly}")
        elif label in MEANT:
            right = sum(clip.kind in MEANT[label] for clip in tagged)
            there = sum(kinds[kind] for kind in MEANT[label])
            print(f"{label:<13} precision {share(right, len(tagged))}, recall {share(right, there)}; {wrongly}")
        else:
            print(f"{label:<13} in {len(tagged)} clips; {wrongly}")


async def run(options: argparse.Namespace) -> None:
    """Counts on all clips."""
    root: Path = data_folder()
    clips = [
        await listened(read(path), folder.name, options.threshold)
        for folder in sorted(path for path in (root / CLASSES).iterdir() if path.is_dir())
        for path in files(folder, "all")
    ]
    speech = [await listened(read(path), SPEECH, options.threshold) for path in files(root / SPEECH, "all")]
    report(clips, speech)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threshold", type=float, default=0.5, help="score that counts (default 0.5, the service's)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
