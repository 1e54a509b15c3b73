"""Examples in the documentation are found as their readers see them, and compared with what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.examples import Example, ExampleFailed, find

pytestmark = pytest.mark.unit

PAGE = """
<!-- tested -->
```console
$ echo one 127.0.0.1:9000
one 127...
$ printf 'a\\nb\\nc\\n' | \\
> cat
a
c
```

```console
$ untested
```

<!-- tested -->
```python
print("two")
```

<!-- tested -->
```text
two
```
"""


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_commands_and_scripts_are_found_with_what_they_print(tmp_path: Path) -> None:
    first, second, third = list(find(page(tmp_path, PAGE)))
    assert (first.shown, second.shown, third.shown) == (["one 127..."], ["a", "c"], ["two"])
    for example in (first, second, third):
        example.run("127.0.0.1:9000", tmp_path)


def test_the_address_is_that_of_the_platform(tmp_path: Path) -> None:
    assert Example("x", ["echo", "127.0.0.1:9000"]).run("127.0.0.1:7", tmp_path) == "127.0.0.1:7\n"


@pytest.mark.parametrize(
    "example",
    [
        Example("wrong output", ["echo", "one"], ["two"]),
        Example("wrong order", ["printf", "a\\nb\\n"], ["b", "a"]),
        Example("failing", ["false"]),
    ],
    ids=lambda example: example.name.replace(" ", "-"),
)
def test_an_example_that_does_not_hold_fails(example: Example, tmp_path: Path) -> None:
    with pytest.raises(ExampleFailed, match=example.name):
        example.run("127.0.0.1:9000", tmp_path)


@pytest.mark.parametrize("block", ["```yaml\na: 1\n```", "```console\nno command\n```"], ids=["yaml", "no-command"])
def test_a_block_that_cannot_be_run_is_an_error(tmp_path: Path, block: str) -> None:
    with pytest.raises(ValueError, match="page-1"):
        list(find(page(tmp_path, f"<!-- tested -->\n{block}\n")))
