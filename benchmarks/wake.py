"""Wake words on real recordings: how many are heard, and how often something else is taken for one.

    python -m benchmarks wake [--phrase=alexa] [--half=test] [--fit]

Recall is counted on `audio/wake-alexa` (one phrase a file, many people, many rooms), false accepts on everything else:
other wake words, spoken orders, read and spontaneous speech, eight more languages, digits, sounds, kitchen noise. What
the service does is what is measured: its spotter in its processes, its score, its rest after a wake. Files are split
in two by turns: on the half `dev` the score was fitted (`--fit` does it again) and the default threshold chosen, and
`test` is for reporting. How loud the audio is made was chosen on all wake words, before there was a score.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from services.activation.engines import RATE_HZ, PhraseSpotter, Spotted
from services.activation.engines.keyphrase import PocketsphinxSpotter
from services.activation.wake import DEFAULT_THRESHOLD, WakeListener, WakeWord, score_of
from services.runtime.audio import Pcm, Resampler

POSITIVES = "wake-alexa"
NEGATIVES = ("wake-other", "s2i", "librispeech-spk", "ami", "azure9", "fsdd", "esc10", "noise")
POINTS = (("strict", 0.9), ("default", DEFAULT_THRESHOLD), ("lenient", 0.3))
CHUNK = RATE_HZ // 10
JOINED_S = 30.0  # shorter files of one folder are joined up to this


@dataclass
class Heard:
    """One stream: where it comes from, its seconds, and what was spotted, by 100 ms piece."""

    source: str
    seconds: float
    spotted: list[list[Spotted]]


class Replay:
    """A spotter's stream that says again what one said before: any threshold can be tried on it."""

    def __init__(self, answers: Sequence[list[Spotted]]) -> None:
        self._answers = iter(answers)

    async def replace(self, phrases: Sequence[str]) -> None:
        raise NotImplementedError

    async def hear(self, pcm: Pcm) -> list[Spotted]:
        return next(self._answers)

    async def finish(self) -> list[Spotted]:
        return []

    async def close(self) -> None:
        """Nothing to close."""


def data_folder() -> Path:
    return Path(os.environ.get("ANTIPHON_DATA", "../shared/data")) / "audio"


def read(path: Path) -> Pcm:
    """The first channel at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    resampler = Resampler(rate, RATE_HZ)
    return (
        np.concatenate((resampler.feed(samples[:, 0].copy()), resampler.finish())) if rate != RATE_HZ else samples[:, 0]
    )


def files(folder: Path, half: str) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg"))
    return {"dev": found[::2], "test": found[1::2], "all": found}[half]


def streams(root: Path, source: str, half: str) -> Iterator[Pcm]:
    """A wake word each with a second of faint noise before it; other files joined until they are long enough."""
    faint = np.random.default_rng(1).normal(0, 5, RATE_HZ).astype(np.int16)
    joined: list[Pcm] = []
    for path in files(root / source, half):
        if source == POSITIVES:
            yield np.concatenate((faint, read(path), faint[: RATE_HZ // 2]))
            continue
        joined.append(read(path))
        if sum(part.size for part in joined) >= JOINED_S * RATE_HZ:
            yield np.concatenate(joined)
            joined.clear()
    if joined:
        yield np.concatenate(joined)


async def listen(spotter: PhraseSpotter, phrase: str, source: str, pcm: Pcm) -> Heard:
    stream = await spotter.open([phrase])
    spotted = [await stream.hear(pcm[start : start + CHUNK]) for start in range(0, pcm.size, CHUNK)]
    spotted.append(await stream.finish())
    await stream.close()
    return Heard(source, pcm.size / RATE_HZ, spotted)


async def gather(spotter: PhraseSpotter, phrase: str, half: str, sources: Sequence[str]) -> list[Heard]:
    """All streams of the sources, as many at a time as there are processes."""
    gate = asyncio.Semaphore(os.cpu_count() or 1)
    root = data_folder()

    async def one(source: str, pcm: Pcm) -> Heard:
        async with gate:
            return await listen(spotter, phrase, source, pcm)

    return await asyncio.gather(*(one(source, pcm) for source in sources for pcm in streams(root, source, half)))


async def wakes(heard: Heard, threshold: float) -> int:
    """How often the service would have woken."""
    listener = WakeListener(Replay(heard.spotted), [WakeWord("x", threshold)], RATE_HZ)
    nothing = np.zeros(0, np.int16)
    return sum([len(await listener.hear(nothing)) for _ in heard.spotted])


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def upper_rate(events: int, hours: float) -> float:
    """Upper end of the 95 % interval of a rate per hour (Poisson, by Wilson and Hilferty's cube)."""
    k = events + 1
    return k * (1 - 1 / (9 * k) + 1.96 / (3 * math.sqrt(k))) ** 3 / hours


async def report(positives: Sequence[Heard], negatives: Sequence[Heard]) -> None:
    hours = sum(heard.seconds for heard in negatives) / 3600
    print(f"{len(positives)} wake words; {hours:.2f} h of other audio")
    for name, threshold in POINTS:
        hits = sum([await wakes(heard, threshold) > 0 for heard in positives])
        low, high = interval(hits, len(positives))
        by_source = {
            source: sum([await wakes(h, threshold) for h in negatives if h.source == source]) for source in NEGATIVES
        }
        false = sum(by_source.values())
        print(f"{name:>8} ({threshold:g}): recall {hits / len(positives):.1%} (95 % {low:.1%} to {high:.1%}), ", end="")
        print(f"false accepts {false / hours:.1f}/h (95 % below {upper_rate(false, hours):.1f}): ", end="")
        print(", ".join(f"{source} {count}" for source, count in by_source.items() if count) or "none")


def fit(positives: Sequence[Heard], negatives: Sequence[Heard]) -> None:
    """Weights of `activation.wake.score_of`, by Newton's steps on the best of each wake word and all others."""

    def features(found: Spotted) -> list[float]:
        pace = math.log(max(0.05, found.end_s - found.start_s) / (0.06 * found.phones))
        return [1.0, found.decades * 6 / found.phones, pace]

    hits = [max((s for piece in h.spotted for s in piece), key=score_of, default=None) for h in positives]
    rows = [(features(hit), 1.0) for hit in hits if hit]
    rows += [(features(found), 0.0) for heard in negatives for piece in heard.spotted for found in piece]
    x, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    weights = np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 0.01 * np.eye(3)
        weights += np.linalg.solve(hessian, x.T @ (y - p) - 0.01 * weights)
    print(f"{len(hits)} wake words, {len(rows) - len(hits)} others: weights {np.round(weights, 3).tolist()}")


async def run(options: argparse.Namespace) -> None:
    spotter = PocketsphinxSpotter()
    await spotter.start()
    try:
        positives = await gather(spotter, options.phrase, options.half, [POSITIVES])
        negatives = await gather(spotter, options.phrase, options.half, NEGATIVES)
        cpu_s = sum(worker.cpu_seconds for worker in spotter.pool.stats())
    finally:
        await spotter.close()
    heard_s = sum(heard.seconds for heard in (*positives, *negatives))
    print(f"half {options.half}: {cpu_s / heard_s:.1%} of a core per stream")
    if options.fit:
        fit(positives, negatives)
    await report(positives, negatives)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phrase", default="alexa", help="the phrase of the recordings")
    parser.add_argument("--half", choices=("dev", "test", "all"), default="test", help="which half of the files")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the score (only to --half=dev)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
