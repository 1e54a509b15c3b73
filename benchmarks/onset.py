"""How soon after somebody begins to speak the service says so, on real speech joined with known silence.

    python -m benchmarks onset [--clips=N] [--chunk-ms=N]

Each clip follows two seconds of faint noise. Its own onset is where 30 ms of it first pass both 30 dB below its loudest
30 ms and 10 dB above its own background (the tenth percentile of its levels). Audio goes in as fast as it is taken; a
delay is the audio that had gone in when the event came, plus the time that the answer took. A device that must stop its
playback adds its own path and the network.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.wake import data_folder, files, read
from services.activation.detector import DetectionRequest, DetectionSession, SpeechChange
from services.activation.engines import RATE_HZ
from services.activation.engines.keyphrase import PocketsphinxSpotter
from services.activation.engines.silero import SileroVoiceActivity
from services.activation.onsets import level_dbfs
from services.activation.settings import ActivationSettings
from services.runtime.audio import Pcm

SOURCES = ("librispeech-spk", "s2i")
SILENCE_S, SPEECH_S = 2.0, 3.0
BELOW_DB, ABOVE_DB = 30.0, 10.0
STEP = RATE_HZ // 100


def onset_s(pcm: Pcm) -> float:
    """Where the sound sets in, in seconds."""
    levels = [level_dbfs(pcm[at : at + 3 * STEP]) for at in range(0, pcm.size - 3 * STEP, STEP)]
    background = float(np.percentile(levels, 10))
    loud = min(max(levels) - 6.0, max(max(levels) - BELOW_DB, background + ABOVE_DB))
    return next(index for index, level in enumerate(levels) if level >= loud) * STEP / RATE_HZ


async def delay(engine: SileroVoiceActivity, clip: Pcm, chunk: int, settings: ActivationSettings) -> float | None:
    """Seconds from the true onset to the event; None where it did not come."""
    clip = clip[: round(SPEECH_S * RATE_HZ)]
    faint = np.random.default_rng(1).normal(0, 5, round(SILENCE_S * RATE_HZ)).astype(np.int16)
    pcm, truth = np.concatenate((faint, clip)), SILENCE_S + onset_s(clip)
    session = DetectionSession(engine, settings, DetectionRequest(speech=True), PocketsphinxSpotter())
    try:
        for start in range(0, pcm.size, chunk):
            began = time.perf_counter()
            events = await session.feed(pcm[start : start + chunk])
            took = time.perf_counter() - began
            if any(isinstance(event, SpeechChange) and event.speaking for event in events):
                return min(start + chunk, pcm.size) / RATE_HZ + took - truth
    finally:
        await session.close()
    return None


async def run(options: argparse.Namespace) -> None:
    engine, chunk = SileroVoiceActivity(1), RATE_HZ * options.chunk_ms // 1000
    await engine.start()
    try:
        for source in SOURCES:
            clips = [read(path) for path in files(data_folder() / source, "all")[: options.clips]]
            found = [await delay(engine, clip, chunk, ActivationSettings()) for clip in clips]
            late = sorted(value for value in found if value is not None)
            cuts = statistics.quantiles(late, n=20, method="inclusive")
            print(
                f"{source:16} {len(late)} of {len(clips)} onsets heard; p50 {statistics.median(late) * 1000:.0f} ms, "
                f"p95 {cuts[18] * 1000:.0f} ms, before the true onset {sum(value < 0 for value in late)}"
            )
    finally:
        await engine.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60, help="clips per source (default 60)")
    parser.add_argument("--chunk-ms", type=int, default=32, help="audio in one message (default 32)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
