"""The frames of the worker protocol, cut at any byte."""

from __future__ import annotations

import pytest

from services.runtime.errors import Internal, Overloaded
from services.runtime.worker_frames import FrameReader, Kind, pack, pack_error, unpack_error

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("step", [1, 2, 7, 13, 1000])
def test_frames_survive_any_cut(step: int) -> None:
    stream = pack(1, 0, Kind.OPEN) + pack(1, 9, Kind.REQUEST, b"audio" * 20) + pack(1, 0, Kind.CLOSE)
    reader = FrameReader(max_body=100)
    frames = [frame for start in range(0, len(stream), step) for frame in reader.feed(stream[start : start + step])]
    assert [(frame.kind, frame.request, frame.body) for frame in frames] == [
        (Kind.OPEN, 0, b""),
        (Kind.REQUEST, 9, b"audio" * 20),
        (Kind.CLOSE, 0, b""),
    ]


def test_a_frame_longer_than_allowed_is_refused_by_its_header() -> None:
    reader = FrameReader(max_body=10)
    with pytest.raises(ValueError, match="11 bytes"):
        list(reader.feed(pack(1, 1, Kind.REQUEST, b"x" * 11)[:13]))


def test_errors_keep_class_and_details() -> None:
    error = unpack_error(pack_error(Overloaded("full", reason="FULL", retry_after=1.5, metadata={"limit": "3"})))
    assert isinstance(error, Overloaded)
    assert (error.message, error.reason, error.retry_after, error.metadata) == ("full", "FULL", 1.5, {"limit": "3"})


def test_an_error_class_this_side_does_not_know_is_internal() -> None:
    body = pack_error(Internal("x")).replace(b'"Internal"', b'"Exotic"')
    assert type(unpack_error(body)) is Internal
