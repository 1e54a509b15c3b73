"""Settings from options and environment; every mistake names its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.runtime.errors import FailedPrecondition
from services.runtime.settings import load

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Sample:
    count: int = 1
    ratio: float = 0.5
    on: bool = False
    name: str = "x"
    tags: tuple[str, ...] = ()
    limit: int | None = None
    table: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count > 100:
            raise ValueError("count must be 100 at most")


def test_defaults_options_and_environment_in_that_order() -> None:
    options = {"count": 2, "ratio": 1, "tags": ["a", "b"], "table": {"k": 1}}
    environment = {"ANTIPHON_TOY_COUNT": "3", "ANTIPHON_TOY_ON": "yes", "ANTIPHON_TOY_LIMIT": "7", "OTHER": "z"}
    assert load(Sample, options, "ANTIPHON_TOY", environment) == Sample(
        count=3, ratio=1.0, on=True, tags=("a", "b"), limit=7, table={"k": 1}
    )
    assert load(Sample, {}, "P", {}) == Sample()
    assert load(Sample, {}, "P", {"P_TAGS": "de,fr", "P_LIMIT": ""}) == Sample(tags=("de", "fr"))


@pytest.mark.parametrize(
    ("options", "environment", "key"),
    [
        ({"cuont": 2}, {}, "cuont"),
        ({"count": "many"}, {}, "Sample.count"),
        ({"count": 3.7}, {}, "Sample.count"),
        ({"count": True}, {}, "Sample.count"),
        ({}, {"P_COUNT": "1.5"}, "P_COUNT"),
        ({}, {"P_RATIO": "nan"}, "P_RATIO"),
        ({"on": "perhaps"}, {}, "Sample.on"),
        ({"name": 5}, {}, "Sample.name"),
        ({"tags": 5}, {}, "Sample.tags"),
        ({"tags": [5]}, {}, "Sample.tags"),
        ({"table": "k=1"}, {}, "Sample.table"),
        ({"limit": "x"}, {}, "Sample.limit"),
        ({"count": 101}, {}, "count must be 100 at most"),
    ],
)
def test_mistakes_name_their_key(options: dict[str, Any], environment: dict[str, str], key: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        load(Sample, options, "P", environment)
    assert refused.value.reason == "SETTINGS_INVALID"
    assert key in refused.value.message
