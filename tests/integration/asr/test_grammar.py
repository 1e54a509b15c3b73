"""Phrases of skills shape what the service hears: over a real channel, with models built in their process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.asr.v1 import recognition_pb2_grpc as pb_grpc
from antiphon.types.v1 import speech_pb2, value_pb2
from services.asr.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fixtures.synthetic_speech import spoken
from tests.integration.asr.test_service import END, PCM_16K, audio, continuous, finals, reason, run, seconds

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Stub = pb_grpc.SpeechRecognitionServiceStub
Request = pb.StreamingRecognizeRequest
ORDER = "a large mocha with two shots of vanilla"
TIMER = "set a timer for twenty five minutes"


def phrases(*texts: str) -> list[speech_pb2.GrammarPhrase]:
    return [speech_pb2.GrammarPhrase(text=text) for text in texts]


def a_class(name: str, *entries: str, value_type: str = "UNSPECIFIED") -> speech_pb2.GrammarClass:
    kind = value_pb2.ValueType.Value(f"VALUE_TYPE_{value_type}")
    return speech_pb2.GrammarClass(name=name, entries=phrases(*entries), value_type=kind)


def coffee(share: float | None = None, *extra: str) -> speech_pb2.PhraseGrammar:
    return speech_pb2.PhraseGrammar(
        phrases=phrases("a {size} {drink}", "a {size} {drink} with {count} shots of {syrup}", *extra),
        classes=[
            a_class("size", "small", "medium", "large"),
            a_class("drink", "mocha", "latte", "cappuccino", "americano", "espresso"),
            a_class("count", "one", "two", "three"),
            a_class("syrup", "vanilla", "caramel", "hazelnut"),
        ],
        share=share,
    )


def home() -> speech_pb2.PhraseGrammar:
    return speech_pb2.PhraseGrammar(
        phrases=phrases("set a timer for {duration}", "turn on the {device}", "add {item} to my list"),
        classes=[
            a_class("duration", value_type="DURATION"),
            a_class("device", "floor lamp", "ceiling light"),
            a_class("item", value_type="TEXT"),
        ],
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[grpc.aio.Channel]:
    cache = str(tmp_path_factory.mktemp("grammars"))
    async with service(workers=1, grammar_cache=cache, grammar_wait=30.0) as channel:
        yield channel


def service(**settings: object) -> Service:
    return Service(PoolSettings(name="asr", capability="asr", settings=settings))


class Service:
    """The recognition service on a channel of its own."""

    def __init__(self, pool: PoolSettings) -> None:
        self._platform = GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"asr": SPEC})

    async def __aenter__(self) -> grpc.aio.Channel:
        await self._platform.__aenter__()
        self._channel = grpc.aio.insecure_channel(self._platform.target)
        return await self._channel.__aenter__()

    async def __aexit__(self, *details: object) -> None:
        await self._channel.close()
        await self._platform.__aexit__(*details)  # type: ignore[arg-type]


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


def config(grammar: speech_pb2.PhraseGrammar | None, **options: object) -> Request:
    asked = pb.RecognitionConfig(
        format=PCM_16K,
        language_codes=["en-US"],
        options=pb.RecognitionOptions(grammar=grammar, **options),  # type: ignore[arg-type]
    )
    return Request(config=pb.StreamingRecognitionConfig(config=asked))


async def heard(
    stub: Stub, grammar: speech_pb2.PhraseGrammar | None, *texts: str
) -> tuple[list[str], list[speech_pb2.GrammarReport]]:
    audios = [message for text in texts for message in audio(spoken(text))]
    responses = await run(stub, [config(grammar, endpointing=continuous()), *audios, END])
    return best(responses), reports(responses)


def best(responses: Iterable[pb.StreamingRecognizeResponse]) -> list[str]:
    return [result.alternatives[0].spoken_text for result in finals(responses)]


def reports(responses: Iterable[pb.StreamingRecognizeResponse]) -> list[speech_pb2.GrammarReport]:
    return [response.grammar_report for response in responses if response.HasField("grammar_report")]


async def test_phrases_make_a_domain_heard_that_was_not(stub: Stub) -> None:
    without, none = await heard(stub, None, ORDER)
    assert none == []
    assert without != [ORDER]
    texts, (report,) = await heard(stub, coffee(), ORDER)
    assert texts == [ORDER]
    assert report.accepted_count == 2
    assert list(report.unmatched) == []
    assert seconds(report.build_time) > 0
    assert len(bytes.fromhex(report.digest)) == 32


async def test_the_same_phrases_are_built_once(stub: Stub) -> None:
    asked = coffee(None, "an order that comes only here")
    both = await asyncio.gather(heard(stub, asked, ORDER), heard(stub, asked, ORDER))
    assert [texts for texts, _ in both] == [[ORDER], [ORDER]]
    first, second = (report for _, (report,) in both)
    assert first == second
    _, (again,) = await heard(stub, asked, ORDER)
    assert again.digest == first.digest
    assert seconds(again.build_time) == 0 < seconds(first.build_time)


async def test_the_model_s_own_commands_are_still_heard(stub: Stub) -> None:
    wanted = ["what time is it in tokyo", "what is twelve times nine", ORDER]
    assert (await heard(stub, coffee(), *wanted))[0] == wanted


async def test_types_bring_their_spoken_forms_and_free_text_its_words(stub: Stub) -> None:
    wanted = [TIMER, "turn on the floor lamp", "add chocolate to my list"]
    *typed, free = (await heard(stub, home(), *wanted))[0]
    assert typed == wanted[:2]
    words = free.split()  # which general word it is, a synthetic voice does not make sure
    assert (words[0], words[-3:]) == ("add", ["to", "my", "list"])
    assert len(words) > 4


async def test_nothing_but_the_phrases(stub: Stub) -> None:
    texts, _ = await heard(stub, coffee(1.0), ORDER, "what time is it in tokyo")
    assert texts[0] == ORDER
    said = {"a", "with", "shots", "of", "small", "medium", "large", "mocha", "latte", "cappuccino", "americano"}
    said |= {"espresso", "one", "two", "three", "vanilla", "caramel", "hazelnut"}
    assert set(" ".join(texts).split()) <= said


async def test_phrases_alone_give_many_guesses(stub: Stub) -> None:
    asked = config(coffee(1.0), endpointing=continuous(), max_alternatives=10, words=True)
    responses = await run(stub, [asked, *audio(spoken(ORDER)), END])
    (final,) = finals(responses)
    guesses = [each.spoken_text for each in final.alternatives]
    assert guesses[0] == ORDER
    assert 5 <= len(guesses) == len(set(guesses))
    assert [word.text for word in final.alternatives[0].words] == ORDER.split()


async def test_sessions_with_and_without_phrases_do_not_mix(stub: Stub) -> None:
    wanted = [ORDER, TIMER, "what time is it in tokyo"]
    grammars = [coffee(), home(), None]
    got = await asyncio.gather(
        *(heard(stub, grammar, text, text) for grammar, text in zip(grammars, wanted, strict=True))
    )
    assert [texts for texts, _ in got] == [[text, text] for text in wanted]


async def test_what_cannot_be_heard_is_reported(stub: Stub) -> None:
    asked = coffee(None, "a {shape} cup", "a {size", "", "a " * 150, "price 5 $", "{nothing}")
    asked.classes.append(a_class("nothing"))
    asked.classes.append(a_class("odd", "{size}", "fine"))
    _, (report,) = await heard(stub, asked, ORDER)
    assert report.accepted_count == 2
    assert [(each.text[:10], each.reason) for each in report.unmatched] == [
        ("{size}", "SLOT_IN_ENTRY"),
        ("a {shape} ", "UNKNOWN_CLASS"),
        ("a {size", "MALFORMED_SLOT"),
        ("", "NO_WORDS"),
        ("a a a a a ", "TOO_LONG"),
        ("price 5 $", "OUT_OF_VOCABULARY"),
        ("{nothing}", "EMPTY_CLASS"),
    ]
    assert list(report.unmatched[5].words) == ["5"]


async def test_a_recording_with_phrases(stub: Stub) -> None:
    asked = config(coffee(None, "only in a recording")).config.config
    response = await stub.Recognize(pb.RecognizeRequest(config=asked, audio=spoken(ORDER).tobytes()))
    assert [result.alternatives[0].spoken_text for result in response.results] == [ORDER]
    assert response.grammar_report.accepted_count == 3


async def test_no_phrase_can_be_heard(stub: Stub) -> None:
    nonsense = speech_pb2.PhraseGrammar(phrases=phrases("12345"))
    texts, (report,) = await heard(stub, nonsense, "what time is it in tokyo")
    assert texts == ["what time is it in tokyo"]
    assert (report.accepted_count, report.unmatched[0].reason) == (0, "OUT_OF_VOCABULARY")
    nonsense.share = 1.0
    asked = pb.RecognizeRequest(config=config(nonsense).config.config, audio=spoken(ORDER).tobytes())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recognize(asked)
    assert (caught.value.code().name, reason(caught.value)) == ("INVALID_ARGUMENT", "GRAMMAR_UNUSABLE")


GRAMMAR = speech_pb2.PhraseGrammar
BAD: list[tuple[str, speech_pb2.PhraseGrammar]] = [
    ("GRAMMAR_EMPTY", GRAMMAR()),
    ("GRAMMAR_TOO_LARGE", GRAMMAR(phrases=phrases(*["a"] * 10_001))),
    ("GRAMMAR_TOO_LARGE", GRAMMAR(phrases=phrases("a"), classes=[a_class(f"{n}") for n in range(501)])),
    ("GRAMMAR_TOO_LARGE", GRAMMAR(phrases=phrases("a"), classes=[a_class("b", *["c"] * 10_001)])),
    ("SHARE_OUT_OF_RANGE", coffee(0.0)),
    ("SHARE_OUT_OF_RANGE", coffee(1.5)),
    ("SHARE_OUT_OF_RANGE", coffee(float("nan"))),
    ("CLASS_REPEATED", GRAMMAR(phrases=phrases("a"), classes=[a_class("b"), a_class("b")])),
    ("CLASS_NAME_INVALID", GRAMMAR(phrases=phrases("a"), classes=[a_class("")])),
    ("CLASS_NAME_INVALID", GRAMMAR(phrases=phrases("a"), classes=[a_class("b" * 65)])),
    ("WEIGHT_OUT_OF_RANGE", GRAMMAR(phrases=[speech_pb2.GrammarPhrase(text="a", weight=-1)])),
    ("VALUE_TYPE_UNKNOWN", GRAMMAR(phrases=phrases("a"), classes=[
        speech_pb2.GrammarClass(name="b", value_type=99)])),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("why", "grammar"), BAD, ids=[f"{at}-{why}" for at, (why, _) in enumerate(BAD)])
async def test_bad_grammars(stub: Stub, why: str, grammar: speech_pb2.PhraseGrammar) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(stub, [config(grammar)], close=False)
    assert (caught.value.code().name, reason(caught.value)) == ("INVALID_ARGUMENT", why)


async def test_a_slow_build_costs_no_audio(tmp_path: Path) -> None:
    async with service(workers=1, grammar_wait=0.0, grammar_cache=str(tmp_path)) as channel:
        stub = Stub(channel)
        call = stub.StreamingRecognize()
        responses: list[pb.StreamingRecognizeResponse] = []

        async def read() -> None:
            while isinstance(response := await call.read(), pb.StreamingRecognizeResponse):
                responses.append(response)

        reading = asyncio.create_task(read())
        first = "what time is it in tokyo"
        for message in [config(coffee(), endpointing=continuous()), *audio(spoken(first))]:
            await call.write(message)
        async with asyncio.timeout(20):
            while not reports(responses):
                await call.write(Request(audio=bytes(3_200)))
                await asyncio.sleep(0.05)
        for message in [*audio(spoken(ORDER)), END]:
            await call.write(message)
        await asyncio.wait_for(reading, 20)
        assert best(responses) == [first, ORDER]
    async with service(workers=1, grammar_cache=str(tmp_path)) as channel:
        _, (report,) = await heard(Stub(channel), coffee(), ORDER)
        assert seconds(report.build_time) == 0
