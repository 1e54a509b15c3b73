"""Pages of the documentation that make something step by step: their files, and their commands with what they show.

A fenced block after `<!-- file: NAME -->` is that file. In a `console` block after `<!-- MARK -->` each line that
begins with `$ ` is a command, and the lines below it must appear in its output; see `examples.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.clients.examples import Example

_FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = r"^<!-- {} -->\n```console\n(?P<body>.*?)^```$"


def files(page: Path) -> dict[str, str]:
    """The page's files by name."""
    return {block["name"]: block["body"] for block in _FILE.finditer(page.read_text(encoding="utf-8"))}


def write_files(page: Path, folder: Path) -> list[str]:
    """Writes the page's files into `folder` and returns their names."""
    found = files(page)
    for name, body in found.items():
        (folder / name).write_text(body, encoding="utf-8")
    return list(found)


def commands(page: Path, mark: str) -> Iterator[Example]:
    """The commands of the blocks with this mark, in order."""
    for block in re.finditer(_BLOCK.format(mark), page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        example: Example | None = None
        for line in block["body"].splitlines():
            if line.startswith("$ "):
                if example is not None:
                    yield example
                example = Example(line[2:], ["bash", "-euo", "pipefail", "-c", line[2:]])
            elif example is not None:
                example.shown.append(line)
        if example is not None:
            yield example
