"""The frames between a replica and its worker processes; imported by both ends and by nothing else.

A frame is a header (body length, session, request, kind), little endian, then the body. Both ends run the same code on
the same machine, so there is no version in it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from services.runtime import errors

HEADER = struct.Struct("<IIIB")

FD_VARIABLE = "ANTIPHON_WORKER_FD"
PARENT_VARIABLE = "ANTIPHON_WORKER_PARENT"


class Kind(IntEnum):
    """What a frame is for. Down: OPEN, REQUEST, CANCEL, CLOSE. Up: READY, REPLY, FAILURE."""

    OPEN = 1
    REQUEST = 2
    CANCEL = 3
    CLOSE = 4
    READY = 5
    REPLY = 6
    FAILURE = 7


class Frame(NamedTuple):
    session: int
    request: int
    kind: int
    body: bytes


def pack(session: int, request: int, kind: Kind, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), session, request, kind) + body


class FrameReader:
    """Cuts a byte stream into frames. A frame longer than `max_body` bytes raises ValueError: the stream is broken."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= HEADER.size:
            length, session, request, kind = HEADER.unpack_from(buffer, start)
            if length > self._max_body:
                raise ValueError(f"frame of {length} bytes, more than {self._max_body}")
            end = start + HEADER.size + length
            if len(buffer) < end:
                break
            yield Frame(session, request, kind, bytes(memoryview(buffer)[start + HEADER.size : end]))
            start = end
        del buffer[:start]


def pack_error(error: errors.AntiphonError) -> bytes:
    return json.dumps(
        {
            "type": type(error).__name__,
            "message": error.message,
            "reason": error.reason,
            "field": error.field,
            "retry_after": error.retry_after,
            "metadata": error.metadata,
        }
    ).encode()


def unpack_error(body: bytes) -> errors.AntiphonError:
    """The error a worker raised, of its own class again; `Internal` for a class this side does not know."""
    fields = json.loads(body)
    kind = getattr(errors, fields.pop("type"), errors.Internal)
    message = fields.pop("message")
    error: errors.AntiphonError = kind(message, **fields)
    return error
