"""What a hop costs: CPU and time per message through HAProxy and a replica, against a bare grpc.aio echo in one run.

`python -m benchmarks hop [--json] [--seconds=N] [--rounds=N]`. Messages carry 3200 bytes, 100 ms of audio. CPU is that
of the servers alone (replicas and HAProxy, from /proc), on one core, less what they use when idle; the generator has
the other core. Servers are measured in turn, several rounds, and the median of the rounds counts, since other work on
the machine comes and goes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc

from antiphon.types.v1 import capability_pb2, capability_pb2_grpc
from benchmarks.dispatch import APPLICATION, PlatformWithDispatch
from benchmarks.echo import SPECS
from benchmarks.load import Load
from benchmarks.processes import command, cpu_seconds, descendants, pin
from services.runtime.platform import PlatformSettings, PoolSettings

SERVER_CORE, GENERATOR_CORE = 0, 1
IDLE_S = 4.0
PACED_STREAMS, PACED_PERIOD_S = 32, 0.1


@dataclass(frozen=True)
class Route:
    """One way to be measured: which processes serve it and where it is entered."""

    name: str
    target: str
    pids: tuple[int, ...]
    haproxy: tuple[int, ...] = ()
    application: str = ""


@dataclass(frozen=True)
class Figure:
    """Medians of one load on one path. CPU in microseconds per message, HAProxy's part of it apart, times in ms."""

    path: str
    load: str
    cpu_us: float
    haproxy_us: float
    p50_ms: float
    p99_ms: float
    per_second: float


@dataclass(frozen=True)
class Verdict:
    """A ratio of two CPU figures against its limit; None where there is no limit."""

    what: str
    ratio: float
    limit: float | None

    @property
    def word(self) -> str:
        """PASS or MISS; a dash where there is no limit."""
        if self.limit is None:
            return "-"
        return "PASS" if self.ratio <= self.limit else "MISS"


