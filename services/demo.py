"""`make demo`: starts the platform on Ray Serve, runs one spoken turn through the front door, and stops it again.

Without a recording or a microphone it asks a question of its own, spoken by the platform's synthesis, and fails unless
intent and answer are right: CI runs exactly that. Exit codes: 0 answered (and right), 1 not, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from antiphon import microphone
from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import ANSWER_RATE_HZ, Assistant, TtsClient
from antiphon.commands.conversing import Reply, base_config, spoken
from antiphon.commands.options import as_json
from antiphon.conversation import Item
from antiphon.errors import AntiphonApiError
from antiphon.microphone import CAPTURE_RATE_HZ, Microphone, MicrophoneMissing
from antiphon.recordings import Recording, RecordingError, linear16, read_wav, write_wav
from antiphon.rendering import EventPrinter
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.errors import AntiphonError
from services.runtime.platform import PlatformSettings
from services.runtime.watchdog import marked
from services.stopping import Stop
from services.terminal import Terminal

QUESTION_RATE_HZ = 16000
INTENT = "clock.time"
ZONE = "Asia/Tokyo"
# The same question in each language, for the same answer.
QUESTIONS: Mapping[str, str] = {
    "en": "what time is it in Tokyo",
    "de": "wie spät ist es in Tokio",
    "es": "qué hora es en Tokio",
    "fr": "quelle heure est-il à Tokyo",
    "it": "che ore sono a Tokyo",
}
_CLOCK = re.compile(r"\b(\d{1,2})\s?[:.h]\s?(\d{2})\b(?:\s*([ap])\.?\s?m\b)?", re.IGNORECASE)


@dataclass
class Turn:
    """What the turn came to."""

    reply: Reply
    intent: str = ""
    ended: datetime | None = None

    def take(self, event: assistant_pb2.ConverseResponse) -> None:
        """Adds an event."""
        self.reply.take(event)
        kind = event.WhichOneof("event")
        if kind == "decision" and event.decision.HasField("winner_index"):
            self.intent = event.decision.candidates[event.decision.winner_index].interpretation.intent
        elif kind == "turn_completed":
            self.ended = datetime.now(UTC)

    def faults(self) -> list[str]:
        """What is wrong with the answer to the demo's own question; nothing if it is right."""
        found = []
        if self.intent != INTENT:
            found.append(f"the intent is '{self.intent}', not '{INTENT}'")
        if not tells_time(self.reply.text, ZoneInfo(ZONE), self.ended or datetime.now(UTC)):
            found.append(f"the answer does not tell the time in {ZONE}: '{self.reply.text}'")
        if not self.reply.audio:
            found.append("the answer was not spoken")
        return found


def tells_time(text: str, zone: ZoneInfo, now: datetime) -> bool:
    """True if `text` holds the time of day in `zone` at `now`, a minute more or less."""
    wanted = {(moment.hour, moment.minute) for moment in _around(now.astimezone(zone))}
    for hour, minute, half in _CLOCK.findall(text):
        read = int(hour) % 12 + (12 if half.lower() == "p" else 0) if half else int(hour)
        if (read, int(minute)) in wanted:
            return True
    return False


