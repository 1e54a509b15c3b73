"""Rules that hold for every test; pytest loads this before it collects.

A test says by its category what it needs, and is held to it: a test without one fails collection, a unit test that
touches Ray or the network fails, and in CI nothing may be skipped, so that a green run means that every test ran.
The rules themselves are tested in tests/unit/house.
"""

from __future__ import annotations

import importlib.abc
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent

# What runs a test, and how many seconds it may take unless it carries a `timeout` of its own: ten times what a good
# test of its kind needs on two busy cores.
CATEGORIES = {"unit": 30, "integration": 60, "system": 300, "triton": 300, "k8s": 600, "training": 600}
# What a test needs besides; alone, they are categories of their own.
NEEDS = {"data": 120, "gpu": 120}

# For tests that import onnxruntime before anything of ours does; see services/runtime/__init__.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

INTERNET = {socket.AF_INET, socket.AF_INET6}

_skipped = pytest.StashKey[dict[str, str]]()


class TouchedOutside(AssertionError):
    """A unit test reached for Ray or the network."""


# --- categories -------------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold every collected test to exactly one category, whether or not it is selected."""
    faults = [f"{item.nodeid}: {fault}" for item in items if (fault := _category_fault(item))]
    if faults:
        raise pytest.UsageError("\n".join(["these tests have no clear category:", *faults]))
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_seconds(item)))


def _category_fault(item: pytest.Item) -> str | None:
    names = {mark.name for mark in item.iter_markers()}
    categories, needs = sorted(names & CATEGORIES.keys()), sorted(names & NEEDS.keys())
    if not categories and not needs:
        return f"it is marked with none of {', '.join([*CATEGORIES, *NEEDS])}"
    if len(categories) > 1:
        return f"it is marked as {' and '.join(categories)}"
    if "unit" in categories and needs:
        return f"a unit test needs neither data nor gpu, and it is marked as {' and '.join(needs)}"
    if "data" in getattr(item, "fixturenames", ()) and "data" not in needs:
        return "it uses the fixture `data` and is not marked as data"
    return None


def _seconds(item: pytest.Item) -> int:
    limits = CATEGORIES | NEEDS
    return max(limits[mark.name] for mark in item.iter_markers() if mark.name in limits)


# --- data -------------------------------------------------------------------------------------------------------------


def data_folder() -> Path | None:
    """Where the recordings and texts are: $ANTIPHON_DATA, else beside the checkout; None where there are none."""
    named = os.environ.get("ANTIPHON_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder.resolve() if folder.is_dir() else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data") and data_folder() is None:
        pytest.skip("ANTIPHON_DATA names no folder with the test data")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with the recordings and texts. A test that uses it is marked `data`."""
    folder = data_folder()
    if folder is None:
        pytest.skip("ANTIPHON_DATA names no folder with the test data")
    return folder


# --- skips ------------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skipped] = {}
    config.pluginmanager.register(_SkipWatch(config.stash[_skipped]), "antiphon-skips")


class _SkipWatch:
    """Remembers what was left out, and why."""

    def __init__(self, skipped: dict[str, str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skipped[report.nodeid] = reason.removeprefix("Skipped: ")


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failed run: there, everything that a test needs is present."""
    if _in_ci() and session.config.stash[_skipped] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = config.stash[_skipped]
    if not skipped:
        return
    verdict = "in CI nothing may be skipped" if _in_ci() else "not run on this machine"
    terminalreporter.section(f"left out: {len(skipped)} ({verdict})", red=_in_ci(), yellow=not _in_ci())
    for reason in sorted(set(skipped.values())):
        terminalreporter.write_line(reason)
        for nodeid in sorted(node for node, why in skipped.items() if why == reason):
            terminalreporter.write_line(f"  {nodeid}")


# --- unit tests stay inside -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _unit_tests_stay_inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.node.get_closest_marker("unit") is None:
        yield
        return
    _block_sockets(monkeypatch)
    _block_channels(monkeypatch)
    _block_ray(monkeypatch)
    yield


def _refuse(what: str) -> NoReturn:
    raise TouchedOutside(f"a unit test must not touch {what}: mark it integration or system, or give it a fake")


def _block_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse internet sockets; socket pairs and Unix sockets stay, asyncio and the worker pools live on them."""
    for name in ("connect", "connect_ex", "bind", "sendto"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: Any, _name: str = name, _original: Any = original) -> Any:
            if self.family in INTERNET:
                _refuse(f"the network (socket.{_name})")
            return _original(self, *args)

        monkeypatch.setattr(socket.socket, name, guarded)

    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: _refuse("the network (name resolution)"))


def _block_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse gRPC's channels and servers: they open their sockets in C, out of Python's sight."""
    for module_name in ("grpc", "grpc.aio"):
        module = sys.modules.get(module_name)
        for name in ("insecure_channel", "secure_channel", "server"):
            if module is not None:
                _replace(monkeypatch, module, name, f"the network ({module_name}.{name})")


def _block_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for module_name, names in {"ray": ("init", "get", "remote"), "ray.serve": ("run", "start")}.items():
        module = sys.modules.get(module_name)
        for name in names:
            if module is not None and hasattr(module, name):
                _replace(monkeypatch, module, name, f"Ray ({module_name}.{name})")
    if "ray" not in sys.modules:
        monkeypatch.setattr(sys, "meta_path", [_NoRay(), *sys.meta_path])


def _replace(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, what: str) -> None:
    monkeypatch.setattr(module, name, lambda *args, **kwargs: _refuse(what))


class _NoRay(importlib.abc.MetaPathFinder):
    """Refuses to import ray while a unit test runs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "ray":
            _refuse("Ray (import ray)")
        return None
