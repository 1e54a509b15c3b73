"""One session's hearing, with a detector and a decoder whose answers can be foretold."""

from __future__ import annotations

import numpy as np
import pytest

from services.asr.events import Endpoint, EndpointReason, Event, Final, Partial, SpeechActivity
from services.asr.requests import Endpointing, EndpointingUpdate, SessionConfig
from services.asr.segmenter import level_dbfs
from services.asr.transcriber import Transcriber
from services.runtime.audio import AudioFormat, Encoding, Pcm, encode_mulaw
from services.runtime.errors import InvalidInput
from tests.fakes.recognition import LOUD, CountingDecoders, LoudIsSpeech

pytestmark = pytest.mark.unit

CONTINUOUS = Endpointing(start_timeout=60.0, end_silence=0.5, max_length=5.0, continuous=True)


def silence(seconds: float) -> Pcm:
    return np.zeros(int(16_000 * seconds), np.int16)


def speech(seconds: float) -> Pcm:
    return np.full(int(16_000 * seconds), LOUD, np.int16)


class Heard:
    """A transcriber, and everything it told."""

    def __init__(self, endpointing: Endpointing = CONTINUOUS, **options: object) -> None:
        self.decoders = CountingDecoders()
        self.detector = LoudIsSpeech()
        config = SessionConfig(model="m", endpointing=endpointing, **options)  # type: ignore[arg-type]
        self.transcriber = Transcriber(config, self.detector, self.decoders)
        self.events: list[Event] = []

    def feed(self, *audio: Pcm, step: int = 3_200) -> Heard:
        data = np.concatenate(audio).tobytes()
        for at in range(0, len(data), step):
            self.events += self.transcriber.feed(data[at : at + step])
        return self

    def finish(self) -> Heard:
        self.events += self.transcriber.finish()
        return self

    @property
    def endpoints(self) -> list[Endpoint]:
        return [event for event in self.events if isinstance(event, Endpoint)]

    @property
    def finals(self) -> list[Final]:
        return [event for event in self.events if isinstance(event, Final)]

    @property
    def partials(self) -> list[Partial]:
        return [event for event in self.events if isinstance(event, Partial)]


@pytest.mark.parametrize("step", [2, 3, 320, 3_200, 100_000])
def test_one_utterance_by_any_cut(step: int) -> None:
    heard = Heard().feed(silence(1.0), speech(2.0), silence(1.0), step=step).finish()
    (endpoint,) = heard.endpoints
    assert endpoint.reason is EndpointReason.SILENCE
    assert endpoint.speech_start == pytest.approx(1.0, abs=0.04)
    assert endpoint.speech_end == pytest.approx(3.0, abs=0.04)
    assert endpoint.decided == pytest.approx(3.5, abs=0.04)
    (final,) = heard.finals
    assert final.alternatives[0].text.startswith("w0 w1 w2 w3 w4 w5")
    assert heard.decoders.lent == 0


def test_silence_costs_no_decoder_and_ends_in_no_speech() -> None:
    heard = Heard().feed(silence(5.0)).finish()
    assert [endpoint.reason for endpoint in heard.endpoints] == [EndpointReason.NO_SPEECH]
    assert (heard.endpoints[0].speech_start, heard.finals) == (None, [])
    assert heard.decoders.made == []
    assert heard.detector.chunks == pytest.approx(5.0 / 0.032, abs=1)


def test_the_decoder_hears_the_pre_roll_and_a_quarter_second_of_the_silence() -> None:
    heard = Heard().feed(silence(2.0), speech(1.0), silence(2.0)).finish()
    seconds = heard.decoders.made[0].samples / 16_000
    assert seconds == pytest.approx(0.26 + 1.0 + 0.256, abs=0.05)


def test_silence_within_speech_is_decoded_once_it_goes_on() -> None:
    heard = Heard().feed(silence(1.0), speech(0.5), silence(0.4), speech(0.5), silence(1.0)).finish()
    assert len(heard.endpoints) == 1
    assert heard.decoders.made[0].samples / 16_000 == pytest.approx(0.26 + 1.4 + 0.256, abs=0.05)


