"""The synthesis domain with an engine whose every sample is known."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from services.runtime.audio import AudioFormat, Encoding, decode_mulaw
from services.runtime.errors import InvalidInput, WorkerLost
from services.tts.output import Audio
from services.tts.settings import TtsSettings
from services.tts.synthesizer import Event, Mark, SpeechRequest, Summary, Synthesizer
from tests.fakes.speech_engine import ToneEngine

pytestmark = pytest.mark.unit

EN = SpeechRequest(language="en")


async def speak(engine: ToneEngine, *texts: str, request: SpeechRequest | None = None) -> list[Event]:
    utterance = Synthesizer(engine, TtsSettings()).prepare(request or EN)
    for text in texts:
        utterance.feed(text)
    utterance.end()
    return [event async for event in utterance.events()]


def audio(events: list[Event]) -> list[Audio]:
    return [event for event in events if isinstance(event, Audio)]


def pcm(events: list[Event]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(b"".join(event.data for event in audio(events)), "<i2")


async def test_all_audio_comes_out_and_its_clock_is_right() -> None:
    events = await speak(ToneEngine(), "One two. Three.")
    assert pcm(events).size == ToneEngine.SAMPLES * (len("One two.") + len("Three."))
    ends = [0.0]
    for event in audio(events):
        assert event.start == pytest.approx(ends[-1])
        ends.append(event.start + event.duration)
    summary = events[-1]
    assert isinstance(summary, Summary)
    assert summary.audio_s == pytest.approx(ends[-1])
    assert summary.characters == 14
    assert summary.cpu_s == pytest.approx(0.002)


async def test_first_message_is_short_and_none_is_long() -> None:
    events = audio(await speak(ToneEngine(), "A sentence of some length, to be sure of several messages."))
    assert events[0].duration == pytest.approx(0.04)
    assert max(event.duration for event in events) <= 0.1
    assert max(len(event.data) for event in events) <= 15 * 1024


async def test_marks_lie_on_the_text_and_before_their_audio() -> None:
    text = "One two. Three."
    events = await speak(ToneEngine(), *text)
    marks = [event for event in events if isinstance(event, Mark)]
    words = [mark for mark in marks if mark.kind == "word"]
    assert [text[mark.start : mark.end] for mark in words] == ["One", "two.", "Three."]
    assert [mark.start_s for mark in words] == pytest.approx([0.0, 0.04, 0.08])
    assert [text[mark.start : mark.end] for mark in marks if mark.kind == "sentence"] == ["One two.", "Three."]
    given = 0.0
    for event in events:
        if isinstance(event, Audio):
            given = event.start + event.duration
        elif isinstance(event, Mark) and event.kind == "word":
            assert event.start_s >= given - 1e-9


async def test_leading_silence_is_cut_once_and_marks_follow() -> None:
    engine = ToneEngine(lead=800)
    events = await speak(engine, "One. Two.")
    samples = pcm(events)
    assert np.flatnonzero(samples)[0] <= 16  # 2 ms are kept
    assert samples.size == 16 + 2 * 4 * ToneEngine.SAMPLES + 800
    words = [event for event in events if isinstance(event, Mark) and event.kind == "word"]
    assert words[0].start_s == pytest.approx(16 / 8000)
    assert words[1].start_s == pytest.approx((16 + 4 * ToneEngine.SAMPLES + 800) / 8000)


async def test_the_first_sentence_is_spoken_before_the_text_ends() -> None:
    utterance = Synthesizer(ToneEngine(), TtsSettings()).prepare(EN)
    utterance.feed("First sentence. Sec")
    stream = utterance.events()
    heard = 0.0
    while heard < 0.01 * len("First sentence.") - 1e-9:
        event = await asyncio.wait_for(anext(stream), 1)
        heard += event.duration if isinstance(event, Audio) else 0.0
    utterance.feed("ond.")
    utterance.end()
    assert any([isinstance(event, Summary) async for event in stream])


async def test_a_flush_speaks_what_is_there() -> None:
    engine = ToneEngine()
    utterance = Synthesizer(engine, TtsSettings()).prepare(EN)
    utterance.feed("No end yet")
    utterance.flush()
    utterance.feed(" and more")
    utterance.end()
    assert [event.span for event in audio([event async for event in utterance.events()])] == [
        (0, 10),
        (0, 10),
        (11, 19),
    ]
    assert engine.spoken == ["No end yet", "and more"]


async def test_discard_drops_what_was_not_given_out() -> None:
    engine = ToneEngine()
    utterance = Synthesizer(engine, TtsSettings()).prepare(EN)
    utterance.feed("A sentence that is rather long. Another one. And a third")
    stream = utterance.events()
    given = 0.0
    while not given:
        event = await anext(stream)
        given = event.duration if isinstance(event, Audio) else 0.0
    utterance.discard()
    utterance.feed("New words.")
    utterance.end()
    rest = [event async for event in stream]
    assert engine.spoken == ["A sentence that is rather long.", "New words."]
    assert audio(rest)[0].start == pytest.approx(given)
    assert audio(rest)[0].span == (56, 66)
    words = [event for event in rest if isinstance(event, Mark) and event.kind == "word"]
    assert [mark.start for mark in words] == [56, 60]
    assert [mark.start_s for mark in words] == pytest.approx([given, given + 0.04])
    assert isinstance(rest[-1], Summary)
    assert rest[-1].audio_s == pytest.approx(given + 0.1)


async def test_nothing_is_computed_ahead_of_the_reader() -> None:
    engine = ToneEngine()
    utterance = Synthesizer(engine, TtsSettings()).prepare(EN)
    utterance.feed("One. Two. Three. " * 50)
    stream = utterance.events()
    while not isinstance(await anext(stream), Audio):
        pass
    await asyncio.sleep(0)
    assert engine.spoken == ["One."]
    await stream.aclose()
    assert engine.spoken == ["One."]


async def test_format_volume_and_prosody() -> None:
    engine = ToneEngine()
    request = SpeechRequest(
        language="en", rate=2.0, pitch=-3.0, gain_db=6.0, format=AudioFormat(Encoding.MULAW, 16_000)
    )
    events = await speak(engine, "Louder, please", request=request)
    assert (engine.prosodies[0].rate, engine.prosodies[0].pitch) == (2.0, -3.0)
    samples = decode_mulaw(b"".join(event.data for event in audio(events)))
    assert samples.size == pytest.approx(2 * ToneEngine.SAMPLES * 14, abs=2)
    assert np.median(samples) == pytest.approx(1995, rel=0.04)  # 1000 at +6 dB, in mu-law's steps


async def test_gain_saturates() -> None:
    engine = ToneEngine()
    engine.AMPLITUDE = 30_000
    assert pcm(await speak(engine, "Ah", request=SpeechRequest(language="en", gain_db=6.0))).max() == 32_767


@pytest.mark.parametrize("text", ["", " ", "...", "\x00\x01", "\u200b"])
async def test_nothing_to_speak(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await speak(ToneEngine(), text)
    assert caught.value.reason == "TEXT_EMPTY"


async def test_too_much_text_is_refused_without_speaking_it() -> None:
    engine = ToneEngine()
    with pytest.raises(InvalidInput) as caught:
        await speak(engine, "a" * 1_000_000)
    assert caught.value.reason == "TEXT_TOO_LONG"
    assert engine.spoken == []


async def test_a_stream_is_bounded_in_all() -> None:
    utterance = Synthesizer(ToneEngine(), TtsSettings(max_text=5000)).prepare(EN)
    utterance.feed("a" * 4000)
    with pytest.raises(InvalidInput):
        utterance.feed("b" * 4000)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (SpeechRequest(rate=0.1), "prosody.rate"),
        (SpeechRequest(rate=float("nan")), "prosody.rate"),
        (SpeechRequest(pitch=20), "prosody.pitch_semitones"),
        (SpeechRequest(gain_db=13), "prosody.volume_gain_db"),
    ],
)
def test_out_of_range(request_: SpeechRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Synthesizer(ToneEngine(), TtsSettings()).prepare(request_)
    assert caught.value.field == field


async def test_a_lost_process_is_told_after_what_was_spoken() -> None:
    utterance = Synthesizer(ToneEngine(fail_at=1), TtsSettings()).prepare(EN)
    utterance.feed("One. Two.")
    utterance.end()
    heard: list[Event] = []

    async def listen() -> None:
        async for event in utterance.events():
            heard.append(event)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(WorkerLost):
        await listen()
    assert pcm(heard).size == 4 * ToneEngine.SAMPLES


async def test_phonemes_and_the_language_served() -> None:
    synthesizer = Synthesizer(ToneEngine(), TtsSettings())
    assert await synthesizer.phonemize(["Ja", "Nein\0"], "de-AT") == (["tone/de:Ja", "tone/de:Nein "], "de")


@pytest.mark.parametrize("texts", [[], [""], ["a" * 1001], ["a"] * 1001])
async def test_what_is_not_phonemized(texts: list[str]) -> None:
    with pytest.raises(InvalidInput):
        await Synthesizer(ToneEngine(), TtsSettings()).phonemize(texts, "de")
