"""Settings of the skill host; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SkillHostSettings:
    """What an operator may change.

    Attributes:
        only: names of the entry points to host; empty hosts all that are installed.
    """

    only: tuple[str, ...] = ()