def test_several_utterances_reuse_one_decoder_and_hand_on_what_it_learned() -> None:
    heard = Heard().feed(*[silence(1.0), speech(1.0)] * 3, silence(1.0)).finish()
    assert [final.utterance for final in heard.finals] == [0, 1, 2]
    (decoder,) = heard.decoders.made
    assert decoder.given[0] == ""
    assert all(given.startswith("after ") for given in decoder.given[1:])
    assert [endpoint.speech_start for endpoint in heard.endpoints] == pytest.approx([1.0, 3.0, 5.0], abs=0.04)


def test_a_session_that_is_not_continuous_ends_with_its_first_endpoint() -> None:
    heard = Heard(Endpointing()).feed(*[silence(1.0), speech(1.0)] * 3, silence(1.0)).finish()
    assert len(heard.finals) == 1
    assert len(heard.endpoints) == 1


def test_start_timeout() -> None:
    heard = Heard(Endpointing(start_timeout=1.0)).feed(silence(3.0), speech(1.0)).finish()
    (endpoint,) = heard.endpoints
    assert endpoint.reason is EndpointReason.NO_SPEECH
    assert endpoint.decided == pytest.approx(1.0, abs=0.04)


def test_endless_speech_is_cut_and_no_audio_is_heard_twice_or_lost() -> None:
    heard = Heard().feed(silence(1.0), speech(12.0)).finish()
    reasons = [endpoint.reason for endpoint in heard.endpoints]
    assert reasons == [EndpointReason.MAX_LENGTH, EndpointReason.MAX_LENGTH, EndpointReason.END_OF_AUDIO]
    lengths = [int(given.split()[1]) for given in heard.decoders.made[0].given[1:]]
    total = (sum(lengths) + heard.decoders.made[0].samples) / 16_000
    assert total == pytest.approx(12.0 + 0.26, abs=0.1)
    assert max(lengths) / 16_000 <= 5.4


def test_the_end_of_audio_ends_an_utterance() -> None:
    heard = Heard().feed(silence(0.5), speech(1.0)).finish()
    assert [endpoint.reason for endpoint in heard.endpoints] == [EndpointReason.END_OF_AUDIO]
    assert heard.finals[0].alternatives


def test_finalize_ends_an_utterance_and_without_speech_tells_an_endpoint_only() -> None:
    heard = Heard().feed(silence(0.5), speech(1.0))
    heard.events += heard.transcriber.finalize()
    assert heard.endpoints[0].reason is EndpointReason.CLIENT
    assert len(heard.finals) == 1
    heard.feed(silence(1.0))
    heard.events += heard.transcriber.finalize()
    assert (heard.endpoints[1].reason, heard.endpoints[1].speech_start) == (EndpointReason.CLIENT, None)
    heard.feed(speech(1.0), silence(1.0)).finish()
    assert [final.utterance for final in heard.finals] == [0, 1]


def test_client_only_waits_for_the_client() -> None:
    heard = Heard(Endpointing(client_only=True, continuous=True)).feed(silence(1.0), speech(1.0), silence(5.0))
    assert heard.endpoints == []
    heard.events += heard.transcriber.finalize()
    assert [endpoint.reason for endpoint in heard.endpoints] == [EndpointReason.CLIENT]


def test_end_silence_changed_mid_stream() -> None:
    heard = Heard().feed(silence(1.0), speech(1.0))
    heard.transcriber.update_endpointing(EndpointingUpdate(end_silence=1.5))
    heard.feed(silence(1.2))
    assert heard.endpoints == []
    heard.feed(silence(0.5))
    assert heard.endpoints[0].decided == pytest.approx(3.5, abs=0.04)


