"""The neural engine with networks whose right answer is known: each word is a tone."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.asr.engines.neural.engine import NeuralEngine, NeuralSession
from services.asr.engines.readers import engine_of, read_model
from services.asr.events import BiasingReport, Endpoint, Event, Final, Partial, SessionStats
from services.asr.grammar import GrammarClass, PhraseGrammar
from services.asr.recognizer import Recognizer
from services.asr.requests import Endpointing, Phrase, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.audio import Pcm
from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.onnx import OnnxClient
from tests.fakes.recognition import LOUD, LoudIsSpeech
from tests.fakes.watched_client import WatchedClient
from tests.fixtures.tiny_transducer import TinyBundle, tones

pytestmark = pytest.mark.unit

MODEL = "tiny/tones@1"
SAID = ["one", "three", "two", "five", "one"]
CONTINUOUS = Endpointing(start_timeout=60.0, end_silence=0.5, max_length=20.0, continuous=True)


def silence(seconds: float) -> Pcm:
    return np.zeros(int(16_000 * seconds), np.int16)


AUDIO = np.concatenate((silence(0.5), tones(SAID), silence(1.0))).tobytes()


class Ears:
    """The engine over a watched client."""

    def __init__(self, engine: NeuralEngine, client: WatchedClient) -> None:
        self.engine = engine
        self.client = client

    def session(self, **options: Any) -> NeuralSession:
        given: dict[str, Any] = {"endpointing": CONTINUOUS, **options}
        model = self.engine._by_id[MODEL]
        return NeuralSession(self.engine, model, SessionConfig(MODEL, **given), LoudIsSpeech())

    async def hear(self, audio: bytes = AUDIO, step: int = 3_200, **options: Any) -> list[Event]:
        return await heard(self.session(**options), audio, step)


async def heard(session: NeuralSession, audio: bytes = AUDIO, step: int = 3_200) -> list[Event]:
    events: list[Event] = []
    try:
        for at in range(0, len(audio), step):
            events += await session.feed(audio[at : at + step])
        return events + await session.finish()
    finally:
        await session.close()


@asynccontextmanager
async def ears(folder: Path, bundle: TinyBundle | None = None, **settings: Any) -> AsyncIterator[Ears]:
    store = (bundle or TinyBundle()).write(folder)
    client = WatchedClient(OnnxClient(store))
    engine = NeuralEngine([read_model(store.get(MODEL), client, AsrSettings(**settings))], client)
    await engine.start()
    try:
        yield Ears(engine, client)
    finally:
        await engine.close()


def finals(events: Sequence[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


def texts(events: Sequence[Event]) -> list[str]:
    return [final.alternatives[0].text for final in finals(events)]


@pytest.mark.parametrize(("beam", "options"), [(1, {}), (4, {}), (1, {"max_alternatives": 4})])
async def test_what_was_said_is_heard_by_any_cut(tmp_path: Path, beam: int, options: Mapping[str, Any]) -> None:
    async with ears(tmp_path, beam=beam) as listener:
        whole = finals(await listener.hear(step=len(AUDIO), words=True, **options))
        assert [final.alternatives[0].text for final in whole] == [" ".join(SAID)]
        for step in (1, 333, 15_360) if beam == 1 and not options else (15_360,):
            audio = AUDIO if step > 1 else AUDIO[14_000:40_000]
            cut = finals(await listener.hear(audio, step, words=True, **options))
            again = finals(await listener.hear(audio, 7_680, words=True, **options))
            assert cut[0].alternatives == again[0].alternatives
            assert cut == whole or step == 1


async def test_words_come_when_their_tones_do_and_in_order(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        (final,) = finals(await listener.hear(words=True))
    words = final.alternatives[0].words
    assert [word.text for word in words] == SAID
    for place, word in enumerate(words):
        assert 0.5 + 0.4 * place - 0.05 <= word.start < word.end <= 0.5 + 0.4 * place + 0.3
        assert 0.5 < word.confidence <= 1.0


@pytest.mark.parametrize(("delay_ms", "start"), [(0, 0.904), (80, 0.824), (2_000, 0.584)])
async def test_words_begin_the_delay_before_their_token_but_not_within_the_word_before(
    tmp_path: Path, delay_ms: int, start: float
) -> None:
    async with ears(tmp_path, TinyBundle(parameters={"delay_ms": delay_ms})) as listener:
        (final,) = finals(await listener.hear(words=True))
    words = final.alternatives[0].words
    assert [words[1].start, words[1].end] == pytest.approx([start, 0.944])
    assert all(one.end <= other.start + 1e-6 for one, other in itertools.pairwise(words))


async def test_partials_grow(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        events = await listener.hear(interim=True)
    told = [event.text for event in events if isinstance(event, Partial)]
    assert list(dict.fromkeys(told)) == [" ".join(SAID[:count]) for count in range(1, 6)]


async def test_alternatives_are_sorted_distinct_and_no_more_than_asked_for(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        mixed = (tones(["one"], gap=0.0) // 2 + tones(["four"], gap=0.0) // 2)[:1_500]
        audio = np.concatenate((silence(0.5), tones(["two"]), mixed, silence(1.0))).tobytes()
        (final,) = finals(await listener.hear(audio, max_alternatives=3))
    assert 1 < len(final.alternatives) <= 3
    scores = [each.acoustic_score + each.language_score for each in final.alternatives]
    assert scores == sorted(scores, reverse=True)
    assert len({each.text for each in final.alternatives}) == len(final.alternatives)
    shares = [each.confidence or 0.0 for each in final.alternatives]
    assert 0.0 < sum(shares) <= 1.0


async def test_each_utterance_is_a_sequence_of_its_own_with_a_start_and_an_end(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        assert len(texts(await listener.hear(AUDIO * 3))) == 3
        assert len(listener.client.steps) == 3
        for steps in listener.client.steps.values():
            assert [step.start for step in steps] == [True] + [False] * (len(steps) - 1)
            assert [step.end for step in steps] == [False] * (len(steps) - 1) + [True]


async def test_a_session_that_is_left_ends_its_sequence(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        session = listener.session()
        for at in range(0, len(AUDIO) // 2, 3_200):
            await session.feed(AUDIO[at : at + 3_200])
        await session.close()
        await session.close()
        (steps,) = listener.client.steps.values()
        assert [step.end for step in steps].count(True) == 1
        assert steps[-1].end


async def test_a_sequence_whose_first_call_was_cancelled_is_ended_too(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        session = listener.session()
        hearing = asyncio.create_task(session.feed(AUDIO))
        for _ in range(100):
            await asyncio.sleep(0)
            if listener.client.steps:
                break
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await session.close()
        (steps,) = listener.client.steps.values()
        assert [(step.start, step.end) for step in steps] == [(True, False), (False, True)]


async def test_a_model_goes_on_hearing_in_a_pause_that_only_the_client_ends(tmp_path: Path) -> None:
    patient = replace(CONTINUOUS, max_length=60.0, client_only=True)
    async with ears(tmp_path) as listener:
        session = listener.session(endpointing=patient)
        await session.feed(AUDIO)
        (steps,) = listener.client.steps.values()
        before = len(steps)
        for _ in range(11):
            await session.feed(silence(1.0).tobytes())
        assert len(steps) > before + 10 / (listener.engine._by_id[MODEL].shape.window / 100) - 5
        assert texts(await session.finalize()) == [" ".join(SAID)]
        await session.close()


async def test_a_penalty_for_blanks_has_faint_sounds_heard(tmp_path: Path) -> None:
    faint = tones(["four"], seconds=0.15, amplitude=0.05)
    audio = np.concatenate((silence(0.5), tones(["two"], gap=0.05), faint, silence(1.0))).tobytes()
    async with ears(tmp_path / "plain", beam=1) as listener:
        assert texts(await listener.hear(audio)) == ["two"]
    async with ears(tmp_path / "eager", TinyBundle(parameters={"blank_penalty": 2.0}), beam=1) as listener:
        assert texts(await listener.hear(audio)) == ["two four"]


async def test_a_cough_before_the_first_window_leaves_nothing(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        session = listener.session()
        await session.feed(AUDIO[14_000:18_500])
        await session.close()
        assert listener.client.steps == {}


async def test_silence_costs_no_call(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        before = sum(listener.client.asked.values())
        events = await listener.hear(silence(5.0).tobytes())
        assert sum(listener.client.asked.values()) == before
    assert [type(event) for event in events] == [Endpoint, SessionStats]


async def test_phrases_are_reported_and_those_not_said_change_nothing(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        session = listener.session()
        (report,) = await session.update_biasing((Phrase("two four", 3.0), Phrase("two hundred")))
        assert isinstance(report, BiasingReport)
        assert (report.accepted, [each.words for each in report.unmatched]) == (1, [("hundred",)])
        assert texts(await heard(session)) == [" ".join(SAID)]


async def test_a_grammar_is_adopted_and_kept(tmp_path: Path) -> None:
    grammar = PhraseGrammar(
        (("two {digit}", 1.0), ("dial {digit}", 1.0)), (GrammarClass("digit", (("four", 1.0),)),), digest="d"
    )
    async with ears(tmp_path) as listener:
        assert listener.engine.built(MODEL, grammar) is None
        first, second = listener.engine.build(MODEL, grammar), listener.engine.build(MODEL, grammar)
        assert first is second
        built = await first
        assert (built.accepted, [each.text for each in built.unmatched]) == (1, ["dial {digit}"])
        kept = listener.engine.built(MODEL, grammar)
        assert kept is not None
        assert kept.build_seconds == 0.0
        session = listener.session()
        assert await session.adopt(kept) == []
        assert texts(await heard(session)) == [" ".join(SAID)]


async def test_a_grammar_of_which_nothing_can_be_heard(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        alone = PhraseGrammar((("dial", 1.0),), share=1.0, digest="a")
        with pytest.raises(InvalidInput) as refused:
            await listener.engine.build(MODEL, alone)
        assert refused.value.reason == "GRAMMAR_UNUSABLE"
        beside = await listener.engine.build(MODEL, PhraseGrammar((("dial", 1.0),), digest="b"))
        assert (beside.folder, beside.accepted) == ("", 0)


@pytest.mark.parametrize(("asked", "given"), [(None, 1.0), (0.4, 0.4), (0.0, 0.25), (1.0, 1.0)])
async def test_the_budget_reaches_the_encoder_and_what_was_spent_the_client(
    tmp_path: Path, asked: float | None, given: float
) -> None:
    async with ears(tmp_path, TinyBundle(dial=True, parameters={"least_budget": 0.25})) as listener:
        events = await listener.hear(compute_budget=asked)
        assert set(listener.client.budgets) == {given}
    assert finals(events)[0].spent == pytest.approx(given)
    stats = events[-1]
    assert isinstance(stats, SessionStats)
    assert stats.spent == pytest.approx(given)


async def test_a_model_without_a_dial_says_nothing_of_compute(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        events = await listener.hear(compute_budget=0.4, interim=True)
    assert {event.spent for event in events if isinstance(event, Final | Partial | SessionStats)} == {None}


@pytest.mark.parametrize("budget", [-0.1, 1.1, float("nan"), float("inf")])
def test_budgets_that_are_none(budget: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        SessionConfig(MODEL, compute_budget=budget)
    assert refused.value.field == "options.compute_budget"


async def test_many_sessions_at_once_hear_each_their_own(tmp_path: Path) -> None:
    said = [["one", "two"], ["three", "one", "four"], ["five"], ["two", "five", "two"]]
    audio = [np.concatenate((silence(0.5), tones(words), silence(1.0))).tobytes() for words in said]
    async with ears(tmp_path, TinyBundle(batching={"max_size": 8, "delay_ms": 1})) as listener:
        sessions = [listener.hear(audio[at % 4], max_alternatives=1 + at % 3) for at in range(24)]
        found = await asyncio.gather(*sessions)
    assert [texts(each) for each in found] == [[" ".join(said[at % 4])] for at in range(24)]


async def test_a_long_recording_lets_others_have_their_turn(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        recognizer = Recognizer(listener.engine, {"en": MODEL}, AsrSettings())
        recording = silence(60.0).tobytes()
        working = asyncio.create_task(recognizer.transcribe(SessionConfig(MODEL), recording))
        turns = 0
        while not working.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 60.0 / 0.24
        events, _ = await working
    assert {type(event) for event in events} == {Endpoint}


async def test_endless_noise_is_bounded(tmp_path: Path) -> None:
    loud = np.random.default_rng(1).choice([-LOUD, LOUD], 16_000 * 12).astype(np.int16)
    async with ears(tmp_path) as listener:
        endpointing = Endpointing(max_length=4.0, continuous=True)
        events = await listener.hear(loud.tobytes(), max_alternatives=4, endpointing=endpointing)
        assert len([event for event in events if isinstance(event, Endpoint)]) == 3
        assert listener.client.asked["tiny/tones.encoder@1"] < 12 / 0.16 + 10


async def test_a_model_that_gives_no_numbers_ends_its_stream_and_no_other(tmp_path: Path) -> None:
    async with ears(tmp_path, TinyBundle(poison=3)) as listener:
        with pytest.raises(Internal) as failed:
            await listener.hear()
        assert failed.value.reason == "MODEL_FAILED"


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("late"),
        Overloaded("full", retry_after=0.1),
        Unavailable("gone", reason="TRITON_UNAVAILABLE", retry_after=1.0),
        Internal("broken", reason="MODEL_FAILED"),
    ],
)
@pytest.mark.parametrize("part", ["encoder", "predictor", "joiner"])
async def test_what_fails_ends_the_stream_with_its_own_status(tmp_path: Path, error: AntiphonError, part: str) -> None:
    async with ears(tmp_path) as listener:
        session = listener.session()
        for at in range(0, len(AUDIO) // 2, 3_200):
            await session.feed(AUDIO[at : at + 3_200])
        listener.client.fail[f"tiny/tones.{part}@1"] = error
        with pytest.raises(type(error)) as raised:
            await heard(session, AUDIO[len(AUDIO) // 2 :])
        assert raised.value is error
        listener.client.fail.clear()
        assert texts(await listener.hear()) == [" ".join(SAID)]


async def test_provenance_follows_the_model_to_its_home(tmp_path: Path) -> None:
    async with ears(tmp_path) as listener:
        assert (listener.engine.name, listener.engine.backend(MODEL)) == ("transducer", "embedded")
        listener.client.home = "triton"
        assert listener.engine.backend(MODEL) == "triton"
        (model,) = listener.engine.models
        assert model.size_bytes > 1_000


@pytest.mark.parametrize(
    ("bundle", "key"),
    [
        (TinyBundle(symbols=("<blk>", "one", "two")), "logits"),
        (TinyBundle(parameters={"features": {"mel_bins": 80}}), "features"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "colour": 1}}), "colour"),
        (TinyBundle(parameters={"features": 7}), "features"),
        (TinyBundle(parameters={"lowercase": "no"}), "lowercase"),
        (TinyBundle(parameters={"features": {"mel_bins": True}}), "mel_bins"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "snip_edges": "no"}}), "snip_edges"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "low_hz": "20"}}), "low_hz"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "low_hz": math.nan}}), "bands"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "high_hz": 9000}}), "bands"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "low_hz": 4000, "high_hz": 300}}), "bands"),
        (TinyBundle(parameters={"features": {"mel_bins": 40, "rate_hz": 8000}}), "rate_hz"),
        (TinyBundle(parameters={"chunk_frames": 15}), "chunk_frames"),
        (TinyBundle(parameters={"chunk_frames": 10**9}), "chunk_frames"),
        (TinyBundle(parameters={"chunk_frames": None}), "chunk_frames"),
        (TinyBundle(parameters={"subsampling": 0}), "subsampling"),
        (TinyBundle(parameters={"subsampling": True}), "subsampling"),
        (TinyBundle(parameters={"symbols_per_frame": 99}), "symbols_per_frame"),
        (TinyBundle(parameters={"least_budget": 2}), "least_budget"),
        (TinyBundle(parameters={"blank_penalty": float("nan")}), "blank_penalty"),
        (TinyBundle(parameters={"encoder": 5}), "encoder"),
        (TinyBundle(parameters={"encoder": "tiny/tones.predictor@1"}), "features"),
        (TinyBundle(parameters={"engine": "telepathy"}), "engine"),
        (TinyBundle(parameters={"graph": "perceptron"}), "graph"),
    ],
)
def test_bad_bundles_name_file_and_key(tmp_path: Path, bundle: TinyBundle, key: str) -> None:
    store = bundle.write(tmp_path)
    with pytest.raises(FailedPrecondition, match=key) as refused:
        read_model(store.get(MODEL), OnnxClient(store), AsrSettings())
    assert refused.value.reason == "MODEL_DEFINITION_INVALID"
    assert "yaml" in refused.value.message


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    store = TinyBundle(parameters={"joiner": "tiny/nowhere@1"}).write(tmp_path)
    with pytest.raises(FailedPrecondition, match="tiny/nowhere@1") as refused:
        read_model(store.get(MODEL), OnnxClient(store), AsrSettings())
    assert refused.value.reason == "MODEL_MISSING"


def test_tokens_that_are_not_those_signed_off(tmp_path: Path) -> None:
    store = TinyBundle().write(tmp_path)
    (tmp_path / "tokens.txt").write_text("<blk> 0\n")
    with pytest.raises(FailedPrecondition, match=r"tokens\.txt") as refused:
        read_model(store.get(MODEL), OnnxClient(store), AsrSettings())
    assert refused.value.reason == "MODEL_DIGEST_MISMATCH"


async def test_a_graph_that_is_none_fails_at_the_start(tmp_path: Path) -> None:
    store = TinyBundle().write(tmp_path)
    (tmp_path / "encoder" / "model.onnx").write_bytes(b"not a graph")
    client = OnnxClient(store)
    engine = NeuralEngine([read_model(store.get(MODEL), client, AsrSettings())], client)
    with pytest.raises(FailedPrecondition):
        await engine.start()
    await engine.close()


def test_one_pool_one_engine(tmp_path: Path) -> None:
    neural = TinyBundle().write(tmp_path / "neural").get(MODEL)
    other = TinyBundle(parameters={"engine": "pocketsphinx"}).write(tmp_path / "other").get(MODEL)
    assert engine_of([neural, neural]) == "transducer"
    with pytest.raises(FailedPrecondition) as refused:
        engine_of([neural, replace(other, name="other")])
    assert refused.value.reason == "ENGINES_MIXED"
