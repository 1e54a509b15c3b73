"""Who is taught when: the queue of skills that wait for models, and the store that keeps what was learned.

`updating.py` calls `ask` for `UpdateSkill`, `app.py` runs `run` beside the library. Phrases serve at once; the models
follow within seconds, one skill at a time in a thread. Skills that come in a row wait for each other, so that they are
told apart from all of them. Models are stored under their skill and the digest of its manifest: other replicas take
them over, and an older manifest that comes back finds its own again. A replica that finds models missing for long
trains them itself: who was asked may be gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from services.nlu.library import SkillLibrary
from services.nlu.one_vs_all.divergence import LEAST_STALE, Divergence, diverged
from services.nlu.one_vs_all.models import SkillModels, unpacked
from services.nlu.one_vs_all.teaching import Surroundings, teach
from services.nlu.skills import Skill
from services.runtime.errors import AntiphonError, Conflict
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

SETTLED_S: Final = 1.0
"""Since the last skill was asked for: those of one start come within a second of each other."""

PATIENCE_S: Final = 15.0
"""After which a replica trains what another one was asked for."""

FEW: Final = 3
"""Skills that may come without the earlier ones being taught again, however few these were told from."""

KEPT_VERSIONS: Final = 3
"""Of a skill's models, the newest first: what a rolled back manifest finds again."""

_POLL_S = 0.25
_KEPT_S: Final = 10 * 365 * 86_400.0
_ATTEMPTS: Final = 5
_TENANT: Final = "@platform"
_INDEX: Final = "nlu.one_vs_all"


class State(Enum):
    """How far a skill's models are."""

    RUNNING = "RUNNING"
    SERVING = "SERVING"
    FAILED = "FAILED"


@dataclass
class _Entry:
    """What the store's index says of one skill.

    Attributes:
        digests: of the manifests whose models are kept, newest first.
        sha256: of the newest models.
        stale: other skill -> share of its sentences that these models wrongly claim.
    """

    digests: list[str] = field(default_factory=list)
    sha256: str = ""
    stale: dict[str, float] = field(default_factory=dict)