def test_partials_are_revisions_with_growing_promises() -> None:
    heard = Heard(interim=True).feed(silence(1.0), speech(3.0), silence(1.0)).finish()
    partials = heard.partials
    texts = list(dict.fromkeys(partial.text for partial in partials))
    assert texts[:3] == ["w0", "w0 w1", "w0 w1 w2"]
    assert [partial.revision for partial in partials] == [texts.index(partial.text) + 1 for partial in partials]
    prefixes = [partial.stable_prefix for partial in partials]
    assert prefixes == sorted(prefixes)
    assert prefixes[-1] > 0
    assert heard.finals[0].revision == partials[-1].revision + 1


def test_no_partials_unless_asked_for() -> None:
    assert Heard().feed(silence(0.5), speech(2.0)).partials == []


def test_alternatives_and_words_are_those_asked_for() -> None:
    one = Heard().feed(silence(1.0), speech(1.0), silence(1.0)).finals[0]
    assert (len(one.alternatives), one.alternatives[0].words) == (1, ())
    more = Heard(max_alternatives=5, words=True).feed(silence(1.0), speech(1.0), silence(1.0)).finals[0]
    assert len(more.alternatives) == 2
    words = more.alternatives[0].words
    assert words[0].start == pytest.approx(1.0 - 0.256, abs=0.04)
    assert [word.end for word in words[:-1]] == [word.start for word in words[1:]]


def test_speech_activity_when_asked_for() -> None:
    heard = Heard(speech_activity=True).feed(silence(1.0), speech(1.0), silence(0.4), speech(0.5), silence(1.0))
    told = [event for event in heard.events if isinstance(event, SpeechActivity)]
    assert [activity.is_speech for activity in told] == [True, False, True, False]
    assert [activity.offset for activity in told] == pytest.approx([1.0, 2.0, 2.4, 2.9], abs=0.05)
    assert told[0].level_dbfs > -20 > -50 > told[1].level_dbfs


def test_a_cough_is_an_endpoint_without_a_result() -> None:
    heard = Heard()
    heard.decoders.deaf = True
    heard.feed(silence(1.0), speech(0.2), silence(1.0)).finish()
    assert [endpoint.reason for endpoint in heard.endpoints] == [EndpointReason.SILENCE]
    assert heard.finals == []


def test_closing_within_an_utterance_gives_the_decoder_back() -> None:
    heard = Heard().feed(silence(0.5), speech(1.0))
    assert heard.decoders.lent == 1
    heard.transcriber.close()
    heard.transcriber.close()
    assert heard.decoders.lent == 0


def test_other_formats_give_the_same_times() -> None:
    audio = np.concatenate((silence(1.0), speech(1.0), silence(1.0)))
    config = SessionConfig(model="m", format=AudioFormat(Encoding.MULAW, 8_000), endpointing=CONTINUOUS)
    transcriber = Transcriber(config, LoudIsSpeech(), CountingDecoders())
    events = transcriber.feed(encode_mulaw(audio[::2].copy()))
    (endpoint,) = [event for event in [*events, *transcriber.finish()] if isinstance(event, Endpoint)]
    assert endpoint.speech_start == pytest.approx(1.0, abs=0.05)
    assert endpoint.speech_end == pytest.approx(2.0, abs=0.05)


def test_audio_that_ends_within_a_sample_is_refused() -> None:
    heard = Heard()
    heard.transcriber.feed(b"\x00" * 3_201)
    with pytest.raises(InvalidInput) as refused:
        heard.transcriber.finish()
    assert refused.value.reason == "ODD_AUDIO_BYTES"


def test_memory_stays_bounded_in_ten_minutes_of_silence_and_of_noise() -> None:
    heard = Heard()
    for _ in range(60):
        heard.feed(silence(5.0), speech(5.0), step=64_000)
    assert heard.transcriber.held_samples < 16_000
    assert len(heard.decoders.made) == 1


def test_levels() -> None:
    assert level_dbfs(silence(0.1)) == -100.0
    assert level_dbfs(np.full(1_000, 32_767, np.int16)) == pytest.approx(0.0, abs=0.1)
