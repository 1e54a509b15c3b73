"""Work over many parts on a Ray cluster: what runs beside the platform and not in it, such as learning from a log.

`antiphon learn` calls it. Beside `deployment.py` the only module that imports ray. Parts are small descriptions, not
data: a task reads its own, so that nothing large passes through the driver.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from services.runtime.errors import Internal, Unavailable
from services.runtime.machine import new_folder

Part = TypeVar("Part")
Result = TypeVar("Result")

LOCAL: Final = "local"
"""A cluster of this machine alone, which ends with the job."""

MOST_AHEAD: Final = 64
"""Tasks that wait or run at a time, so that a million parts need no memory for a million tasks."""

ATTEMPTS: Final = 2
"""How often a task is begun again when its machine is lost."""


def run(work: Callable[[Part], Result], parts: Iterable[Part], *, address: str = LOCAL) -> Iterator[Result]:
    """The results of `work(part)`, in the order in which they are done.

    Args:
        work: a function of a module, which the cluster's machines have too; it may be begun twice.
        address: of the cluster as `HOST:PORT` or `ray://HOST:PORT`; "auto" for the one this machine belongs to. Ray
            itself reads the cluster's token from RAY_AUTH_TOKEN.

    Raises:
        Unavailable: CLUSTER_UNREACHABLE.
        Internal: JOB_FAILED, `work` raised; the cause says what.
    """
    with _cluster(address) as ray:
        task = ray.remote(work).options(num_cpus=1, max_retries=ATTEMPTS)
        waiting: list[Any] = []
        for part in parts:
            if len(waiting) >= MOST_AHEAD:
                done, waiting = ray.wait(waiting)
                yield from _results(ray, done)
            waiting.append(task.remote(part))
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from _results(ray, done)


def _results(ray: Any, done: list[Any]) -> Iterator[Any]:
    for reference in done:
        try:
            yield ray.get(reference)
        except ray.exceptions.RayError as error:
            raise Internal("a part of the job failed", reason="JOB_FAILED") from error


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():  # this process is a platform's, or a job of its own
        yield ray
        return
    folder = new_folder() if address == LOCAL else None
    own: dict[str, Any] = {"include_dashboard": False, "_temp_dir": str(folder)} if folder else {}
    try:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **own)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise Unavailable(
                f"no Ray cluster answers at '{address}', or it wants another RAY_AUTH_TOKEN",
                reason="CLUSTER_UNREACHABLE",
            ) from error
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
