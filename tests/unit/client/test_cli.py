"""The command line: arguments, exit codes, verbs that come from elsewhere, and what the client may import."""

from __future__ import annotations

import io
import subprocess
import sys
from array import array
from importlib.metadata import EntryPoint
from pathlib import Path

import grpc
import pytest

from antiphon import cli
from antiphon.arbitration.v1 import assistant_pb2, decision_pb2
from antiphon.commands.options import local_time_zone, session_context
from antiphon.errors import AntiphonApiError
from antiphon.microphone import ring_tone
from antiphon.rendering import EventPrinter, bar, candidate_line, decision_lines, ledger_lines
from antiphon.types.v1 import latency_pb2, speech_pb2, understanding_pb2

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]


def failing(error: BaseException) -> object:
    async def run(_options: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    "verb",
    [
        *("converse", "transcribe", "understand", "say", "voices"),
        *("describe", "models", "skills", "traffic", "explain", "health"),
    ],
)
def test_every_verb_explains_itself_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main([verb, "--help"])
    assert exited.value.code == 0
    assert f"antiphon {verb}" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize(
    "arguments",
    [[], ["sing"], ["converse"], ["converse", "a.wav", "--mic"], ["say", "hello"], ["voices", "--nonsense"]],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    assert exited.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["learn"], ["learn", "sing"], ["evaluate", "--model", "mine"]])
def test_a_verb_that_is_only_a_family_names_its_members(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert f"antiphon {arguments[0]} {'evaluate | rewrites | rollout' if arguments[0] == 'learn' else 'nlu'}" in (
        capsys.readouterr().err
    )
    assert cli.main([arguments[0], "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: antiphon {arguments[0]} ")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, 3),
        (grpc.StatusCode.INVALID_ARGUMENT, 4),
        (grpc.StatusCode.NOT_FOUND, 4),
        (grpc.StatusCode.UNAUTHENTICATED, 5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 6),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 7),
        (grpc.StatusCode.INTERNAL, 8),
    ],
)
def test_exit_codes(
    code: grpc.StatusCode, expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = AntiphonApiError(code, "what was wrong", reason="A_REASON", retry_after=2.0)
    monkeypatch.setattr("antiphon.commands.inspecting.health", failing(error))
    assert cli.main(["health"]) == expected
    said = capsys.readouterr().err
    assert "A_REASON" in said
    assert "2 s" in said


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", str(tmp_path / "none.wav")]) == 2
    assert "none.wav" in capsys.readouterr().err


def test_a_key_is_not_sent_in_plaintext(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["health", "--target", "192.0.2.1:9000", "--api-key", "secret"]) == 2
    said = capsys.readouterr().err
    assert "plaintext" in said
    assert "secret" not in said


def test_a_server_verb_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    assert cli.main(["up"]) == 2
    assert "pip install 'antiphon[serve]'" in capsys.readouterr().err


def test_a_server_verb_whose_parts_are_missing_says_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = EntryPoint("up", "module_that_is_not_there:up", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry])
    assert cli.main(["up", "--detach"]) == 2
    said = capsys.readouterr().err
    assert "module_that_is_not_there" in said
    assert "antiphon[serve]" in said


def test_a_server_verb_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("up", "somewhere:up", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry])
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda arguments: len(arguments))
    assert cli.main(["up", "--port", "1"]) == 2
    assert cli.main(["up"]) == 0


