"""Serves the coffee bar: `python -m skills.coffee_order [--address 127.0.0.1:9100]`. Then register that address."""

from __future__ import annotations

import argparse

from antiphon.skills import run
from skills.coffee_order.handler import CoffeeBar


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python -m skills.coffee_order", description="Serves the coffee-order skill.")
    parser.add_argument("--address", default="127.0.0.1:9100", help="where to listen (default %(default)s)")
    run([CoffeeBar()], parser.parse_args().address)


if __name__ == "__main__":
    main()
