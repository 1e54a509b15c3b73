"""The closing line of a CI run, counted from reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import count_tests

pytestmark = pytest.mark.unit


def report(folder: Path, name: str, **numbers: int) -> str:
    attributes = " ".join(f'{key}="{value}"' for key, value in numbers.items())
    path = folder / name
    path.write_text(f"<testsuites><testsuite {attributes}/></testsuites>", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("numbers", "line", "status"),
    [
        ({"tests": 7}, "9 passed, 0 failed", 0),
        ({"tests": 7, "failures": 2, "errors": 1}, "6 passed, 3 failed", 1),
        ({"tests": 7, "skipped": 1}, "8 passed, 0 failed, 1 skipped", 1),
        ({"tests": 0}, "2 passed, 0 failed", 1),
    ],
    ids=["all-passed", "failures-and-errors", "a-skip", "nothing-ran"],
)
def test_reports_are_added_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: dict[str, int], line: str, status: int
) -> None:
    paths = [report(tmp_path, "a.xml", tests=2), report(tmp_path, "b.xml", **numbers)]
    assert count_tests.main(paths) == status
    assert capsys.readouterr().out.splitlines() == [line]


def test_no_report_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert count_tests.main([str(tmp_path / "missing.xml")]) == 1
    assert "no test ran" in capsys.readouterr().err
