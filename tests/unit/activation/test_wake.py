"""Wake words: score, one activation per time said, levels, changes during the stream, and the second opinion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.activation.detector import DetectionRequest, DetectionSession, Event
from services.activation.engines import RATE_HZ, Spotted
from services.activation.engines.pronunciations import Pronunciations
from services.activation.settings import ActivationSettings
from services.activation.wake import Wake, WakeWord, score_of, second_opinion
from services.runtime.audio import Pcm
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput, NotFound
from tests.fakes.voice_activity import LoudIsSpeech, ScriptedSpotter

pytestmark = pytest.mark.unit

CLEAR = Spotted(0, 20.0, 6, 1.0, 1.5)
DOUBTFUL = Spotted(0, -25.0, 6, 1.0, 1.3)


def noise(seconds: float, deviation: float) -> Pcm:
    return np.random.default_rng(3).normal(0, deviation, round(seconds * RATE_HZ)).astype(np.int16)


async def heard(spotter: ScriptedSpotter, words: tuple[WakeWord, ...], pcm: Pcm) -> list[Wake]:
    request = DetectionRequest(wake_words=words)
    session = DetectionSession(LoudIsSpeech(), ActivationSettings(), request, spotter)
    await session.listen_for(words)
    events: list[Event] = []
    for start in range(0, pcm.size, 1600):
        events += await session.feed(pcm[start : start + 1600])
    events += await session.finish()
    await session.close()
    assert spotter.open_streams == 0
    return [event for event in events if isinstance(event, Wake)]


def test_the_score_grows_with_evidence_and_with_an_unhurried_pace() -> None:
    scores = [score_of(Spotted(0, decades, 6, 1.0, 1.5)) for decades in (-1e9, -30.0, 0.0, 30.0, 1e9)]
    assert scores == sorted(scores)
    assert 0 <= scores[0] < 0.1 < 0.9 < scores[-1] <= 1
    assert score_of(Spotted(0, -5.0, 6, 1.0, 1.25)) < score_of(Spotted(0, -5.0, 6, 1.0, 1.6))
    assert score_of(Spotted(0, 0.0, 6, 1.0, 1.0)) >= 0


async def test_a_phrase_is_reported_once_with_its_levels() -> None:
    pcm = np.concatenate((noise(1.0, 30), noise(0.5, 3000), noise(1.0, 30)))
    grown = Spotted(0, 25.0, 6, 1.0, 1.52)
    (wake,) = await heard(ScriptedSpotter([CLEAR, grown]), (WakeWord("computer"),), pcm)
    assert (wake.phrase, wake.start_s, wake.end_s) == ("computer", 1.0, 1.5)
    assert wake.voice_dbfs == pytest.approx(20 * np.log10(3000 / 32768), abs=0.5)
    assert wake.ambient_dbfs == pytest.approx(20 * np.log10(30 / 32768), abs=0.5)


async def test_the_threshold_decides_and_what_is_said_again_counts_again() -> None:
    again = Spotted(0, 20.0, 6, 4.0, 4.5)
    pcm, words = noise(5.0, 30), (WakeWord("computer"),)
    assert len(await heard(ScriptedSpotter([CLEAR, again]), words, pcm)) == 2
    assert await heard(ScriptedSpotter([DOUBTFUL]), words, pcm) == []
    assert len(await heard(ScriptedSpotter([DOUBTFUL]), (WakeWord("computer", 0.0),), pcm)) == 1


async def test_words_change_during_the_stream_and_times_go_on() -> None:
    spotter = ScriptedSpotter([CLEAR])
    session = DetectionSession(LoudIsSpeech(), ActivationSettings(), DetectionRequest(), spotter)
    await session.feed(noise(3.0, 30))
    await session.listen_for((WakeWord("computer"),))
    (wake,) = await session.feed(noise(2.0, 30))
    assert isinstance(wake, Wake)
    assert wake.start_s == pytest.approx(4.0)
    with pytest.raises(FailedPrecondition):
        await session.listen_for((WakeWord("qqq"),))
    assert spotter.opened == [["computer"]]
    session.revoke(wake.activation_id)
    with pytest.raises(NotFound):
        session.revoke(wake.activation_id)
    await session.listen_for(())
    assert spotter.open_streams == 0
    with pytest.raises(NotFound):
        session.revoke(wake.activation_id)


async def test_a_second_opinion() -> None:
    clip = noise(2.0, 300)
    word = WakeWord("computer")
    opinion = await second_opinion(ScriptedSpotter([CLEAR, DOUBTFUL]), word, clip)
    assert opinion.accepted
    assert opinion.wake is not None
    assert (opinion.wake.start_s, opinion.wake.end_s) == pytest.approx((0.8, 1.3))
    assert not (await second_opinion(ScriptedSpotter([DOUBTFUL]), word, clip)).accepted
    nothing = await second_opinion(ScriptedSpotter(), word, clip)
    assert (nothing.accepted, nothing.score, nothing.wake) == (False, 0.0, None)


@pytest.fixture
def dictionary(tmp_path: Path) -> Pronunciations:
    path = tmp_path / "words.dict"
    path.write_text("hello HH AH L OW\nhello(2) HH EH L OW\no'clock AH K L AA K\nyes Y EH S\nzoo Z UW\n")
    return Pronunciations(path)


def test_phrases_are_looked_up(dictionary: Pronunciations) -> None:
    assert dictionary.of("Hello  zoo") == ["HH AH L OW Z UW", "HH EH L OW Z UW"]
    assert dictionary.of("o'clock") == ["AH K L AA K"]
    assert len(dictionary.of("hello hello hello")) == 4


@pytest.mark.parametrize(
    ("phrase", "kind", "reason"),
    [
        ("yes", InvalidInput, "WAKE_WORD_TOO_SHORT"),
        ("", InvalidInput, "WAKE_WORD_LENGTH"),
        ("hello " * 7, InvalidInput, "WAKE_WORD_LENGTH"),
        ("x" * 65, InvalidInput, "WAKE_WORD_LENGTH"),
        ("ello hello", FailedPrecondition, "WAKE_WORD_MODEL_MISSING"),
        ("hello(2)", FailedPrecondition, "WAKE_WORD_MODEL_MISSING"),
        ("hello\x00", FailedPrecondition, "WAKE_WORD_MODEL_MISSING"),
        ("HH AH", FailedPrecondition, "WAKE_WORD_MODEL_MISSING"),
    ],
)
def test_phrases_that_cannot_be_listened_for(
    dictionary: Pronunciations, phrase: str, kind: type[AntiphonError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        dictionary.of(phrase)
    assert caught.value.reason == reason
