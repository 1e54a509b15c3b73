"""Runs benchmarks: `python -m benchmarks [NAME ...] [its options]`; without a name, all of them in turn."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "hop",
    "sessions",
    "start",
    "language_model",
    "recognition",
    "understanding",
    "synthesis",
    "turns",
    "barge_in",
    "questions",
    "coffee",
    "wake",
    "sounds",
    "onset",
    "sounds",
)


def main(arguments: list[str]) -> None:
    """Each named module's `main` takes the options."""
    names = [name for name in arguments if not name.startswith("-")]
    options = [option for option in arguments if option.startswith("-")]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SystemExit(f"no benchmark '{unknown[0]}'; there are: {', '.join(NAMES)}")
    for name in names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":
    main(sys.argv[1:])
