"""Every example that the documentation calls tested, against a running platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.examples import Example, find
from tests.conftest import ROOT

pytestmark = pytest.mark.system

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [example for page in PAGES for example in list(find(page))]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_example(example: Example, target: str, tmp_path: Path) -> None:
    example.run(target, tmp_path)


def test_the_readme_has_examples() -> None:
    assert list(find(ROOT / "README.md")), "the README shows nothing that is tested"
