"""Runs benchmarks: `python -m benchmarks [NAME ...] [its options]`; without a name, all of them in turn."""

from __future__ import annotations

import importlib
import sys
from itertools import takewhile

NAMES = (
    "hop",
    "sessions",
    "start",
    "language_model",
    "recognition",
    "transducer",
    "understanding",
    "languages",
    "one_vs_all",
    "shortlister",
    "synthesis",
    "turns",
    "barge_in",
    "questions",
    "coffee",
    "wake",
    "sounds",
    "onset",
    "batching",
    "homes",
    "rewrites",
    "off_policy",
    "fulfilment",
    "hedging",
    "devices",
    "skills",
    "rankers",
    "resume",
)


def main(arguments: list[str]) -> None:
    """Each named module's `main` takes the options, which follow the names."""
    names = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(names) :]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SystemExit(f"no benchmark '{unknown[0]}'; there are: {', '.join(NAMES)}")
    for name in names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":
    main(sys.argv[1:])
