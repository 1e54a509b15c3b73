"""Wake words, sounds and beginnings of speech on real recordings; the benchmarks `wake` and `onset` say more."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.onset import delay
from benchmarks.wake import POSITIVES, Heard, files, gather, read, wakes
from services.activation.engines import RATE_HZ
from services.activation.engines.keyphrase import PocketsphinxSpotter
from services.activation.engines.silero import SileroVoiceActivity
from services.activation.settings import ActivationSettings
from services.activation.sounds import SoundDetector
from services.activation.wake import DEFAULT_THRESHOLD, score_of

pytestmark = [pytest.mark.data, pytest.mark.timeout(300)]

ORDERS = ("s2i", "wake-other")


@pytest.fixture
async def spotter() -> AsyncIterator[PocketsphinxSpotter]:
    spotter = PocketsphinxSpotter()
    await spotter.start()
    yield spotter
    await spotter.close()


async def test_a_wake_word_is_heard_and_little_else_is_taken_for_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, spotter: PocketsphinxSpotter
) -> None:
    """The half that the score was not fitted on."""
    monkeypatch.setenv("ANTIPHON_DATA", str(data))
    positives = await gather(spotter, "alexa", "test", [POSITIVES])
    negatives = await gather(spotter, "alexa", "test", ORDERS)
    assert len(positives) == 65
    assert await share(positives, DEFAULT_THRESHOLD) >= 0.80
    strict, lenient = await share(positives, 0.9), await share(positives, 0.3)
    assert strict <= await share(positives, DEFAULT_THRESHOLD) <= lenient
    assert sum([await wakes(heard, DEFAULT_THRESHOLD) for heard in negatives]) <= 1
    assert sum(heard.seconds for heard in negatives) > 400


async def share(positives: list[Heard], threshold: float) -> float:
    return sum([await wakes(heard, threshold) > 0 for heard in positives]) / len(positives)


async def test_phrases_that_nothing_was_fitted_on(data: Path, spotter: PocketsphinxSpotter) -> None:
    """Spoken in the midst of orders by many people; the labels say who said which."""
    phrases = ("cappuccino", "americano", "espresso", "light roast", "twelve ounce")
    labels = json.loads((data / "audio" / "s2i" / "label.json").read_text())
    said = heard = wrong = 0
    for path in files(data / "audio" / "s2i", "all")[::2]:
        pcm, words = read(path), labels[f"{path.stem}.wav"]["slots"].values()
        stream = await spotter.open(phrases)
        spotted = [*await stream.hear(pcm), *await stream.finish()]
        await stream.close()
        found = {phrases[each.phrase] for each in spotted if score_of(each) >= DEFAULT_THRESHOLD}
        said += len(set(words) & set(phrases))
        heard += len(found & set(words))
        wrong += len(found - set(words))
    assert said >= 15
    assert heard >= 0.85 * said
    assert wrong <= 2


def test_sounds_of_known_kinds(data: Path) -> None:
    """How many of nine clips of a class have each label at least once: rules, and it shows."""
    found: dict[str, dict[str, int]] = {}
    for folder in sorted(path for path in (data / "audio" / "esc10").iterdir() if path.is_dir()):
        labels: dict[str, int] = defaultdict(int)
        for path in files(folder, "all"):
            pcm, detector = read(path), SoundDetector(RATE_HZ, -55.0)
            for label in {sound.label for sound in detector.feed(pcm)}:
                labels[label] += 1
        found[folder.name] = dict(labels)
    steady = {name: labels.get("steady_noise", 0) for name, labels in found.items()}
    assert steady["Rain"] >= 8
    assert steady["Chainsaw"] + steady["Helicopter"] + steady["Sea_waves"] >= 10
    assert not any(steady[name] for name in ("Baby_cry", "Clock_tick", "Dog_bark", "Person_sneeze", "Rooster"))
    beeps = {name: labels.get("beep", 0) for name, labels in found.items()}
    assert not any(beeps[name] for name in ("Rain", "Sea_waves", "Helicopter", "Fire_crackling", "Clock_tick"))


async def test_the_beginning_of_speech_is_told_at_once(data: Path) -> None:
    engine = SileroVoiceActivity(1)
    await engine.start()
    try:
        clips = [read(path) for path in files(data / "audio" / "librispeech-spk", "all")[:30]]
        late = [await delay(engine, clip, 512, ActivationSettings()) for clip in clips]
    finally:
        await engine.close()
    heard = [value for value in late if value is not None]
    assert len(heard) == len(clips)
    assert statistics.median(heard) <= 0.2
    assert sum(value <= 0.3 for value in heard) >= 0.9 * len(heard)
