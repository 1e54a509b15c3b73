"""One platform for the stock clients, as `antiphon up` runs it without configuration: every capability, no keys."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator

import pytest

from antiphon.client import TtsClient
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings

QUESTION = "What is forty plus two?"
QUESTION_RATE_HZ = 16_000


@pytest.fixture(scope="session")
def target() -> Iterator[str]:
    """Address of the front door of a running platform, HOST:PORT."""
    platform = RayPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), CAPABILITIES)
    with warnings.catch_warnings():
        # Ray warns about deprecated calls of its own, and about sockets it leaves to the end of the process.
        warnings.simplefilter("ignore")
        platform.__enter__()
    try:
        yield platform.target
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            platform.stop()


@pytest.fixture(scope="session")
def question(target: str) -> bytes:
    """`QUESTION`, said by the platform's own voice: 16 bit mono PCM of `QUESTION_RATE_HZ`, no header."""

    async def say() -> bytes:
        async with TtsClient(target) as voice:
            spoken = await voice.synthesize(QUESTION, language_code="en-US", sample_rate_hertz=QUESTION_RATE_HZ)
        return spoken.audio

    return asyncio.run(say())