class Meter:
    """Runs loads on paths and keeps what they cost."""

    def __init__(self, seconds: float, rounds: int, progress: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._rounds = rounds
        self._progress = progress

    def figures(self, loads: dict[str, dict[str, Any]], paths: Sequence[Route]) -> list[Figure]:
        """Every load on every path, in rounds, so that what else the machine does hits all alike."""
        idle = {path.name: self._idle(path) for path in paths}
        samples: dict[tuple[str, str], list[Figure]] = {}
        for number in range(self._rounds):
            for load_name, options in loads.items():
                for path in paths:
                    if options.get("kind") == "unary" and path.name == "two hops":
                        continue
                    self._progress(f"round {number + 1}/{self._rounds}: {load_name}, {path.name}")
                    figure = self._sample(path, load_name, options, idle[path.name])
                    samples.setdefault((path.name, load_name), []).append(figure)
        return [_median(found) for found in samples.values()]

    def _idle(self, path: Route) -> float:
        """CPU seconds per second that the path's processes use with nothing to do."""
        before = cpu_seconds(path.pids)
        time.sleep(IDLE_S)
        return float(cpu_seconds(path.pids) - before) / IDLE_S

    def _sample(self, path: Route, load_name: str, options: dict[str, Any], idle: float) -> Figure:
        for pid in path.pids:
            pin(pid, SERVER_CORE)
        load = Load(target=path.target, seconds=self._seconds, application=path.application, **options)
        with _generator(load) as generator:
            before, before_haproxy = cpu_seconds(path.pids), cpu_seconds(path.haproxy)
            outcome = json.loads(generator.communicate("go\n")[0].splitlines()[-1])
            haproxy = cpu_seconds(path.haproxy) - before_haproxy
            used = cpu_seconds(path.pids) - before - idle * float(outcome["seconds"])
        messages = int(outcome["messages"])
        return Figure(
            path.name,
            load_name,
            used / messages * 1e6,
            haproxy / messages * 1e6,
            outcome["p50_ms"],
            outcome["p99_ms"],
            messages / outcome["seconds"],
        )


@contextmanager
def _generator(load: Load) -> Iterator[subprocess.Popen[str]]:
    command_line = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        pin(process.pid, GENERATOR_CORE)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit(f"the generator failed on {load.target}")
        yield process


def _median(figures: Sequence[Figure]) -> Figure:
    def median(name: str) -> float:
        return float(statistics.median(getattr(figure, name) for figure in figures))

    return Figure(
        figures[0].path,
        figures[0].load,
        *(round(median(name), 2) for name in ("cpu_us", "haproxy_us", "p50_ms", "p99_ms", "per_second")),
    )


@contextmanager
def _bare() -> Iterator[Route]:
    with subprocess.Popen([sys.executable, "-m", "benchmarks.bare"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Route("bare", f"127.0.0.1:{int(process.stdout.readline())}", (process.pid,))
        process.terminate()


def haproxy_pid() -> int:
    """The running HAProxy of this process' platform; the newest, as each change of replicas starts another."""
    return max(pid for pid in descendants(os.getpid()) if "/haproxy -db" in command(pid))


def replica_pid(target: str) -> int:
    """Process id of the replica behind a pool's port: the echo tells it when it describes itself."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = capability_pb2_grpc.CapabilityServiceStub(channel)  # type: ignore[arg-type]  # typed for aio alone
        return int(stub.Describe(capability_pb2.DescribeRequest()).notes[0])


def _paths(platform: PlatformWithDispatch, folder: Path) -> list[Route]:
    targets = {pool.name: pool.target for pool in platform.directory.pools}
    platform.add_dispatched(str(folder / "pid"))
    time.sleep(2.0)  # HAProxy is started anew for the third application
    proxy = haproxy_pid()
    echo, relay = replica_pid(targets["echo"]), replica_pid(targets["relay"])
    dispatched = int((folder / "pid").read_text())
    return [
        Route("one hop", targets["echo"], (proxy, echo), (proxy,)),
        Route("two hops", targets["relay"], (proxy, relay, echo), (proxy,)),
        Route("Serve dispatch", platform.target, (proxy, dispatched), (proxy,), APPLICATION),
    ]


def verdicts(figures: Sequence[Figure]) -> list[Verdict]:
    """The ratios of docs/architecture.md, Numbers to hold, and what there is to compare besides."""
    cpu = {(figure.path, figure.load): figure.cpu_us for figure in figures}
    asked = [
        ("one hop, flat out", ("one hop", "flat out"), ("bare", "flat out"), 2.0),
        ("one hop, paced", ("one hop", "paced"), ("bare", "paced"), None),
        ("two hops, flat out", ("two hops", "flat out"), ("bare", "flat out"), 4.5),
        ("two hops, paced", ("two hops", "paced"), ("bare", "paced"), None),
        ("unary call", ("one hop", "unary"), ("bare", "unary"), 2.5),
        ("message on a pooled stream, against a bare unary call", ("one hop", "small"), ("bare", "unary"), 1.5),
        ("Serve's dispatch, flat out", ("Serve dispatch", "flat out"), ("bare", "flat out"), None),
        ("Serve's dispatch, paced", ("Serve dispatch", "paced"), ("bare", "paced"), None),
        ("Serve's dispatch, unary", ("Serve dispatch", "unary"), ("bare", "unary"), None),
        ("our handlers against Serve's dispatch", ("one hop", "flat out"), ("Serve dispatch", "flat out"), None),
    ]
    return [Verdict(what, round(cpu[mine] / cpu[peer], 2), limit) for what, mine, peer, limit in asked]


LOADS: dict[str, dict[str, Any]] = {
    "flat out": {"streams": 16},
    "paced": {"streams": PACED_STREAMS, "period_s": PACED_PERIOD_S},
    "small": {"streams": 16, "size": 32},
    "unary": {"streams": 16, "kind": "unary"},
}


def main(options: Sequence[str] = ()) -> None:
    """Measures and prints; always ends well, since a verdict is a finding and no failure of the program."""
    seconds = float(option(options, "seconds", "4"))
    rounds = int(option(options, "rounds", "3"))

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    settings = PlatformSettings(
        port=0, pool_port=0, pools=(PoolSettings("echo", "echo"), PoolSettings("relay", "relay"))
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        PlatformWithDispatch(settings, SPECS, progress) as platform,
        _bare() as bare,
    ):
        figures = Meter(seconds, rounds, progress).figures(LOADS, [bare, *_paths(platform, Path(folder))])
    found = verdicts(figures)
    if "--json" in options:
        print(json.dumps({"figures": [asdict(f) for f in figures], "verdicts": [asdict(v) for v in found]}, indent=2))
        return
    print("\npath            load        CPU us/message  HAProxy us    p50 ms    p99 ms  messages/s")
    for f in sorted(figures, key=lambda f: list(LOADS).index(f.load)):
        print(
            f"{f.path:<16}{f.load:<10}{f.cpu_us:>16.0f}{f.haproxy_us:>12.0f}{f.p50_ms:>10.2f}{f.p99_ms:>10.2f}{f.per_second:>12.0f}"
        )
    print(f"\n{'CPU ratio':<56}{'ratio':>8}{'limit':>8}")
    for v in found:
        print(f"{v.what:<56}{v.ratio:>8.2f}{v.limit or '-':>8}  {v.word}")


def option(options: Sequence[str], name: str, default: str) -> str:
    return next((o.partition("=")[2] for o in options if o.startswith(f"--{name}=")), default)


if __name__ == "__main__":
    main(sys.argv[1:])
