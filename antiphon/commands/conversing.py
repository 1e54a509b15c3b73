"""`antiphon converse`: a whole turn from a recording, a microphone or typed text, shown as it happens."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import ANSWER_RATE_HZ, Assistant
from antiphon.commands.options import FAILED, OK, as_json, connect, session_context
from antiphon.conversation import Item, Responses
from antiphon.microphone import CAPTURE_RATE_HZ, Microphone, ring_tone
from antiphon.recordings import Recording, linear16, paced, read_wav, write_wav
from antiphon.rendering import EventPrinter

TRAILING_SILENCE_S = 1.5
_ANSWERED = (assistant_pb2.TURN_STATUS_ANSWERED, assistant_pb2.TURN_STATUS_PROMPTED)


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, metavar="FILE", help="WAV file, 16 bit PCM, 8 to 48 kHz")
    source.add_argument("--mic", action="store_true", help="listen to the microphone, and play the answer")
    source.add_argument("--text", action="append", help="a typed turn; once more for each further one, as a dialogue")
    parser.add_argument("--out", type=Path, metavar="WAV", help="write the answer's audio here")
    parser.add_argument("--locale", default="en", help="language as a BCP-47 tag (default: en)")
    parser.add_argument(
        "--third-party-skills", action="store_true", help="let skills of third parties have what is said"
    )
    parser.add_argument("--keep-words", action="store_true", help="let what is said be kept; `explain` shows it then")
    parser.add_argument("--fast", action="store_true", help="send the recording at once, not at the pace of speech")
    parser.add_argument("--features", action="store_true", help="ask for everything that led to the decision")
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Runs one conversation; 0 if every turn was answered."""
    config = base_config(options.locale, audible=options.text is None or options.out is not None)
    config.context.consent.third_party_skills = options.third_party_skills
    config.context.consent.retain_text = options.keep_words
    if options.features:
        config.decision_detail = assistant_pb2.DECISION_DETAIL_FULL
    async with connect(Assistant, options) as assistant:
        if options.mic:
            return await _by_microphone(assistant, config, options)
        if options.text is not None:
            return await _by_keyboard(assistant, config, options)
        recording = read_wav(options.file)
        config.input_format.CopyFrom(recording.format)
        events = assistant.converse(spoken(recording, 0.0 if options.fast else 1.0), config=config)
        return await _follow(events, options)


def base_config(locale: str, audible: bool = True) -> assistant_pb2.ConverseConfig:
    """A conversation in that language from here; `audible` asks for spoken answers."""
    config = assistant_pb2.ConverseConfig(language_codes=[locale], context=session_context(locale))
    config.recognition.interim_results = True
    if audible:
        config.output_format.CopyFrom(linear16(ANSWER_RATE_HZ))
        config.context.client.output_formats.append(config.output_format)
    return config


async def spoken(recording: Recording, speed: float = 1.0) -> AsyncIterator[Item]:
    """The recording, with silence after it in which the end of speech can be heard."""
    async for chunk in paced(recording.with_silence(TRAILING_SILENCE_S), speed):
        yield chunk


async def _by_keyboard(assistant: Assistant, config: assistant_pb2.ConverseConfig, options: argparse.Namespace) -> int:
    if len(options.text) == 1:
        return await _follow(assistant.converse(options.text[0], config=config), options)
    config.continuous = True
    config.input_format.SetInParent()  # empty: no audio comes
    if options.out is None:
        config.output_format.SetInParent()
    ended = asyncio.Semaphore()
    return await _follow(assistant.converse(_one_by_one(options.text, ended), config=config), options, ended=ended)


async def _one_by_one(texts: Sequence[str], ended: asyncio.Semaphore) -> AsyncIterator[Item]:
    """Each text when the turn before it has ended, as `ended` tells; the end after the last one."""
    for text in texts:
        await ended.acquire()
        yield text
    await ended.acquire()


async def _by_microphone(
    assistant: Assistant, config: assistant_pb2.ConverseConfig, options: argparse.Namespace
) -> int:
    config.input_format.CopyFrom(linear16(CAPTURE_RATE_HZ))
    config.continuous = True
    config.context.client.directives.extend(("ring", "stop_ringing"))
    config.context.client.follow_up = True
    with Microphone(ANSWER_RATE_HZ) as microphone:
        if not options.json:
            print("listening; Ctrl-C ends it", flush=True)
        events = assistant.converse(microphone.chunks(), config=config)
        return await _follow(events, options, microphone=microphone)


async def _follow(
    events: Responses,
    options: argparse.Namespace,
    *,
    microphone: Microphone | None = None,
    ended: asyncio.Semaphore | None = None,
) -> int:
    reply = Reply()
    printer = EventPrinter()
    async for event in events:
        if options.json:
            print(as_json(event), flush=True)
        else:
            printer.show(event)
        reply.take(event)
        if microphone is not None:
            await _sound(event, microphone)
        if ended is not None and event.HasField("turn_completed"):
            ended.release()
    if options.out is not None:
        if not reply.audio:
            printer.line(f"the answer has no audio: {options.out} was not written")
        else:
            await asyncio.to_thread(write_wav, options.out, reply.recording)
            if not options.json:
                printer.line(f"written to {options.out}: {reply.recording.duration_s:.1f} s")
    return OK if reply.answered else FAILED


async def _sound(event: assistant_pb2.ConverseResponse, microphone: Microphone) -> None:
    kind = event.WhichOneof("event")
    if kind == "endpoint" and not event.endpoint.is_eager:
        microphone.muted = True
    elif kind == "answer_audio":
        await microphone.play(event.answer_audio.content)
    elif kind == "turn_completed":
        microphone.muted = False
    elif kind == "directive" and event.directive.HasField("ring"):
        await microphone.play(ring_tone(ANSWER_RATE_HZ))


class Reply:
    """What came back in a conversation."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.text = ""
        self.statuses: list[assistant_pb2.TurnStatus.ValueType] = []

    def take(self, event: assistant_pb2.ConverseResponse) -> None:
        """Adds an event."""
        kind = event.WhichOneof("event")
        if kind == "answer_audio":
            self.audio += event.answer_audio.content
        elif kind == "answer_text":
            self.text += event.answer_text.text
        elif kind == "turn_completed":
            self.statuses.append(event.turn_completed.status)

    @property
    def recording(self) -> Recording:
        """The answers' audio."""
        return Recording(bytes(self.audio), ANSWER_RATE_HZ)

    @property
    def answered(self) -> bool:
        """There was a turn, and every turn was answered."""
        return bool(self.statuses) and all(status in _ANSWERED for status in self.statuses)