ALONE = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
ALLOWED = {"antiphon", "google", "grpc", "grpc_status", "typing_extensions"}  # the last one is grpcio's own
sys.meta_path.insert(0, Nothing())
import antiphon.client
from antiphon.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["voices", "--help"], 0), (["up"], 2)])
def test_the_client_needs_no_more_than_its_four_dependencies(arguments: list[str], code: int) -> None:
    command = [sys.executable, "-c", ALONE, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert finished.returncode == code, finished.stderr
    assert (code == 0) or "pip install 'antiphon[serve]'" in finished.stderr


def test_the_time_zone_comes_from_the_environment_or_the_clock(tmp_path: Path) -> None:
    zone = tmp_path / "zoneinfo" / "Europe" / "Vienna"
    zone.parent.mkdir(parents=True)
    zone.touch()
    link = tmp_path / "localtime"
    link.symlink_to(zone)
    assert local_time_zone({"TZ": "Asia/Tokyo"}, link) == "Asia/Tokyo"
    assert local_time_zone({}, link) == "Europe/Vienna"
    assert local_time_zone({}, tmp_path / "none") == ""
    assert session_context("en-GB", {"TZ": "Europe/London"}).region == "GB"


# --- what people see --------------------------------------------------------------------------------------------------


def test_partials_do_not_pile_up_in_a_log_and_answers_stay_on_one_line() -> None:
    out = io.StringIO()
    printer = EventPrinter(out)
    for text, final in (("what", False), ("what time", False), ("what time is it", True)):
        event = assistant_pb2.ConverseResponse()
        event.transcript.alternatives.append(speech_pb2.SpeechAlternative(spoken_text=text))
        event.transcript.is_final = final
        printer.show(event)
    for text in ("It is ", "noon."):
        event = assistant_pb2.ConverseResponse()
        event.answer_text.text = text
        printer.show(event)
    printer.line("end")
    lines = out.getvalue().splitlines()
    assert lines == [
        "hearing    what",
        "hearing    what time",
        "heard      what time is it",
        "answer     It is noon.",
        "end",
    ]


def test_a_decision_names_the_winner_and_why_the_others_lost() -> None:
    won = decision_pb2.Candidate(score=0.93, fulfilment=understanding_pb2.FULFILMENT_YES)
    won.interpretation.intent = "clock.time"
    won.interpretation.slots.add(name="place", text="tokyo")
    other = decision_pb2.Candidate(skill_id="calculator", rejection_reason=decision_pb2.REJECTION_REASON_OUTSCORED)
    decision = decision_pb2.Decision(
        outcome=decision_pb2.DECISION_OUTCOME_EXECUTE,
        reason=decision_pb2.DECISION_REASON_CONFIDENT,
        winner_index=0,
        score=0.93,
        threshold=0.6,
        candidates=[won, other],
    )
    first, second, third = decision_lines(decision)
    assert first == "decision   execute: confident (score 0.93, needed 0.60)"
    assert second.startswith("  > clock.time")
    assert "[place=tokyo]" in second
    assert "skill says yes" in second
    assert third == "    " + candidate_line(other)
    assert third.endswith("outscored")


def test_a_ledger_is_drawn_to_scale() -> None:
    ledger = latency_pb2.LatencyLedger()
    ledger.end_of_speech.FromMilliseconds(1000)
    ledger.endpoint.FromMilliseconds(1200)
    ledger.first_audio.FromMilliseconds(1400)
    entry = ledger.entries.add(stage=latency_pb2.STAGE_UNDERSTANDING)
    entry.start.FromMilliseconds(1200)
    entry.elapsed.FromMilliseconds(100)
    entry.models.add(model="antiphon/intents@1", backend="embedded")
    entry.models.add(model="antiphon/phrases@1", backend="rules")
    lines = list(ledger_lines(ledger))
    assert "is 0 to 400" in lines[0]
    understanding = next(line for line in lines if "understanding" in line)
    assert "100 ms" in understanding
    assert understanding.split("|")[1] == " " * 12 + "█" * 6 + " " * 6
    assert understanding.endswith("| antiphon/intents@1 (embedded)")
    below = lines[lines.index(understanding) + 1]
    assert below.index("antiphon/phrases@1 (rules)") == understanding.index("antiphon/intents@1")
    assert any("first audio" in line and "+400 ms" in line for line in lines)


def test_an_empty_ledger_draws_nothing() -> None:
    assert list(ledger_lines(latency_pb2.LatencyLedger())) == []


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.0), (100.0, 100.0), (0.0, 100.0), (99.0, 100.0), (0.0, 0.1)])
def test_a_bar_always_has_its_width_and_something_in_it(start: float, end: float) -> None:
    drawn = bar(start, end, 0.0, 100.0, columns=10)
    assert len(drawn) == 10
    assert drawn.strip()


def test_a_timer_rings_aloud_and_in_words() -> None:
    tone = array("h", ring_tone(16_000))
    assert len(tone) == 16_000 * 1.2
    assert max(tone) == 8_000
    assert set(tone[16_000 // 5 + 10 : 2 * 16_000 // 5 - 10]) == {0}
    event = assistant_pb2.ConverseResponse()
    event.directive.ring.alarm_id = "timer-1"
    event.directive.ring.label = "pasta"
    out = io.StringIO()
    EventPrinter(out).show(event)
    assert "rings      pasta" in out.getvalue()
