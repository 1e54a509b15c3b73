"""Closes a stream with its reader.

Every port that streams is read through `reading`: Python closes an abandoned async generator only when it is collected,
which is too late for an RPC that has to stop computing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

Item = TypeVar("Item")


@asynccontextmanager
async def reading(stream: AsyncIterator[Item]) -> AsyncGenerator[AsyncIterator[Item], None]:
    """`async with reading(port.stream()) as items: async for item in items: ...`"""
    try:
        yield stream
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
