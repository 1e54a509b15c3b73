"""A conversation over streams that break: what is sent again, what is not, and when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.conversation import MAX_CHUNK_BYTES, Conversation, Item, Outbox
from antiphon.errors import AntiphonApiError
from antiphon.recordings import linear16
from antiphon.retries import RetryPolicy
from antiphon.types.v1 import session_pb2
from tests.fakes.converse_transport import Leg, ScriptedTransport, chunks

pytestmark = pytest.mark.unit

AUDIO = bytes(range(256)) * 250  # 64,000 bytes: two seconds at 16 kHz
QUICK = RetryPolicy(first_delay_s=0.001)


def lost() -> AntiphonApiError:
    return AntiphonApiError(grpc.StatusCode.INTERNAL, "gone", lost=True)


def refused(retryable: bool = True) -> AntiphonApiError:
    return AntiphonApiError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="OVERLOADED", retryable=retryable, retry_after=0.001
    )


def audible() -> assistant_pb2.ConverseConfig:
    return assistant_pb2.ConverseConfig(input_format=linear16(16000), language_codes=["en"])


async def run(
    transport: ScriptedTransport, source: AsyncIterator[Item] | None = None, retry: RetryPolicy = QUICK
) -> list[assistant_pb2.ConverseResponse]:
    source = chunks(AUDIO, 3200) if source is None else source
    return [event async for event in Conversation(transport.open, audible(), source, retry).events()]


async def test_audio_goes_out_in_order_and_ends_in_band() -> None:
    transport = ScriptedTransport([Leg()])
    events = await run(transport)
    assert transport.audio == [AUDIO]
    assert transport.others == [["end"]]
    assert events[-1].turn_completed.answer == "done"
    assert transport.configs[0].idempotency_key


async def test_a_lost_replica_is_resumed_with_what_is_not_confirmed() -> None:
    transport = ScriptedTransport([Leg(hears=9600, failure=lost()), Leg(resume_at_s=0.3)])
    events = await run(transport)
    assert transport.configs[1].resume_token == "token-1"
    assert transport.configs[1].idempotency_key == transport.configs[0].idempotency_key
    assert transport.configs[1].last_sequence_number == 4, "started and three times acknowledged"
    assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
    assert transport.audio[1] == AUDIO[9600:]
    assert transport.others[1] == ["end"]


async def test_a_server_that_names_no_offset_gets_what_it_has_not_confirmed() -> None:
    transport = ScriptedTransport([Leg(hears=9600, failure=lost()), Leg(resume_at_s=None)])
    await run(transport)
    assert transport.audio[1] == AUDIO[9600:]


async def test_a_chunk_that_is_held_in_part_is_sent_from_there_on() -> None:
    transport = ScriptedTransport([Leg(hears=9600, confirms=False, failure=lost()), Leg(resume_at_s=0.125)])
    await run(transport)
    assert transport.audio[1] == AUDIO[4000:]


async def test_without_a_token_it_begins_anew_while_nothing_is_dropped() -> None:
    transport = ScriptedTransport([Leg(refusal=refused()), Leg(refusal=refused()), Leg()])
    await run(transport)
    assert transport.configs[2].resume_token == ""
    assert transport.audio[2] == AUDIO


async def test_a_refusal_that_does_not_ask_for_a_retry_is_final() -> None:
    transport = ScriptedTransport([Leg(refusal=refused(retryable=False))])
    with pytest.raises(AntiphonApiError, match="OVERLOADED"):
        await run(transport)
    assert len(transport.configs) == 1


async def test_a_replica_lost_twice_without_news_is_given_up() -> None:
    transport = ScriptedTransport([Leg(hears=3200, failure=lost()), Leg(hears=0, failure=lost(), resume_at_s=0.1)])
    with pytest.raises(AntiphonApiError, match="gone"):
        await run(transport)
    assert len(transport.configs) == 2


async def test_an_announced_end_is_followed_at_once() -> None:
    ending = session_pb2.SessionEnding(reason=session_pb2.SESSION_ENDING_REASON_DRAINING, resume_token="new")
    failure = AntiphonApiError(grpc.StatusCode.UNAVAILABLE, "draining", reason="DRAINING", retryable=True)
    transport = ScriptedTransport([Leg(hears=32000, ending=ending, failure=failure), Leg(resume_at_s=1.0)])
    await run(transport)
    assert transport.configs[1].resume_token == "new"
    assert transport.audio[1] == AUDIO[32000:]


async def test_idle_is_not_followed() -> None:
    ending = session_pb2.SessionEnding(reason=session_pb2.SESSION_ENDING_REASON_IDLE, resume_token="new")
    failure = AntiphonApiError(grpc.StatusCode.DEADLINE_EXCEEDED, "idle", reason="SESSION_IDLE")
    transport = ScriptedTransport([Leg(hears=32000, ending=ending, failure=failure)])
    with pytest.raises(AntiphonApiError, match="idle"):
        await run(transport)


async def test_events_that_are_repeated_after_a_resume_are_seen_once() -> None:
    transport = ScriptedTransport([Leg(hears=9600, failure=lost()), Leg(resume_at_s=0.3)])
    seen: list[int] = []
    async for event in Conversation(transport.open, audible(), chunks(AUDIO, 3200), QUICK).events():
        if len(seen) == 3:
            transport.sequence = 1  # the second stream repeats from the second event on
        seen.append(event.sequence_number)
    assert seen == sorted(set(seen))


async def test_a_typed_turn_gets_a_key_and_is_repeated_until_it_is_answered() -> None:
    async def source() -> AsyncIterator[Item]:
        yield "what time is it"

    transport = ScriptedTransport([Leg(refusal=lost()), Leg()])
    await run(transport, source())
    assert transport.others == [[], ["text", "end"]]


async def test_what_the_source_raises_reaches_the_caller() -> None:
    async def broken() -> AsyncIterator[Item]:
        yield AUDIO[:3200]
        raise OSError("the microphone is gone")

    with pytest.raises(OSError, match="microphone"):
        await run(ScriptedTransport([Leg()]), broken())


async def test_a_piece_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="15360"):
        await run(ScriptedTransport([Leg()]), chunks(bytes(MAX_CHUNK_BYTES + 2), MAX_CHUNK_BYTES + 2))


async def test_closing_the_events_stops_the_source() -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[Item]:
        try:
            while True:
                await asyncio.sleep(0)
                yield AUDIO[:3200]
        finally:
            stopped.set()

    events = Conversation(ScriptedTransport([Leg()]).open, audible(), endless(), QUICK).events()
    assert (await anext(events)).HasField("session_started")
    assert (await anext(events)).HasField("audio_acknowledged")
    await events.aclose()
    assert stopped.is_set()


AUDIO_MESSAGE = assistant_pb2.ConverseRequest(audio=AUDIO[:3200])


async def test_audio_that_cannot_be_sent_holds_the_source_up() -> None:
    outbox = Outbox(bytes_per_second=32000, ahead=6400)
    await outbox.put(AUDIO_MESSAGE)
    await outbox.put(AUDIO_MESSAGE)
    third = asyncio.ensure_future(outbox.put(AUDIO_MESSAGE))
    await asyncio.sleep(0.01)
    assert not third.done()
    reading = outbox.read(0)
    await anext(reading)
    await asyncio.wait_for(third, 1.0)


async def test_what_is_confirmed_is_not_kept() -> None:
    outbox = Outbox(bytes_per_second=32000)
    for _ in range(3):
        await outbox.put(AUDIO_MESSAGE)
    outbox.confirm(0.15)
    assert outbox.kept_bytes == 6400, "the second piece is confirmed in part only"
    outbox.confirm(0.3)
    assert outbox.kept_bytes == 0


async def test_the_oldest_is_forgotten_when_nobody_confirms_and_then_cannot_be_sent_again() -> None:
    outbox = Outbox(bytes_per_second=32000, limit=6400)
    for _ in range(10):
        await outbox.put(AUDIO_MESSAGE)
    outbox.close()
    assert b"".join([request.audio async for request in outbox.read(0)]) == AUDIO[:3200] * 10
    assert outbox.kept_bytes == 6400
    assert b"".join([request.audio async for request in outbox.read(25600)]) == AUDIO[:3200] * 2
    with pytest.raises(AntiphonApiError, match="AUDIO_FORGOTTEN"):
        _ = [request async for request in outbox.read(9600)]


async def test_a_replica_that_is_being_replaced_is_waited_for() -> None:
    absent = AntiphonApiError(
        grpc.StatusCode.UNAVAILABLE, "none", reason="NO_REPLICA", retryable=True, retry_after=0.001
    )
    transport = ScriptedTransport(
        [Leg(hears=3200, failure=lost()), *(Leg(refusal=absent) for _ in range(8)), Leg(resume_at_s=0.1)]
    )
    await run(transport)
    assert transport.audio[-1] == AUDIO[3200:]
    transport = ScriptedTransport([Leg(hears=3200, failure=lost()), *(Leg(refusal=absent) for _ in range(8))])
    with pytest.raises(AntiphonApiError, match="NO_REPLICA"):
        await run(transport, retry=RetryPolicy(first_delay_s=0.001, patience_s=0.0))


async def test_a_control_is_kept_until_later_audio_is_confirmed() -> None:
    outbox = Outbox(bytes_per_second=32000)
    await outbox.put(assistant_pb2.ConverseRequest(audio=AUDIO[:3200]))
    await outbox.put(assistant_pb2.ConverseRequest(control=assistant_pb2.ConverseControl()))
    outbox.confirm(0.1)
    outbox.close()
    assert [r.WhichOneof("request") async for r in outbox.read(3200)] == ["control"]


async def test_audio_of_unknown_rate_is_never_confirmed() -> None:
    outbox = Outbox(bytes_per_second=0, frame_bytes=1)
    await outbox.put(AUDIO_MESSAGE)
    outbox.confirm(10.0)
    assert outbox.kept_bytes == 3200
    assert outbox.whole
