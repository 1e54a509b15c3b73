"""How far what is said now has moved from what the models of skills were trained against.

Models that are trained alone drift apart: one that has not seen another skill's new sentences may take them for its
own, and in the end the right skill no longer wins. What is measured is the share of a skill's sentences that a model
which never saw them would take if it had to tell alone. While the right skill's own model still outweighs such claims
no user notices, so the share rises before the accuracy falls. It is measured on what the skills say now. How the
training data of two models differ (Gupta et al., arXiv 1906.08858) says nothing where all are equally old; this does.
`lessons.py` asks for it before an update is taken.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.nlu.one_vs_all.book import OneVsAll
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.one_vs_all.spoken_phrases import Crowd
from services.nlu.skills import Skill
from services.nlu.text import tokenise

MAX_DIVERGENCE: Final = 0.5
"""From which an update is refused or warned of, unless it names its own."""

LEAST_STALE: Final = 0.01
"""Of a skill's sentences, from which the models that claim them are stale; on CLINC150 a point of accuracy is lost
where it is twice that."""

_MOST_READ = 300  # sentences of a skill in one locale: a tenth of a second


@dataclass(frozen=True, slots=True)
class Divergence:
    """What an update changes for others.

    Attributes:
        share: of the skill's sentences, those that some model of another skill claims that never saw them; 0 to 1.
        stale: other skill -> the share that its models claim.
    """

    share: float = 0.0
    stale: Mapping[str, float] = field(default_factory=dict)


def diverged(
    skill: Skill, held: Skill | None, books: Mapping[str, OneVsAll], taught: Mapping[str, SkillModels]
) -> Divergence:
    """What a manifest changes for the models of others.

    Args:
        held: the skill as it is now; what it says already is known to models that were trained with it.
        books: locale -> the models of all skills.
        taught: skill -> its models.
    """
    count, claimed = 0, 0
    by_skill: dict[str, int] = {}
    knowing = {name for name, models in taught.items() if models.seen.get(skill.skill_id) == skill.digest}
    informed = {name for name, models in taught.items() if held and models.seen.get(held.skill_id) == held.digest}
    for locale, book in books.items():
        rng = random.Random(locale)
        known = {line for _, line in Crowd([held], locale).drawn(rng, 100_000)} if held else set()
        for _, line in Crowd([skill], locale).drawn(rng, _MOST_READ):
            count += 1
            claimants = {
                name
                for intent in book.claimants(tokenise(line))
                if (name := intent.partition(".")[0]) not in {skill.skill_id, *knowing}
                and not (line in known and name in informed)
            }
            claimed += bool(claimants)
            for name in claimants:
                by_skill[name] = by_skill.get(name, 0) + 1
    if not count:
        return Divergence()
    stale = {name: own / count for name, own in sorted(by_skill.items(), key=lambda one: -one[1])}
    return Divergence(claimed / count, stale)