class Lessons:
    """One per replica."""

    def __init__(self, store: SessionStore, library: SkillLibrary) -> None:
        self._store = store
        self._library = library
        self._index: dict[str, _Entry] = {}
        self._seen = ABSENT
        self._asked: dict[str, float] = {}
        self._last_asked = 0.0
        self._taught_here: set[str] = set()
        self._again: set[str] = set()
        self._missing: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._around: tuple[str, Surroundings] = "", Surroundings(())
        self._ended = threading.Event()

    def ask(self, skill_id: str, *, again: bool = False) -> None:
        """Teach a skill of the shelf soon; `again` where its models are there but stale."""
        self._asked.setdefault(skill_id, 0.0)
        self._asked[skill_id] = self._last_asked = time.monotonic()
        self._failed.pop(skill_id, None)
        if again:
            self._again.add(skill_id)

    def state(self, skill: Skill) -> State:
        """Of the models for this manifest."""
        if self._failed.get(skill.skill_id) == skill.digest:
            return State.FAILED
        if not skill.phrase_count:
            return State.SERVING
        models = self._library.shelf.taught.get(skill.skill_id)
        waiting = models is None or models.digest != skill.digest or skill.skill_id in self._again
        return State.RUNNING if waiting else State.SERVING

    async def divergence(self, skill: Skill) -> Divergence:
        """How much of what a manifest says the models of the others take for theirs."""
        shelf = self._library.shelf
        locales = {tag for intent in skill.intents for tag in intent.phrases}
        books = {locale: book for locale in sorted(locales) if (book := await shelf.likeness(locale)) is not None}
        held = shelf.skills.get(skill.skill_id)
        return await asyncio.to_thread(diverged, skill, held, books, shelf.taught)

    async def note(self, skill: Skill, found: Divergence) -> None:
        """Remember which skills became stale by an update that was taken."""

        def noted(index: dict[str, _Entry]) -> bool:
            before = {name: dict(entry.stale) for name, entry in index.items()}
            for name, entry in index.items():
                entry.stale.pop(skill.skill_id, None)
                if found.stale.get(name, 0.0) >= LEAST_STALE:
                    entry.stale[skill.skill_id] = round(found.stale[name], 4)
            return before != {name: entry.stale for name, entry in index.items()}

        await self._write(noted)

    def stale(self) -> dict[str, float]:
        """Skills whose models no longer fit what the others say by now, the most stale first: the largest share of
        another skill's sentences that they wrongly claim."""
        skills = self._library.shelf.skills
        found = {
            name: max((share for other, share in entry.stale.items() if other in skills), default=0.0)
            for name, entry in self._index.items()
            if name in skills
        }
        return {name: found[name] for name in sorted(found, key=lambda name: -found[name]) if found[name]}

    async def run(self) -> None:
        """Until cancelled, which ends a lesson too; a store that cannot be reached is tried again, and what is known
        stays."""
        try:
            while True:
                await self._step()
        finally:
            self._ended.set()

    async def _step(self) -> None:
        try:
            await self.take_over()
            if (due := self._due()) is not None:
                await self._teach(due, anew=due.skill_id in self._again)
                return
            if (early := self._early()) is not None:
                await self._teach(early, anew=True)
                return
            self._around = "", Surroundings(())
        except AntiphonError as error:
            log.warning("models of skills cannot be kept: %s", error.reason)
        await asyncio.sleep(_POLL_S)

    async def take_over(self) -> None:
        """Take over the models that the store has and this replica has not."""
        index = await self._store.get(_TENANT, _INDEX)
        if index is not None and index.version != self._seen:
            self._index = _read(index.value)
            self._seen = index.version
        shelf = self._library.shelf
        found: dict[str, SkillModels] = {}
        for name, entry in self._index.items():
            skill, held = shelf.skills.get(name), shelf.taught.get(name)
            if skill is None or entry.digests[:1] != [skill.digest] or (held and held.sha256 == entry.sha256):
                continue
            models = await self._stored(skill)
            if models is not None:
                found[name] = models
        if found:
            self._library.adopt(found)

    def _due(self) -> Skill | None:
        """The next skill to teach: the smallest, so that a large one keeps few waiting."""
        now = time.monotonic()
        shelf = self._library.shelf
        for name, skill in shelf.skills.items():
            if name in self._library.own or self.state(skill) is not State.RUNNING:
                self._missing.pop(name, None)
                self._asked.pop(name, None)
            elif name not in self._asked and now - self._missing.setdefault(name, now) > PATIENCE_S:
                self._asked[name] = now - SETTLED_S
        waiting = sorted(
            (one for one in self._asked if one in shelf.skills), key=lambda one: shelf.skills[one].phrase_count
        )
        if not waiting or now - max(self._asked[name] for name in waiting) < SETTLED_S:
            return None
        return shelf.skills[waiting[0]]

    def _early(self) -> Skill | None:
        """A skill that this replica taught before most of today's skills were there: what was learned against so few is
        learned again. Where skills come one by one, each is taught again as often as their number doubles."""
        shelf = self._library.shelf
        if time.monotonic() - self._last_asked < SETTLED_S:
            return None
        for name in sorted(self._taught_here & shelf.taught.keys()):
            seen = shelf.taught[name].seen
            unseen = sum(other != name and other not in seen for other in shelf.skills)
            if unseen > max(FEW, len(seen)):
                return shelf.skills[name]
        return None

    async def _teach(self, skill: Skill, *, anew: bool) -> None:
        """Models for a skill: those that are kept for its manifest, or new ones."""
        name = skill.skill_id
        models = None if anew else await self._stored(skill)
        if models is None:
            try:
                models = await asyncio.to_thread(teach, skill, self._surroundings(), self._ended.is_set)
            except Exception:
                log.exception("the models of a skill could not be trained; its phrases serve without them")
                self._failed[name] = skill.digest
                self._asked.pop(name, None)
                self._again.discard(name)
                return
            self._taught_here.add(name)
        self._again.discard(name)
        self._asked.pop(name, None)
        held = self._library.shelf.skills.get(name)
        if held is None or held.digest != skill.digest:
            return
        try:
            await self._keep(models)
        finally:  # without a store this replica reads by them alone
            self._library.adopt({name: models})

    def _surroundings(self) -> Surroundings:
        """Of today's skills; the same while these stay, so that they are encoded once for all who wait."""
        shelf = self._library.shelf
        if self._around[0] != shelf.digest:
            self._around = shelf.digest, Surroundings(shelf.skills.values())
        return self._around[1]

    async def _keep(self, models: SkillModels) -> None:
        value = await asyncio.to_thread(lambda: models.packed)
        await self._store.put(_TENANT, _key(models.skill_id, models.digest), value, ttl=_KEPT_S)
        gone: list[str] = []

        def kept(index: dict[str, _Entry]) -> bool:
            entry = index.setdefault(models.skill_id, _Entry())
            digests = list(dict.fromkeys([models.digest, *entry.digests]))
            entry.digests, gone[:] = digests[:KEPT_VERSIONS], digests[KEPT_VERSIONS:]
            entry.sha256 = models.sha256
            skills = self._library.shelf.skills
            entry.stale = {
                other: share
                for other, share in entry.stale.items()
                if other in skills and models.seen.get(other) != skills[other].digest
            }
            return True

        await self._write(kept)
        for digest in gone:
            await self._store.delete(_TENANT, _key(models.skill_id, digest))

    async def _write(self, change: Any) -> None:
        """The index with a change, unless there is nothing to change."""
        for _ in range(_ATTEMPTS):
            held = await self._store.get(_TENANT, _INDEX)
            index = _read(held.value) if held else {}
            if not change(index):
                return
            value = json.dumps({name: [one.digests, one.sha256, one.stale] for name, one in index.items()}).encode()
            try:
                stored = await self._store.put(
                    _TENANT, _INDEX, value, ttl=_KEPT_S, expected=held.version if held else ABSENT
                )
            except Conflict:
                continue
            self._index, self._seen = index, stored.version
            return
        raise Conflict("Other skills are being trained; try again.", reason="INDEX_BUSY")

    async def _stored(self, skill: Skill) -> SkillModels | None:
        stored = await self._store.get(_TENANT, _key(skill.skill_id, skill.digest))
        if stored is None:
            return None
        try:
            models = await asyncio.to_thread(unpacked, stored.value)
        except (ValueError, KeyError, TypeError):
            log.warning("stored models of a skill cannot be read; they are made anew")
            return None
        return models if models.digest == skill.digest else None


def _key(skill_id: str, digest: str) -> str:
    return f"nlu.one_vs_all/{skill_id}/{digest[:16]}"


def _read(value: bytes) -> dict[str, _Entry]:
    raw: Mapping[str, Any] = json.loads(value)
    return {name: _Entry(list(one[0]), str(one[1]), dict(one[2])) for name, one in raw.items()}
