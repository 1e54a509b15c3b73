"""The command line `antiphon`. Verbs that call a platform are in `antiphon/commands`; those that run one come from
whatever distribution offers them in the entry-point group `antiphon.commands`, so that the client knows no server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

import grpc

from antiphon.commands import conversing, inspecting, single, skill, skills, traffic
from antiphon.commands.options import common
from antiphon.errors import AntiphonApiError
from antiphon.microphone import MicrophoneMissing
from antiphon.recordings import RecordingError

GROUP = "antiphon.commands"
USAGE, UNREACHABLE, REFUSED, CREDENTIALS, OVERLOADED, TOO_LATE, INTERNAL, INTERRUPTED = 2, 3, 4, 5, 6, 7, 8, 130
_EXIT_CODES = {
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.INVALID_ARGUMENT: REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.NOT_FOUND: REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: CREDENTIALS,
    grpc.StatusCode.PERMISSION_DENIED: CREDENTIALS,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OVERLOADED,
    grpc.StatusCode.DEADLINE_EXCEEDED: TOO_LATE,
}
_EPILOG = """\
verbs that run a platform (pip install 'antiphon[serve]'):
    up         start the platform; --detach leaves it in the background
    down       stop it
    status     show what runs
    logs       show what it wrote
    models     list | pull | import | verify model bundles; repository writes them out for Triton
    evaluate   nlu: a model's scorecard on labelled sentences, and a gate
    learn      rewrites | evaluate | rollout: what the log of turns teaches

examples:
  antiphon up --detach
  antiphon converse question.wav --out reply.wav
  antiphon converse --text "what time is it in Tokyo"
  antiphon transcribe question.wav --json
  antiphon understand "set a timer for ten minutes"
  antiphon say "Guten Tag" --locale de -o guten-tag.wav
  antiphon health && antiphon down

exit codes:
  0 done                         5 no or wrong credentials
  1 not answered, not healthy    6 overloaded; try later
  2 wrong arguments or file      7 no answer in time
  3 nobody answers               8 an error inside the platform
  4 the request was refused    130 interrupted

environment: ANTIPHON_TARGET, ANTIPHON_API_KEY, ANTIPHON_TLS_CA
"""
_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], str]] = {
    "converse": (
        "run a whole turn: listen, understand, decide, answer",
        conversing.add,
        "antiphon converse question.wav --out reply.wav\n"
        '  antiphon converse --text "what is three times four"\n'
        '  antiphon converse --text "unlock the front door" --text yes\n'
        "  antiphon converse --mic --locale de",
    ),
    "transcribe": (
        "turn a recording into text",
        single.add_transcribe,
        "antiphon transcribe question.wav\n  antiphon transcribe question.wav --words --alternatives 5",
    ),
    "understand": (
        "read intent and slots of a text",
        single.add_understand,
        'antiphon understand "what time is it in Tokyo" --json',
    ),
    "say": ("turn text into speech", single.add_say, 'antiphon say "Good morning" -o morning.wav --rate 0.9'),
    "voices": ("list the voices", single.add_voices, "antiphon voices --locale de"),
    "describe": (
        "show what a platform or one of its pools can do",
        inspecting.add_describe,
        "antiphon describe\n  antiphon describe --pool asr",
    ),
    "models": (
        "list the models that serve, pool by pool",
        inspecting.add_models,
        "antiphon models --locale de\n  antiphon models list",
    ),
    "skills": (
        "list the skills, and add one of your own",
        skills.add,
        "antiphon skills\n  antiphon skills --register localhost:9100\n  antiphon skills --disable smalltalk",
    ),
    "skill": (
        "write a skill of your own, and try it",
        skill.add,
        "antiphon skill new water\n  antiphon skill test water\n  antiphon skill test localhost:9100 --all",
    ),
    "traffic": (
        "split sessions among pools: canaries and shadows, and how they do",
        traffic.add,
        "antiphon traffic\n  antiphon traffic set nlu stable=nlu:95 canary=nlu-next:5\n"
        "  antiphon traffic set asr stable=asr:1 next=asr-next:0.2:shadow\n  antiphon traffic arms asr --minutes 120",
    ),
    "explain": ("show why a turn went as it did", inspecting.add_explain, "antiphon explain 4f7c… --json"),
    "health": ("ask whether all is well", inspecting.add_health, "antiphon health && echo fine"),
}
_SERVER_VERBS = (
    *("up", "down", "status", "logs"),
    *("models.import", "models.list", "models.pull", "models.repository", "models.verify"),
    *("evaluate.nlu", "learn.evaluate", "learn.rewrites", "learn.rollout"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for words in (2, 1):  # `models list` is a server's verb, `models` a client's
        if len(arguments) >= words and (serve := _server_verb(".".join(arguments[:words]))) is not None:
            return serve(arguments[1:])
    if arguments and (parts := _parts(arguments[0])):
        usage = f"antiphon {arguments[0]} {' | '.join(parts)} (each has --help)"
        if arguments[1:] in (["-h"], ["--help"]):
            print(f"usage: {usage}")
            return 0
        return _complain(f"say which: {usage}", USAGE)
    options = build_parser().parse_args(arguments)
    try:
        code: int = asyncio.run(options.run(options))
        return code
    except AntiphonApiError as error:
        wait = f" (try again in {error.retry_after:g} s)" if error.retry_after is not None else ""
        return _complain(f"{error}{wait}", _EXIT_CODES.get(error.code, INTERNAL))
    except (RecordingError, MicrophoneMissing, ValueError) as error:
        return _complain(str(error), USAGE)
    except BrokenPipeError:  # `antiphon voices | head`
        sys.stderr.close()
        return 0
    except OSError as error:
        return _complain(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """The parser of the client's verbs."""
    parser = argparse.ArgumentParser(
        prog="antiphon",
        description="Talk to an Antiphon voice platform, and run one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"antiphon {_version()}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (summary, add, examples) in _VERBS.items():
        verb = verbs.add_parser(
            name,
            parents=[common()],
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"examples:\n  {examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(verb)
    return parser


def _parts(verb: str) -> tuple[str, ...]:
    """The verbs below one that is none by itself, such as `learn`."""
    if verb in _VERBS:
        return ()
    return tuple(name.partition(".")[2] for name in _SERVER_VERBS if name.startswith(f"{verb}."))


def _server_verb(name: str) -> Callable[[Sequence[str]], int] | None:
    """The command of that name that a server distribution offers; None if it is not one."""
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered and name not in _SERVER_VERBS:
        return None

    def run(arguments: Sequence[str]) -> int:
        try:
            if name not in offered:
                raise ModuleNotFoundError(name="services")
            return _run_server_verb(offered[name], arguments)
        except ModuleNotFoundError as error:
            return _complain(f"this needs more than the client (no {error.name}): pip install 'antiphon[serve]'", USAGE)

    return run


def _run_server_verb(entry: EntryPoint, arguments: Sequence[str]) -> int:
    command: Callable[[Sequence[str]], int] = entry.load()
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _complain(message: str, code: int) -> int:
    print(f"antiphon: {message}", file=sys.stderr)
    return code


def _version() -> str:
    try:
        return version("antiphon")
    except PackageNotFoundError:
        return "(not installed)"
