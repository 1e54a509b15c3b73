"""Start-up seconds and memory: each capability alone, then the whole platform on Ray Serve, process by process.

`python -m benchmarks start [--json]`. Alone means a process that imports the capability and builds it, as a replica
does, without Ray. Memory is the proportional set size, with the worker processes of an engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.processes import command, descendants, memory_bytes
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings
from services.runtime.serving import Replica
from services.runtime.spec import Runtime, load_spec

MiB = 1024 * 1024
_ROLES = {
    r"ray::ServeReplica:([^:]+)": "replica {}",
    r"ray::(\w+)": "Ray {}",
    r"/(gcs_server|raylet)": "Ray {}",
    r"(dashboard|monitor|log_monitor)\.py": "Ray {}",
    r"/haproxy -db": "HAProxy",
    r"services\.(\w+)\.[\w.]*worker": "worker of {}",
}


@dataclass(frozen=True)
class Alone:
    """One capability in a process of its own: seconds to import and to build, MiB when built."""

    capability: str
    import_s: float
    build_s: float
    memory_mib: float


@dataclass(frozen=True)
class Whole:
    """The platform: seconds of each part of its start, MiB and number of processes by role."""

    seconds: dict[str, float]
    memory_mib: dict[str, float]
    processes: dict[str, int]


def measure_alone(capability: str) -> Alone:
    """Builds the capability in a fresh process. Raises CalledProcessError when it cannot be built."""
    arguments = [sys.executable, "-m", "benchmarks.start", f"--alone={capability}"]
    told = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return Alone(**json.loads(told.splitlines()[-1]))


async def _build(capability: str) -> Alone:
    began = time.monotonic()
    spec = load_spec(CAPABILITIES[capability])
    imported = time.monotonic()
    replica = await Replica.start(spec, Runtime("grpc", capability))
    built = time.monotonic()
    memory = sum(memory_bytes(pid) for pid in (os.getpid(), *descendants(os.getpid())))
    await replica.close()
    return Alone(capability, round(imported - began, 2), round(built - imported, 2), round(memory / MiB, 1))


def measure_whole() -> Whole:
    """Starts the default pools on Ray Serve and weighs every process."""
    with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), CAPABILITIES) as platform:
        time.sleep(3.0)
        memory: Counter[str] = Counter()
        count: Counter[str] = Counter()
        for pid in descendants(os.getpid()):
            role = _role(command(pid))
            memory[role] += memory_bytes(pid)
            count[role] += 1
        seconds = {name: round(value, 2) for name, value in platform.started_in_s.items()}
    return Whole(seconds, {role: round(size / MiB, 1) for role, size in memory.most_common()}, dict(count))


def _role(line: str) -> str:
    for pattern, name in _ROLES.items():
        found = re.search(pattern, line)
        if found:
            return name.format(*found.groups())
    return "other"


def main(options: Sequence[str] = ()) -> None:
    """Measures and prints."""
    alone = [o.partition("=")[2] for o in options if o.startswith("--alone=")]
    if alone:
        print(json.dumps(asdict(asyncio.run(_build(alone[0])))))
        return
    each = [measure_alone(capability) for capability in CAPABILITIES]
    whole = measure_whole()
    if "--json" in options:
        print(json.dumps({"alone": [asdict(a) for a in each], "whole": asdict(whole)}, indent=2))
        return
    print(f"{'capability alone':<20}{'import s':>10}{'build s':>10}{'MiB':>10}")
    for a in each:
        print(f"{a.capability:<20}{a.import_s:>10.2f}{a.build_s:>10.2f}{a.memory_mib:>10.1f}")
    print(f"\n{'the whole on Ray Serve':<28}{'processes':>10}{'MiB':>10}")
    for role, size in whole.memory_mib.items():
        print(f"{role:<28}{whole.processes[role]:>10}{size:>10.1f}")
    print(f"{'in all':<28}{sum(whole.processes.values()):>10}{sum(whole.memory_mib.values()):>10.1f}")
    print("start: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in whole.seconds.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
