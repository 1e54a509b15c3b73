"""Finds installed skills by the entry-point group `antiphon.skills`; `app.py` calls it once at start."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from antiphon.skills import Skill
from services.runtime.errors import FailedPrecondition

log = logging.getLogger(__name__)

GROUP: Final = "antiphon.skills"


def installed_skills(only: Collection[str] = (), found: Iterable[EntryPoint] | None = None) -> tuple[Skill, ...]:
    """The skills, in order of their entry points' names.

    A skill that cannot be loaded is left out and logged: it must not take the others with it.

    Args:
        only: names of the entry points wanted; empty wants all. One that is not there is an error.
        found: entry points to look at, for tests.

    Raises:
        FailedPrecondition: SKILLS_NOT_INSTALLED, nothing is there, or something of `only` is not.
    """
    points = {point.name: point for point in (entry_points(group=GROUP) if found is None else found)}
    missing = sorted(set(only) - points.keys())
    if missing or not points:
        what = f"no entry point '{missing[0]}'" if missing else "no entry point"
        raise FailedPrecondition(
            f"{what} in the group {GROUP}: install the distribution that offers it", reason="SKILLS_NOT_INSTALLED"
        )
    loaded = (_loaded(point) for name, point in sorted(points.items()) if not only or name in only)
    return tuple(skill for skill in loaded if skill is not None)


def _loaded(point: EntryPoint) -> Skill | None:
    try:
        skill = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing it runs whatever its author wrote
        log.error("skill %s is left out: %s: %s", point.name, type(error).__name__, error)
        return None
    if not isinstance(skill, Skill):
        log.error("skill %s is left out: %s is no Skill", point.name, point.value)
        return None
    return skill
