"""`antiphon transcribe`, `understand`, `say` and `voices`: one capability at a time."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from antiphon.asr.v1 import recognition_pb2
from antiphon.client import AsrClient, NluClient, TtsClient
from antiphon.commands.options import FAILED, OK, as_json, connect, session_context
from antiphon.nlu.v1 import understanding_pb2
from antiphon.recordings import Recording, read_wav, write_wav
from antiphon.rendering import milliseconds
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import audio_pb2, context_pb2


def add_transcribe(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="WAV (16 bit PCM, 8 to 48 kHz) or FLAC, at most 60 s")
    parser.add_argument("--locale", default="en", help="language as a BCP-47 tag (default: en)")
    parser.add_argument("--words", action="store_true", help="also each word with its time")
    parser.add_argument("--alternatives", type=int, default=1, metavar="N", help="guesses for each utterance, 1 to 30")
    parser.set_defaults(run=transcribe)


async def transcribe(options: argparse.Namespace) -> int:
    """Prints what is said in a recording; 1 if nothing was heard."""
    how = recognition_pb2.RecognitionOptions(max_alternatives=options.alternatives, words=options.words)
    async with connect(AsrClient, options) as client:
        if options.file.suffix.lower() == ".flac":
            content = await asyncio.to_thread(options.file.read_bytes)
            flac = audio_pb2.AUDIO_ENCODING_FLAC
            answer = await client.recognize_file(content, flac, language_codes=[options.locale], options=how)
        else:
            recording = await asyncio.to_thread(read_wav, options.file)
            answer = await client.recognize(recording, language_codes=[options.locale], options=how)
    if options.json:
        print(as_json(answer))
        return OK if answer.results else FAILED
    for result in answer.results:
        for alternative in result.alternatives:
            sure = f"  ({alternative.confidence:.2f})" if alternative.HasField("confidence") else ""
            print(f"{alternative.display_text or alternative.spoken_text}{sure}")
            for word in alternative.words:
                print(
                    f"  {milliseconds(word.start_offset):7.0f} to {milliseconds(word.end_offset):7.0f} ms  {word.text}"
                )
    return OK if answer.results else FAILED


def add_understand(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("text", help="what somebody might say")
    parser.add_argument("--locale", default="en", help="language as a BCP-47 tag (default: en)")
    parser.add_argument("--readings", type=int, default=0, metavar="N", help="most readings, 1 to 50 (default: 5)")
    parser.set_defaults(run=understand)


async def understand(options: argparse.Namespace) -> int:
    """Prints the readings of a text, best first."""
    context = context_pb2.TurnContext(session=session_context(options.locale))
    how = understanding_pb2.UnderstandingOptions(max_interpretations=options.readings)
    async with connect(NluClient, options) as client:
        answer = await client.interpret(options.text, language_code=options.locale, context=context, options=how)
    if options.json:
        print(as_json(answer))
        return OK
    for reading in answer.interpretations:
        print(f"{reading.score:.2f}  {reading.intent or 'out of scope'}")
        for slot in reading.slots:
            value = as_json(slot.value)
            print(f"      {slot.name} = {value}" + (f'  from "{slot.text}"' if slot.text else ""))
    return OK


def add_say(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("text", help="what to say")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="WAV", help="file to write")
    parser.add_argument("--locale", default="en", help="language as a BCP-47 tag (default: en)")
    parser.add_argument("--voice", default="", help="a name that `antiphon voices` gives")
    parser.add_argument("--rate", type=float, metavar="FACTOR", help="speed, 0.5 to 2")
    parser.add_argument("--pitch", type=float, metavar="SEMITONES", help="pitch, -12 to 12")
    parser.add_argument("--sample-rate", type=int, default=22050, metavar="HZ", help="8000 to 48000 (default: 22050)")
    parser.set_defaults(run=say)


async def say(options: argparse.Namespace) -> int:
    """Says a text into a WAV file."""
    how = synthesis_pb2.SynthesisOptions(voice=options.voice)
    if options.rate is not None:
        how.prosody.rate = options.rate
    if options.pitch is not None:
        how.prosody.pitch_semitones = options.pitch
    async with connect(TtsClient, options) as client:
        answer = await client.synthesize(
            options.text, language_code=options.locale, sample_rate_hertz=options.sample_rate, options=how
        )
    recording = Recording(answer.audio, answer.format.sample_rate_hertz or options.sample_rate)
    await asyncio.to_thread(write_wav, options.out, recording)
    if options.json:
        answer.ClearField("audio")  # it is in the file
        print(as_json(answer))
    else:
        print(f"{options.out}: {recording.duration_s:.2f} s, voice {answer.stats.voice}")
    return OK


def add_voices(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("--locale", default="", help="only voices for this language")
    parser.set_defaults(run=voices)


async def voices(options: argparse.Namespace) -> int:
    """Prints the voices, one a line; 1 if there is none."""
    async with connect(TtsClient, options) as client:
        found = await client.voices(options.locale)
    for voice in found:
        if options.json:
            print(as_json(voice))
        else:
            print(f"{voice.name:<24} {', '.join(voice.language_codes)}")
    return OK if found else FAILED
