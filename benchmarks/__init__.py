"""Figures, each against a limit or a peer within one run: `make bench`, or `python -m benchmarks hop --json`."""
