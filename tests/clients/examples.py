"""Finds the examples in the documentation and runs them: what a reader copies is what CI has seen work.

A fenced block counts when `<!-- tested -->` stands on the line before it. In a `console` block every line that begins
with `$ ` is run by bash, and the lines below it, if any, must appear in its output in that order; `...` stands for
anything. A `python` block is run as a script, and may be followed by a tested `text` block with its output. The
documented address is replaced by that of the platform under test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MARK = "<!-- tested -->"
ADDRESS = "127.0.0.1:9000"
TIMEOUT_S = 60.0

_BLOCK = re.compile(rf"^{MARK}\n+```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class ExampleFailed(AssertionError):
    """A documented example did not do what the page says."""


@dataclass
class Example:
    """One command or script, and the output lines that the page shows for it."""

    name: str
    command: list[str]
    shown: list[str] = field(default_factory=list)

    def run(self, address: str, folder: Path) -> str:
        """Runs it in `folder` against the platform at `address` and returns its output. Raises ExampleFailed."""
        command = [part.replace(ADDRESS, address) for part in self.command]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if finished.returncode:
            raise ExampleFailed(f"{self.name} exited with {finished.returncode}: {finished.stderr}")
        self._compare(finished.stdout)
        return finished.stdout

    def _compare(self, output: str) -> None:
        rest = output
        for line in self.shown:
            pattern = ".*?".join(re.escape(part) for part in line.strip().split("..."))
            found = re.search(pattern, rest)
            if found is None:
                raise ExampleFailed(f"{self.name}: the page shows {line.strip()!r}, which is not in:\n{output}")
            rest = rest[found.end() :]


def find(page: Path) -> Iterator[Example]:
    """The tested examples of a page, in order."""
    latest: Example | None = None
    for number, block in enumerate(_BLOCK.finditer(page.read_text(encoding="utf-8")), start=1):
        name = f"{page.stem}-{number}"
        match block["kind"]:
            case "console":
                yield from _console(name, block["body"])
                latest = None
            case "python":
                latest = Example(name, [sys.executable, "-c", block["body"]])
                yield latest
            case "text" if latest is not None:
                latest.shown = block["body"].splitlines()
            case kind:
                raise ValueError(f"{name}: a tested block is console or python, not {kind}")


def _console(name: str, body: str) -> Iterator[Example]:
    example: Example | None = None
    for line in body.splitlines():
        if line.startswith("$ "):
            if example is not None:
                yield example
            example = Example(f"{name}: {line[2:40]}", ["bash", "-euo", "pipefail", "-c", line[2:]])
        elif example is None:
            raise ValueError(f"{name}: the block begins with output")
        elif line.startswith("> ") and not example.shown:
            example.command[-1] += "\n" + line[2:]
        else:
            example.shown.append(line)
    if example is not None:
        yield example
