"""What a download says: a line that moves on a terminal, a few plain lines in a log."""

from __future__ import annotations

import io

import pytest

from services.catalogue.progress import ConsoleProgress, megabytes

pytestmark = pytest.mark.unit

MB = 1_000_000


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


class Hand:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def download(out: io.StringIO, *, seconds: float, steps: int = 100) -> None:
    clock = Hand()
    progress = ConsoleProgress(out, clock)
    progress.begin("model.tar.bz2", 0, 100 * MB)
    for step in range(1, steps + 1):
        clock.now = seconds * step / steps
        progress.advance(100 * MB * step // steps, 100 * MB)
    progress.end()


def test_a_terminal_sees_one_line_that_moves() -> None:
    out = Terminal()
    download(out, seconds=10)
    told = out.getvalue()
    assert told.startswith("downloading model.tar.bz2, 100 MB\n")
    assert told.count("\n") == 2
    assert 30 <= told.count("\r") <= 60
    assert " 62% of 100 MB, 10 MB/s, 4 s left" in told


@pytest.mark.parametrize(("seconds", "lines"), [(1, 1), (60, 6), (3600, 10)])
def test_a_log_gets_few_lines_whatever_it_takes(seconds: float, lines: int) -> None:
    out = io.StringIO()
    download(out, seconds=seconds)
    told = out.getvalue().splitlines()
    assert "\r" not in out.getvalue()
    assert lines <= len(told) <= lines + 1


def test_a_resumed_download_says_where_it_goes_on_and_how_fast_it_is_now() -> None:
    out, clock = Terminal(), Hand()
    progress = ConsoleProgress(out, clock)
    progress.begin("m", 90 * MB, None)
    clock.now = 1.0
    progress.advance(91 * MB, None)
    progress.note("again")
    assert out.getvalue().splitlines()[0] == "downloading m, going on at 90 MB"
    assert "91 MB, 1.0 MB/s" in out.getvalue()
    assert out.getvalue().endswith("\nagain\n")


def test_sizes_for_people() -> None:
    assert [megabytes(size) for size in (0, 250_000, 9_990_000, 24_110_855)] == ["0.0 MB", "0.2 MB", "10.0 MB", "24 MB"]
