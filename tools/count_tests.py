"""Called by .ci/run at its end: adds up pytest's JUnit reports into one line, 'N passed, N failed'.

Exits with 1 if a test failed or was skipped, or if a report holds no test: a run that tested nothing must not pass.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def count(report: Path) -> Counter[str]:
    """The number of tests passed, failed (errors too) and skipped in one JUnit report."""
    # Not a stranger's file: pytest wrote it a moment ago.
    suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314
    total, skipped = (sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "skipped"))
    failed = sum(int(suite.get(name, "0")) for suite in suites for name in ("failures", "errors"))
    return Counter(passed=total - skipped - failed, failed=failed, skipped=skipped)


def main(arguments: Sequence[str]) -> int:
    reports = [path for path in map(Path, arguments) if path.is_file()]
    counts = {report.name: count(report) for report in reports}
    empty = [name for name, tests in counts.items() if not tests.total()]
    for name in empty:
        print(f"{name}: no test ran", file=sys.stderr)
    if not counts:
        print("there is no report: no test ran", file=sys.stderr)
    sums: Counter[str] = sum(counts.values(), Counter())
    skipped = f", {sums['skipped']} skipped" if sums["skipped"] else ""
    print(f"{sums['passed']} passed, {sums['failed']} failed{skipped}")
    return int(bool(empty or not counts or sums["failed"] or sums["skipped"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
