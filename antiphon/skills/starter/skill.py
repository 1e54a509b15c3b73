"""Counts glasses of water. `python skill.py [HOST:PORT]` serves it; `antiphon skill test .` tries it."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

from antiphon.skills import Event, Json, Shelf, Skill, Turn, load_manifest, run

NOTED = {"en": "Noted. Glasses of water so far: {}.", "de": "Notiert. Gläser Wasser bisher: {}."}
TOTAL = {"en": "Glasses of water so far: {}.", "de": "Gläser Wasser bisher: {}."}
TOO_MANY = {"en": "I can note one to ten at a time.", "de": "Ich kann eins bis zehn auf einmal notieren."}


class Water(Skill):
    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        if turn.intent == "total":
            total = await turn.read(lambda shelf: shelf.get("glasses") or 0)
            yield turn.say(TOTAL[turn.language].format(total))
            return
        count = turn.number("count")
        glasses = 1 if count is None else int(count)
        if not 1 <= glasses <= 10:
            yield turn.say(TOO_MANY[turn.language])
            yield turn.decline("TOO_MANY_GLASSES")
            return
        noted = await turn.change(lambda shelf: drink(shelf, glasses))  # kept; a repeat of the turn adds nothing
        yield turn.say(NOTED[turn.language].format(noted))


def drink(shelf: Shelf, glasses: int) -> Json:
    total = int(str(shelf.get("glasses") or 0)) + glasses
    shelf.put("glasses", total)
    return total


if __name__ == "__main__":
    run([Water()], sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9100")
