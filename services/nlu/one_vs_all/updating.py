"""What `UpdateSkill` does: is the manifest right, whom does it leave behind, and then phrases now, models soon.

The servicer calls `SkillUpdates.take`. An update that is refused has changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.nlu.library import SkillLibrary
from services.nlu.one_vs_all.divergence import MAX_DIVERGENCE, Divergence
from services.nlu.one_vs_all.lessons import Lessons, State
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.skills import Skill
from services.runtime.errors import FailedPrecondition, InvalidInput


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a manifest is to be taken.

    Attributes:
        wire: the manifest as the library stores it.
        key: makes a repeat harmless.
        base_version: version that it replaces; empty for whichever is there.
        block: refuse what leaves others behind, where False only warns.
        max_divergence: from which on it does so, 0 to 1; None takes `MAX_DIVERGENCE`.
        validate_only: change nothing.
    """

    wire: bytes
    key: str
    base_version: str = ""
    block: bool = True
    max_divergence: float | None = None
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a manifest.

    Attributes:
        models: of the skill, where they are trained for this manifest.
        divergence: share of the skill's sentences that models of others claim which never saw them.
        stale: skills whose models no longer fit what others say, most stale first.
    """

    skill: Skill
    state: State | None
    models: SkillModels | None
    divergence: float
    stale: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class SkillUpdates:
    """One per replica."""

    def __init__(self, library: SkillLibrary, lessons: Lessons) -> None:
        self._library = library
        self._lessons = lessons

    async def take(self, skill: Skill, wanted: Wanted) -> Taken:
        """Take a manifest over; its phrases serve when this returns. `state` is None where it was only validated.

        Raises:
            FailedPrecondition: `DIVERGENCE_TOO_LARGE` where it blocks; and what `SkillLibrary.update` raises.
        """
        limit = MAX_DIVERGENCE if wanted.max_divergence is None else wanted.max_divergence
        if not 0 <= limit <= 1:
            raise InvalidInput("max_divergence is 0 to 1.", reason="OUT_OF_RANGE", field="max_divergence")
        checked = await self._library.update(
            skill, wanted.wire, wanted.key, base_version=wanted.base_version, validate_only=True
        )
        held = self._library.shelf.skills.get(skill.skill_id)
        again = held is not None and held.digest == skill.digest
        moved = Divergence() if again else await self._lessons.divergence(skill)
        warnings = checked.warnings
        if moved.share > limit:
            said = _said(moved)
            if wanted.block and not wanted.validate_only:
                raise FailedPrecondition(
                    said, reason="DIVERGENCE_TOO_LARGE", field="manifest", metadata={"divergence": f"{moved.share:.3f}"}
                )
            warnings = (said, *warnings)
        if wanted.validate_only:
            return Taken(skill, None, None, moved.share, dict(moved.stale), warnings)
        update = await self._library.update(skill, wanted.wire, wanted.key, base_version=wanted.base_version)
        await self._follow_up(skill, moved, again=again, repeated=update.repeated)
        models = self._library.shelf.taught.get(skill.skill_id)
        return Taken(skill, self._lessons.state(skill), models, moved.share, self._lessons.stale(), warnings)

    async def _follow_up(self, skill: Skill, moved: Divergence, *, again: bool, repeated: bool) -> None:
        """A new manifest is taught; the same under a new key is taught anew where its models are stale."""
        if again:
            if not repeated and skill.skill_id in self._lessons.stale():
                self._lessons.ask(skill.skill_id, again=True)
        else:
            await self._lessons.note(skill, moved)
            self._lessons.ask(skill.skill_id)


def _said(moved: Divergence) -> str:
    names = ", ".join(list(moved.stale)[:5])
    return f"{moved.share:.0%} of the sentences are taken by models of others that were not trained with them: {names}"
