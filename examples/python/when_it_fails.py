"""What a failed call tells: a reason to switch on, the field to blame, whether and when to try again.

python when_it_fails.py [HOST:PORT]
"""

import asyncio
import sys

from antiphon.client import NluClient
from antiphon.errors import AntiphonApiError


async def main(target: str = "127.0.0.1:9000") -> None:
    async with NluClient(target) as nlu:
        try:
            await nlu.interpret("", language_code="en")
        except AntiphonApiError as error:
            print("code:", error.code.name)
            print("reason:", error.reason)
            print("field:", error.field)
            # The client has already tried again where that was right: this is for the caller's own plans.
            print("try again:", error.retryable, error.retry_after)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
