"""Asks by text, and prints what was decided and answered.

python typed_turn.py "what time is it in Tokyo" [HOST:PORT]
"""

import asyncio
import sys

from antiphon.client import Assistant


async def main(question: str, target: str = "127.0.0.1:9000") -> None:
    async with Assistant(target) as assistant:
        async for event in assistant.converse(question, language_codes=["en"]):
            if event.HasField("decision") and event.decision.HasField("winner_index"):
                winner = event.decision.candidates[event.decision.winner_index]
                print(f"{winner.interpretation.intent} ({winner.score:.2f})")
            elif event.HasField("turn_completed"):
                print(event.turn_completed.answer)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
