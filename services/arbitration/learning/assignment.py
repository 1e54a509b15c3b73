"""The job behind `antiphon learn rewrites`: one part of the log, read and mined where the task runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.arbitration.learning.mining import Found, Rules, mine_log
from services.arbitration.learning.parquet import ParquetPlace


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one tenant (its pseudonym) and language in a log."""

    url: str
    tenant: str
    locale: str
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Mined:
    """What was found in a part, and in how many turns."""

    part: Part
    turns: int
    found: tuple[Found, ...]


def mine_part(part: Part) -> Mined:
    """Reads and mines one part. Raises FailedPrecondition when the log cannot be read."""
    rows = list(ParquetPlace(part.url, keep_days=None).read((part.tenant, part.locale), brief=True))
    return Mined(part, len(rows), tuple(mine_log(rows, part.rules)))


def parts_of(url: str, rules: Rules) -> tuple[Part, ...]:
    """All parts of a log. Raises as `mine_part`."""
    return tuple(Part(url, tenant, locale, rules) for tenant, locale in ParquetPlace(url, keep_days=None).parts())
