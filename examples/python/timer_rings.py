"""Sets a timer, waits until it rings, and stops it: what a device does that keeps its stream open.

python timer_rings.py "set a timer for five seconds" [HOST:PORT]
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import Assistant


async def main(command: str, target: str = "127.0.0.1:9000") -> None:
    to_say: asyncio.Queue[str] = asyncio.Queue()

    async def typed() -> AsyncIterator[str]:
        while text := await to_say.get():
            yield text

    config = assistant_pb2.ConverseConfig(language_codes=["en"], continuous=True)
    config.context.device.device_id = "egg-timer"  # whose timers these are, as long as nobody is named
    config.context.client.directives.extend(["ring", "stop_ringing"])  # what this device can do
    to_say.put_nowait(command)
    async with Assistant(target) as assistant:
        async for event in assistant.converse(typed(), config=config):
            if event.HasField("turn_completed"):
                print("answer:", event.turn_completed.answer)
            elif event.HasField("directive") and event.directive.HasField("ring"):
                print("ringing:", event.directive.ring.label or event.directive.ring.alarm_id)
                to_say.put_nowait("stop")
            elif event.HasField("directive") and event.directive.HasField("stop_ringing"):
                print("silent")
                to_say.put_nowait("")  # nothing more to say: the conversation ends


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