def _around(moment: datetime) -> list[datetime]:
    return [moment + timedelta(minutes=minutes) for minutes in (-1, 0, 1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns its exit code."""
    options = _parser().parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="antiphon-demo-") as name,
        Terminal(Path(name) / "platform.log") as terminal,
    ):
        try:
            return _run(options, Path(name), terminal)
        except (AntiphonError, AntiphonApiError) as error:
            terminal.say(f"demo: {error}")
            for line in terminal.tail():
                terminal.say(f"  | {line}")
            return 1
        except (RecordingError, MicrophoneMissing) as error:
            terminal.say(f"demo: {error}")
            return 2
        except OSError as error:
            terminal.say(f"demo: {error.filename or ''}: {error.strerror or error}")
            return 2
        except (asyncio.CancelledError, SystemExit):  # a signal, in the turn or while Ray starts
            terminal.say("demo: interrupted")
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make demo", description="One spoken turn on a platform of its own.")
    parser.add_argument("--wav", type=Path, metavar="FILE", help="ask with a recording (WAV, 16 bit PCM)")
    parser.add_argument("--microphone", action="store_true", help="ask with the microphone")
    parser.add_argument("--locale", default="en", help="language as a BCP-47 tag (default: en)", type=_locale)
    parser.add_argument("--out", type=Path, default=Path("reply.wav"), metavar="WAV", help="where the answer goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the events, one proto JSON a line")
    return parser


def _locale(text: str) -> str:
    return text.replace("_", "-")


def _language(options: argparse.Namespace) -> str:
    return str(options.locale).split("-", 1)[0].lower()


def _run(options: argparse.Namespace, folder: Path, terminal: Terminal) -> int:
    recording = read_wav(options.wav) if options.wav else None
    if options.microphone:
        microphone.check()
    elif recording is None and _language(options) not in QUESTIONS:
        raise RecordingError(f"the demo has no question of its own in '{options.locale}': give one with WAV=file")
    settings = PlatformSettings(
        port=0,
        pool_port=0,
        pools=DEFAULT_POOLS,
        telemetry_dir=str(folder / "telemetry"),
        trace_ratio=1.0,
    )
    (folder / "telemetry").mkdir()
    stop = Stop()
    stop.listen()
    with RayPlatform(settings, CAPABILITIES, terminal.progress, stop.is_asked) as platform:
        stop.listen()
        terminal.progress(f"serving on {platform.target}, engine ray")
        turn = asyncio.run(_converse(platform.target, recording, options, terminal))
        stop.listen()
        files = Path(platform.logs).parents[2]
        if not turn.reply.answered:
            for line in _errors(Path(platform.logs)):
                terminal.say(f"  | {line}")
    left = [f"process {process}" for process in marked(str(files))] + [str(files)] * files.exists()
    faults = turn.faults() if recording is None and not options.microphone else []
    faults += [f"left behind: {', '.join(left)}"] if left else []
    return _report(turn, faults, options, folder, terminal)


def _errors(logs: Path, most: int = 20) -> list[str]:
    """What the replicas wrote of errors, each with the lines that follow it up to the next entry."""
    found: list[str] = []
    for file in sorted(logs.glob("worker-*.err")):
        keep = False
        for line in file.read_text(errors="replace").splitlines():
            keep = "ERROR" in line or (keep and not line.startswith(("INFO", "WARNING", "DEBUG")))
            if keep:
                found.append(line)
    return found[-most:]


async def _converse(target: str, recording: Recording | None, options: argparse.Namespace, terminal: Terminal) -> Turn:
    """One conversation with the platform, shown as it happens."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    config = base_config(options.locale)
    if options.microphone:
        config.input_format.CopyFrom(linear16(CAPTURE_RATE_HZ))
        with Microphone(ANSWER_RATE_HZ) as device:
            terminal.progress("listening: ask something")
            return await _follow(target, device.chunks(), config, options, terminal)
    if recording is None:
        question = QUESTIONS[_language(options)]
        terminal.progress(f'asking, in the voice of espeak-ng: "{question}"')
        recording = await _spoken_question(target, question, options.locale)
    config.input_format.CopyFrom(recording.format)
    return await _follow(target, spoken(recording), config, options, terminal)


async def _spoken_question(target: str, question: str, locale: str) -> Recording:
    async with TtsClient(target) as client:
        answer = await client.synthesize(question, language_code=locale, sample_rate_hertz=QUESTION_RATE_HZ)
    return Recording(answer.audio, QUESTION_RATE_HZ)


async def _follow(
    target: str,
    source: AsyncIterator[Item],
    config: assistant_pb2.ConverseConfig,
    options: argparse.Namespace,
    terminal: Terminal,
) -> Turn:
    turn, printer, lines = Turn(Reply()), EventPrinter(terminal.stream), []
    async with Assistant(target) as assistant:
        async for event in assistant.converse(source, config=config):
            printer.show(event)
            turn.take(event)
            lines.append(as_json(event) + "\n")
    if options.json:
        await asyncio.to_thread(options.json.write_text, "".join(lines), encoding="utf-8")
    return turn


def _report(turn: Turn, faults: list[str], options: argparse.Namespace, folder: Path, terminal: Terminal) -> int:
    if turn.reply.audio:
        write_wav(options.out, turn.reply.recording)
        terminal.progress(f"the answer is in {options.out}: {turn.reply.recording.duration_s:.1f} s")
    spans = sum(len(file.read_text().splitlines()) for file in (folder / "telemetry").glob("*.spans.jsonl"))
    terminal.progress(f"{spans} spans were traced; everything is stopped and removed")
    for fault in faults:
        terminal.say(f"WRONG: {fault}")
    if turn.intent == INTENT and not faults:
        terminal.progress(f"checked: intent {turn.intent}, the time in {ZONE} is right")
    return 0 if turn.reply.answered and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
