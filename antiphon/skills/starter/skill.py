"""Rolls dice. `python skill.py [HOST:PORT]` serves it; `antiphon skill test .` tries it."""

import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from antiphon.skills import Event, Json, Shelf, Skill, Turn, load_manifest, run

ROLLED = {"en": "You rolled {}.", "de": "Du hast {} gewürfelt."}
COUNTED = {"en": "You rolled {} times.", "de": "Du hast {} mal gewürfelt."}
TOO_MANY = {"en": "I have ten dice.", "de": "Ich habe zehn Würfel."}


class Dice(Skill):
    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        if turn.intent == "count":
            times = await turn.read(lambda shelf: shelf.get("rolls") or 0)
            yield turn.say(COUNTED[turn.language].format(times))
            return
        dice = int(turn.number("count") or 1)
        if not 1 <= dice <= 10:
            yield turn.say(TOO_MANY[turn.language])
            yield turn.decline("TOO_MANY_DICE")
            return
        rolled = await turn.change(lambda shelf: roll(shelf, dice))  # kept; a repeat of the turn rolls nothing anew
        yield turn.say(ROLLED[turn.language].format(rolled))


def roll(shelf: Shelf, dice: int) -> Json:
    shelf.put("rolls", int(str(shelf.get("rolls") or 0)) + 1)
    return ", ".join(str(secrets.randbelow(6) + 1) for _ in range(dice))


if __name__ == "__main__":
    run([Dice()], sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9100")
