"""Right answers to a hundred questions in each of five languages, spoken and typed.

    python -m benchmarks questions [--languages en,de,es,fr,it] [--typed] [--limit N] [--failures] [--json FILE]

The questions are in `benchmarks/data/questions.yaml`. Spoken, they are said by espeak-ng: figures of a synthetic
voice, which say nothing of people. Right is a turn whose winner is the intent asked for and whose answer holds what it
must. Typed, they do without recognition: what is lost between the two is the recogniser's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import Assistant, TtsClient
from antiphon.conversation import Item
from antiphon.errors import AntiphonApiError
from antiphon.recordings import Recording, linear16
from antiphon.types.v1 import context_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings

QUESTIONS = Path(__file__).parent / "data" / "questions.yaml"
LANGUAGES = ("en", "de", "es", "fr", "it")
RATE_HZ = 16_000
LEAD_S, TAIL_S = 0.4, 1.5
PACE = 4.0
"""How much faster than spoken the audio is sent: endpoints are in audio time, and a hundred questions are long."""


@dataclass(frozen=True)
class Question:
    """What is asked in one language, and what is right.

    Attributes:
        before: what is said first on the same stream; empty if nothing.
    """

    text: str
    intents: frozenset[str]
    answer: re.Pattern[str]
    before: str = ""


@dataclass(frozen=True)
class Asked:
    """How one question went. `heard` is the transcript, `intent` the winner's."""

    question: Question
    heard: str
    intent: str
    answer: str

    @property
    def understood(self) -> bool:
        """The right intent won."""
        return self.intent in self.question.intents

    @property
    def right(self) -> bool:
        """And its answer holds what it must."""
        return self.understood and self.question.answer.search(self.answer) is not None

    @property
    def heard_right(self) -> bool:
        """Word for word, writing apart."""
        return words(self.heard) == words(self.question.text)


def words(text: str) -> list[str]:
    """Words as compared: without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("ß", "ss").replace("œ", "oe"))
    return re.findall(r"[^\W_]+", "".join(sign for sign in plain if not unicodedata.combining(sign)))


def read(language: str) -> list[Question]:
    """The questions in a language."""
    table: list[dict[str, Any]] = yaml.safe_load(QUESTIONS.read_text(encoding="utf-8"))
    found = []
    for before, entry in zip([{}, *table], table, strict=False):
        intents = frozenset({entry["intent"], *entry.get("any", ())})
        pattern = re.compile(entry["answer"], re.IGNORECASE)
        found.append(Question(entry[language], intents, pattern, before[language] if entry.get("follows") else ""))
    return found


async def ask(assistant: Assistant, voice: TtsClient | None, question: Question, language: str) -> Asked:
    """Asks one question on a stream of its own; without a voice it is typed."""
    config = assistant_pb2.ConverseConfig(language_codes=[language], continuous=True)
    config.context.time_zone = "Europe/Vienna"
    config.context.device.device_id = config.context.user_id = "benchmark"
    if voice is not None:
        config.input_format.CopyFrom(linear16(RATE_HZ))
        config.context.client.MergeFrom(context_pb2.ClientCapabilities(follow_up=True))
    texts = [text for text in (question.before, question.text) if text]
    done = asyncio.Event()
    heard = intent = ""
    answer: list[str] = []
    asked = Asked(question, "", "", "")
    try:
        async for event in assistant.converse(_said(texts, voice, language, done), config=config):
            match event.WhichOneof("event"):
                case "turn_started":
                    heard, intent, answer = "", "", []
                case "transcript" if event.transcript.is_final and event.transcript.alternatives:
                    heard = event.transcript.alternatives[0].spoken_text
                case "decision" if event.decision.HasField("winner_index"):
                    intent = event.decision.candidates[event.decision.winner_index].interpretation.intent
                case "answer_text":
                    answer.append(event.answer_text.text)
                case "turn_completed":
                    # The silence behind a question opens a turn of its own, in which nothing is said.
                    if event.turn_completed.status != assistant_pb2.TURN_STATUS_REJECTED:
                        asked = Asked(question, heard or ("" if voice else question.text), intent, "".join(answer))
                    done.set()
    except AntiphonApiError as error:
        return replace(asked, answer=f"<{error.reason}>")
    return asked


async def _said(texts: list[str], voice: TtsClient | None, language: str, done: asyncio.Event) -> AsyncIterator[Item]:
    """One after another, each after the answer to the one before."""
    for text in texts:
        done.clear()
        if voice is None:
            yield text
        else:
            said = await voice.synthesize(text, language_code=language, sample_rate_hertz=RATE_HZ)
            quiet = bytes(2 * int(LEAD_S * RATE_HZ))
            recording = Recording(quiet + said.audio, RATE_HZ).with_silence(TAIL_S)
            for chunk in recording.chunks():
                if done.is_set():
                    break
                yield chunk
                await asyncio.sleep(len(chunk) / 2 / RATE_HZ / PACE)
        await asyncio.wait_for(done.wait(), 20.0)


async def measure(target: str, languages: Sequence[str], typed: bool, limit: int) -> dict[str, list[Asked]]:
    """All questions, one after another."""
    results: dict[str, list[Asked]] = {}
    async with Assistant(target) as assistant, TtsClient(target) as voice:
        for language in languages:
            asked = results[language] = []
            for question in read(language)[: limit or None]:
                try:
                    asked.append(await ask(assistant, None if typed else voice, question, language))
                except TimeoutError:
                    asked.append(Asked(question, "", "", "<no end of the turn>"))
                print(f"\r{language}: {len(asked)}", end="", flush=True)
            print("\r", end="")
    return results


def report(results: dict[str, list[Asked]], typed: bool, failures: bool) -> dict[str, Any]:
    """Prints a line for each language, and what went wrong if it is asked for."""
    how = "typed" if typed else "spoken by espeak-ng (synthetic)"
    print(f"\nright answers, {how}")
    table: dict[str, Any] = {}
    for language, asked in results.items():
        row = {
            "questions": len(asked),
            "heard": sum(each.heard_right for each in asked),
            "understood": sum(each.understood for each in asked),
            "right": sum(each.right for each in asked),
        }
        table[language] = row
        heard = "" if typed else f"{row['heard']:4} heard word for word, "
        print(f"  {language}: {row['right']:4} of {row['questions']} right ({heard}{row['understood']} understood)")
        for each in asked if failures else ():
            if not each.right:
                wanted = "/".join(sorted(each.question.intents))
                won = f"{each.intent or '-'} for {wanted}"
                print(f"      {each.question.text!r} heard {each.heard!r}: {won}: {each.answer!r}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 0 unless nothing could be asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--typed", action="store_true", help="without recognition")
    parser.add_argument("--limit", type=int, default=0, help="only the first N")
    parser.add_argument("--failures", action="store_true", help="print what went wrong")
    parser.add_argument("--target", default="", help="a running platform; without one is started")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    languages = [name for name in options.languages.split(",") if name]
    if options.target:
        results = asyncio.run(measure(options.target, languages, options.typed, options.limit))
    else:
        with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), CAPABILITIES) as platform:
            results = asyncio.run(measure(platform.target, languages, options.typed, options.limit))
    table = report(results, options.typed, options.failures)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
