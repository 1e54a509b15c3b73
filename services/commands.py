"""The server verbs of the command line: `antiphon up`, `down`, `status`, `logs`.

`antiphon/cli.py` finds them by the entry-point group `antiphon.commands`. Each takes the arguments after its verb and
returns the exit code: 0 done, 1 it failed, 2 wrong arguments or settings, 3 no platform is running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from antiphon.client import CapabilityClient
from antiphon.errors import AntiphonApiError
from antiphon.types.v1 import capability_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runs import Run, State, find, running, state_folder
from services.runtime.deployment import RayPlatform
from services.runtime.errors import AntiphonError, FailedPrecondition, NotFound, Unavailable
from services.runtime.platform import PlatformSettings, PoolSettings, read
from services.runtime.pools import PoolDirectory
from services.runtime.stores import check_store
from services.stopping import SIGNALS, Stop
from services.terminal import Terminal
from services.triton_home import local_triton

OK, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3
TRITON_LOG = "triton.log"
STOP_TIMEOUT_S = 60.0
START_TIMEOUT_S = 60.0


# --- up ---------------------------------------------------------------------------------------------------------------


def up(arguments: Sequence[str]) -> int:
    """`antiphon up`: starts the platform, and serves until it is told to stop."""
    options = _up_parser().parse_args(arguments)
    try:
        settings = _settings(options)
        if options.detach:
            return _detach(Run(settings.port), arguments)
        if settings.store_url:
            asyncio.run(check_store(settings.store_url))
        return _serve(settings, options.engine, options.triton)
    except AntiphonError as error:
        print(f"antiphon up: {error.message}", file=sys.stderr)
        return USAGE if isinstance(error, FailedPrecondition) else FAILED


def _up_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="antiphon up",
        description="Starts the platform on this machine and serves until Ctrl-C or `antiphon down`.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  antiphon up                          everything, on Ray Serve, at 127.0.0.1:9000\n"
        "  antiphon up --detach                 the same in the background; antiphon down stops it\n"
        "  antiphon up --services asr,nlu       two capabilities alone\n"
        "  antiphon up --config platform.yaml   pools, limits, keys and TLS from a file\n"
        "  antiphon up --engine grpc            one process without Ray, for development\n"
        "  antiphon up --triton                 models on a Triton server that is started beside it\n"
        "\n"
        "A Triton server elsewhere is named by ANTIPHON_BACKEND=triton and ANTIPHON_TRITON_URL=HOST:PORT instead.\n"
        "Lists, alarms, registered skills and voices are kept in $ANTIPHON_STATE_DIR, else in\n"
        "$XDG_STATE_HOME/antiphon/PORT (~/.local/state/antiphon/PORT).",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--detach", action="store_true", help="return when it serves, and leave it running")
    where.add_argument("--foreground", action="store_true", help="stay until it ends (the default)")
    parser.add_argument("--engine", choices=("ray", "grpc"), default="ray", help="what serves (default: ray)")
    parser.add_argument("--triton", action="store_true", help="start a Triton server and run the ONNX models on it")
    parser.add_argument("--services", default="", metavar="A,B", help="only these capabilities or pools")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML; ANTIPHON_* variables override")
    parser.add_argument("--port", type=_port, help="port of the front door (default: 9000)")
    parser.add_argument("--pool-port", type=_port, help="first port of the pools (default: 9201); 0 takes free ones")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: 0 to 65535")
    return int(text)


def _settings(options: argparse.Namespace) -> PlatformSettings:
    settings = read(options.config, DEFAULT_POOLS)
    if options.port is not None:
        settings = replace(settings, port=options.port)
    if options.pool_port is not None:
        settings = replace(settings, pool_port=options.pool_port)
    if not settings.port:
        raise FailedPrecondition("port: the front door needs a port of its own", reason="SETTINGS_INVALID")
    if not settings.state_dir:
        settings = replace(settings, state_dir=str(state_folder() / str(settings.port)))
    return replace(settings, pools=_chosen(settings.pools, options.services))


def _chosen(pools: tuple[PoolSettings, ...], named: str) -> tuple[PoolSettings, ...]:
    """The pools that `--services` names, by their own name or by their capability; all without it."""
    wanted = [name.strip() for name in named.split(",") if name.strip()]
    known = {name for pool in pools for name in (pool.name, pool.capability)}
    for name in wanted:
        if name not in known:
            raise FailedPrecondition(
                f"--services: there is no '{name}'; there are: {', '.join(sorted(known))}", reason="SETTINGS_INVALID"
            )
    if not wanted:
        return pools
    return tuple(pool for pool in pools if pool.name in wanted or pool.capability in wanted)


def _serve(settings: PlatformSettings, engine: str, triton: bool) -> int:
    run, stop = Run(settings.port), Stop()
    with run.claim(), Terminal(run.log) as terminal:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            # It holds what people have said to their lists: nobody else's business.
            Path(settings.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
            with _models(settings, run, terminal, stop) if triton else nullcontext():
                _serve_ray(settings, run, terminal, stop) if engine == "ray" else _serve_grpc(settings, run, terminal)
        except AntiphonError as error:
            if error.reason != "CANCELLED":
                terminal.say(f"antiphon up: {error.message}")
                return FAILED
        terminal.progress("stopped")
    return OK


def _models(settings: PlatformSettings, run: Run, terminal: Terminal, stop: Stop) -> AbstractContextManager[None]:
    """The Triton server of `--triton`."""
    stop.listen()
    run.write(State(os.getpid(), "triton", f"{settings.host}:{settings.port}", "starting", _now()))
    capabilities = {pool.capability for pool in settings.pools}
    folder = Path(settings.state_dir) / "triton"
    return local_triton(capabilities, folder, run.folder / TRITON_LOG, terminal.progress, stop.is_asked)


def _serve_ray(settings: PlatformSettings, run: Run, terminal: Terminal, stop: Stop) -> None:
    began = _now()
    stop.listen()
    platform = RayPlatform(settings, CAPABILITIES, terminal.progress, stop.is_asked)
    run.write(State(os.getpid(), "ray", platform.target, "starting", began))
    try:
        with platform:
            stop.listen()
            state = _state("ray", platform.target, began, platform.directory)
            run.write(replace(state, logs=platform.logs))
            terminal.progress(_serving_line("ray", platform.target))
            stop.wait()
    except SystemExit:  # Ray's own handler, in the moments in which it is in place
        return


def _serve_grpc(settings: PlatformSettings, run: Run, terminal: Terminal) -> None:
    from services.runtime.server import GrpcPlatform
    from services.runtime.spec import load_spec

    began = _now()
    terminal.progress("engine grpc: one process without Ray, for development")

    async def serve() -> None:
        run.write(State(os.getpid(), "grpc", f"{settings.host}:{settings.port}", "starting", began))
        specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in settings.pools}
        async with GrpcPlatform(settings, specs) as platform:
            stop = asyncio.Event()
            for number in SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await _until_healthy(platform.directory, stop)
            run.write(_state("grpc", platform.target, began, platform.directory))
            terminal.progress(_serving_line("grpc", platform.target))
            await stop.wait()
            terminal.progress("stopping")

    asyncio.run(serve())


async def _until_healthy(directory: PoolDirectory, stop: asyncio.Event) -> None:
    """Returns when every pool says SERVING, as some wait for others, or when it is to stop. Raises Unavailable."""
    deadline = time.monotonic() + START_TIMEOUT_S
    for pool in directory.pools:
        async with CapabilityClient(pool.target) as client:
            while not stop.is_set() and await client.health() != "SERVING":
                if time.monotonic() > deadline:
                    raise Unavailable(f"pool '{pool.name}' is not healthy after {START_TIMEOUT_S:g} s")
                await asyncio.sleep(0.2)


def _state(engine: str, target: str, began: str, directory: PoolDirectory) -> State:
    pools = {pool.name: pool.target for pool in directory.pools}
    return State(os.getpid(), engine, target, "serving", began, pools)


def _serving_line(engine: str, target: str) -> str:
    return f"serving on {target} (engine {engine}); stop with Ctrl-C or antiphon down"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _detach(run: Run, arguments: Sequence[str]) -> int:
    """Starts `antiphon up` in a session of its own, shows its lines until it serves, and leaves it."""
    rest = [argument for argument in arguments if argument != "--detach"]
    child = subprocess.Popen(
        [sys.executable, "-m", "antiphon", "up", *rest],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            print(line, end="", flush=True)
            state = run.read()
            if state is not None and state.pid == child.pid and state.phase == "serving":
                child.returncode = 0  # it goes on without us: no warning about a child that was not waited for
                return OK
    return child.wait()


# --- down, status, logs -----------------------------------------------------------------------------------------------


def down(arguments: Sequence[str]) -> int:
    """`antiphon down`: stops a platform of this user; that none runs is no error."""
    parser = argparse.ArgumentParser(prog="antiphon down", description="Stops the platform that runs on this machine.")
    _add_port(parser)
    parser.add_argument("--timeout", type=float, default=STOP_TIMEOUT_S, metavar="S", help="seconds until it is killed")
    options = parser.parse_args(arguments)

    def stop() -> int:
        run, state = find(options.port)
        print(f"stopping the platform at {state.target} (process {state.pid})", flush=True)
        run.stop(options.timeout)
        print("stopped")
        return OK

    return _told(parser.prog, stop, absent=OK)


def status(arguments: Sequence[str]) -> int:
    """`antiphon status`: which platforms run, with their pools."""
    parser = argparse.ArgumentParser(
        prog="antiphon status", description="Shows the platforms of yours that run on this machine."
    )
    _add_port(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per platform and line")
    options = parser.parse_args(arguments)

    def show() -> int:
        platforms = {options.port: find(options.port)[1]} if options.port is not None else running()
        if not platforms:
            raise NotFound("no platform of yours is running: antiphon up", reason="NOT_RUNNING")
        for state in platforms.values():
            answers = asyncio.run(_described(state))
            print(_as_json(state, answers) if options.json else _as_text(state, answers))
        return OK

    return _told(parser.prog, show)


Answers = dict[str, capability_pb2.DescribeResponse | AntiphonApiError]


async def _described(state: State) -> Answers:
    async def ask(target: str) -> capability_pb2.DescribeResponse | AntiphonApiError:
        async with CapabilityClient(target, api_key=os.environ.get("ANTIPHON_API_KEY", "")) as client:
            try:
                return await client.describe()
            except AntiphonApiError as error:
                return error

    return dict(zip(state.pools, await asyncio.gather(*map(ask, state.pools.values())), strict=True))


def _as_json(state: State, answers: Answers) -> str:
    pools = {
        name: {"error": str(answer)} if isinstance(answer, AntiphonApiError) else MessageToDict(answer)
        for name, answer in answers.items()
    }
    return json.dumps(
        {"pid": state.pid, "engine": state.engine, "target": state.target, "phase": state.phase, "pools": pools},
        ensure_ascii=False,
    )


def _as_text(state: State, answers: Answers) -> str:
    lines = [f"{state.target}  {state.phase}  engine {state.engine}  process {state.pid}  since {state.since}"]
    for name, answer in answers.items():
        where = state.pools[name]
        if isinstance(answer, AntiphonApiError):
            lines.append(f"  {name:<14} {where:<18} {answer.code.name}: {answer.message}")
            continue
        limits = answer.limits
        sessions = f"{limits.active_sessions}/{limits.max_sessions} sessions"
        draining = "  draining" if answer.draining else ""
        models = ", ".join(model.model for model in answer.models)
        lines.append(f"  {name:<14} {where:<18} {sessions:<15} {models}{draining}")
    return "\n".join(lines)


def logs(arguments: Sequence[str]) -> int:
    """`antiphon logs`: what the platform and its replicas wrote."""
    parser = argparse.ArgumentParser(
        prog="antiphon logs", description="Shows the logs of the platform that runs on this machine."
    )
    _add_port(parser)
    parser.add_argument("pool", nargs="?", default="", help="this pool's replicas (or triton), not the platform's log")
    parser.add_argument("-n", "--lines", type=int, default=50, help="last lines of each file (default: 50)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    options = parser.parse_args(arguments)

    def show() -> int:
        run, state = find(options.port)
        files = _log_files(run, state, options.pool)
        _print_tails(files, options.lines, options.follow)
        return OK

    return _told(parser.prog, show)


def _log_files(run: Run, state: State, pool: str) -> list[Path]:
    if not pool:
        return [run.log]
    if pool == "triton" and (run.folder / TRITON_LOG).is_file():
        return [run.folder / TRITON_LOG]
    if pool not in state.pools:
        raise NotFound(f"there is no pool '{pool}'; there are: {', '.join(state.pools)}", reason="POOL_UNKNOWN")
    if not state.logs:
        raise NotFound("on engine grpc all pools write into the platform's own log", reason="LOG_SHARED")
    logs = Path(state.logs)
    # What a replica's own code writes goes to its process's standard error, which begins with the actor's name.
    errors = [file for file in logs.glob("worker-*.err") if f":ServeReplica:{pool}:" in _beginning(file)]
    return [*sorted(logs.glob(f"serve/replica_{pool}_*.log")), *sorted(errors)]


def _beginning(file: Path) -> str:
    with file.open(errors="replace") as opened:
        return opened.read(500)


def _print_tails(files: Sequence[Path], lines: int, follow: bool) -> None:
    positions: dict[Path, int] = {}
    for file in files:
        text = file.read_text(errors="replace")
        positions[file] = len(text.encode())
        print(*text.splitlines()[-lines:] if lines > 0 else (), sep="\n", flush=True)
    while follow:
        time.sleep(0.3)
        for file, position in positions.items():
            try:
                with file.open("rb") as log:
                    log.seek(position)
                    more = log.read()
            except FileNotFoundError:  # the platform has ended
                return
            positions[file] = position + len(more)
            sys.stdout.write(more.decode(errors="replace"))
            sys.stdout.flush()


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, help="port of its front door, where several run")


def _told(program: str, action: Callable[[], int], absent: int = NOT_RUNNING) -> int:
    """Runs `action`; what it could not do is said in one line."""
    try:
        return action()
    except NotFound as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return absent if error.reason == "NOT_RUNNING" else USAGE
    except AntiphonError as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return USAGE
