"""The skills that this replica reads by, kept in step with the store that all replicas of the pool share.

The servicer calls `update` for `UpdateSkill`; the interpreter asks for the book of a locale and for who claims a label.
A manifest is written under its skill's key, then the index of digests; `follow` reads the index every second and takes
over what another replica has written. The shelf of all skills is exchanged whole, so that an utterance is read by the
old phrases or by the new, never by a mixture; its books are made off the event loop, once the skills have settled or
somebody speaks.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.nlu.engines.phrases import PhraseBook
from services.nlu.one_vs_all.book import OneVsAll
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.shared_index import KEPT_S, TENANT, enter
from services.nlu.skills import Intent, Skill, checked, shared_phrases
from services.nlu.values.entities import Catalogue, EntityIndex
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput, QuotaExceeded
from services.runtime.store import ABSENT, SessionStore, Versioned

log = logging.getLogger(__name__)

FOLLOW_S: Final = 0.5
"""How often a replica looks for what others have written: one read of a small value."""

MAX_SKILLS: Final = 5_000
MAX_KEY: Final = 128

_REMEMBERED_KEYS: Final = 16
_INDEX: Final = "nlu.skills"
_LARGEST: Final = 16_000_000  # of a stored manifest once unpacked; the servicer takes a fourth of it


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a manifest. `replayed`: it was here already, `repeated`: under this key."""

    skill: Skill
    warnings: tuple[str, ...]
    replayed: bool = False
    repeated: bool = False


@dataclass(frozen=True)
class Shelf:
    """All that is known at one moment; a change makes a new one.

    Attributes:
        claims: label of a public taxonomy -> intents that claim it.
        catalogues: "skill.catalogue" -> its things.
        taught: skill -> the models of its intents, where they are trained for the manifest that is here.
    """

    skills: Mapping[str, Skill] = field(default_factory=dict)
    claims: Mapping[str, tuple[Intent, ...]] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    catalogues: Mapping[str, Catalogue] = field(default_factory=dict)
    locales: tuple[str, ...] = ()
    digest: str = ""
    taught: Mapping[str, SkillModels] = field(default_factory=dict)
    _books: dict[str, asyncio.Task[PhraseBook]] = field(default_factory=dict)
    _likenesses: dict[str, asyncio.Task[OneVsAll]] = field(default_factory=dict)

    async def book(self, locale: str) -> PhraseBook | None:
        """The phrases for a locale of `locales`; made once, off the event loop, when they are first asked for."""
        if locale not in self.locales:
            return None
        if locale not in self._books:
            self._books[locale] = asyncio.create_task(asyncio.to_thread(self._made, locale))
        return await asyncio.shield(self._books[locale])

    async def likeness(self, locale: str) -> OneVsAll | None:
        """The models of all intents for a locale; None where there are none. Made like `book`."""
        if not any(locale in models.by_locale for models in self.taught.values()):
            return None
        if locale not in self._likenesses:
            made = asyncio.to_thread(OneVsAll.of, self.taught.values(), locale)
            self._likenesses[locale] = asyncio.create_task(made)
        return await asyncio.shield(self._likenesses[locale])

    def with_models(self, models: Mapping[str, SkillModels]) -> Shelf:
        """The same with further models; those for other manifests than are here are left out."""
        fitting = {
            name: one for name, one in models.items() if name in self.skills and self.skills[name].digest == one.digest
        }
        return replace(self, taught={**self.taught, **fitting}, _likenesses={})

    def _made(self, locale: str) -> PhraseBook:
        """The book, and the indexes of the catalogues that its slots take."""
        for catalogue in self.catalogues.values():
            EntityIndex.of(catalogue, locale.partition("-")[0])
        return PhraseBook(self.skills.values(), locale)

    async def make_books(self) -> None:
        """All of them, one after the other."""
        for locale in self.locales:
            await self.book(locale)
            await self.likeness(locale)


def shelf_of(skills: Iterable[Skill]) -> Shelf:
    """The shelf with these skills; of several with one name the last."""
    by_id = {skill.skill_id: skill for skill in sorted(skills, key=lambda one: one.skill_id)}
    claims: dict[str, list[Intent]] = defaultdict(list)
    for skill in by_id.values():
        for intent in skill.intents:
            for label in intent.labels:
                claims[label].append(intent)
    return Shelf(
        skills=by_id,
        claims={label: tuple(intents) for label, intents in claims.items()},
        intents={intent.full_name: intent for skill in by_id.values() for intent in skill.intents},
        catalogues={f"{skill.skill_id}.{one.name}": one for skill in by_id.values() for one in skill.catalogues},
        locales=tuple(sorted({tag for one in by_id.values() for intent in one.intents for tag in intent.phrases})),
        digest=hashlib.sha256("".join(skill.digest for skill in by_id.values()).encode()).hexdigest(),
    )


class SkillLibrary:
    """The skills of one replica.

    Args:
        store: shared by the replicas of the pool; its limit for values must hold a manifest.
        read: makes a skill of what `update` was given as `wire`.
        own: skills of this capability itself, which no manifest replaces.
    """

    def __init__(self, store: SessionStore, read: Callable[[bytes], Skill], own: Iterable[Skill] = ()) -> None:
        self._store = store
        self._read = read
        self._own = tuple(own)
        self._shelf = shelf_of(self._own)
        self._digests: dict[str, str] = {}
        self._seen = ABSENT
        self._changing = asyncio.Lock()

    @property
    def shelf(self) -> Shelf:
        """What to read by now. Take it once per utterance."""
        return self._shelf

    @property
    def own(self) -> frozenset[str]:
        """Names of the skills of this capability itself."""
        return frozenset(one.skill_id for one in self._own)

    def adopt(self, models: Mapping[str, SkillModels]) -> None:
        """Read by these models from now on."""
        self._shelf = self._shelf.with_models(models)

    async def update(
        self, skill: Skill, wire: bytes, key: str, *, base_version: str = "", validate_only: bool = False
    ) -> Update:
        """Take a manifest over; serving when this returns.

        Args:
            wire: the manifest as `read` takes it.
            key: makes a repeat harmless.
            base_version: version that it replaces; empty for whichever is there.

        Raises:
            InvalidInput: `MANIFEST_INVALID`, `MANIFEST_TOO_LARGE`, `KEY_INVALID` or `KEY_REUSED`.
            FailedPrecondition: `BASE_VERSION_GONE`.
            Conflict: another update of this skill won.
            QuotaExceeded: `SKILLS_FULL`, or the store is full.
            Unavailable: the store cannot be reached.
        """
        if not 0 < len(key) <= MAX_KEY:
            raise InvalidInput(
                f"idempotency_key has 1 to {MAX_KEY} characters.", reason="KEY_INVALID", field="idempotency_key"
            )
        warnings = checked(skill)
        if any(one.skill_id == skill.skill_id for one in self._own):
            raise InvalidInput("This name is the platform's own.", reason="MANIFEST_INVALID", field="manifest.skill_id")
        await self.follow_once()
        shelf = self._shelf
        warnings += shared_phrases(skill, tuple(shelf.skills.values()))
        self._check_base(skill, base_version)
        if skill.skill_id not in shelf.skills and len(shelf.skills) >= MAX_SKILLS:
            raise QuotaExceeded(f"The pool knows its limit of {MAX_SKILLS} skills.", reason="SKILLS_FULL")
        if validate_only:
            return Update(skill, warnings)
        written, repeated = await self._write(skill, wire, key)
        if not written:
            return Update(skill, warnings, replayed=True, repeated=repeated)
        await self.follow_once()
        return Update(skill, warnings)

    async def follow_once(self) -> None:
        """Take over what the store has and this replica has not."""
        async with self._changing:
            index = await self._store.get(TENANT, _INDEX)
            if index is None or index.version == self._seen:
                return
            digests: dict[str, str] = json.loads(index.value)
            skills = {name: one for name, one in self._shelf.skills.items() if name in digests}
            for name, digest in digests.items():
                if self._digests.get(name) != digest and (skill := await self._stored(name)) is not None:
                    skills[name] = skill
            self._shelf = shelf_of((*self._own, *skills.values())).with_models(self._shelf.taught)
            self._digests = digests
            self._seen = index.version

    async def follow(self) -> None:
        """Until cancelled; a store that cannot be reached is tried again, and what is known stays."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.follow_once()
                await self._shelf.make_books()
            except AntiphonError as error:
                log.warning("skills of other replicas cannot be read: %s", error.reason)

    def _check_base(self, skill: Skill, base_version: str) -> None:
        held = self._shelf.skills.get(skill.skill_id)
        if held is not None and held.digest == skill.digest:
            return  # a repeat
        if base_version and (held is None or held.version != base_version):
            raise FailedPrecondition(
                f"The pool holds {held.version if held else 'no version'} of this skill, not the one to build on.",
                reason="BASE_VERSION_GONE",
                field="base_version",
            )

    async def _write(self, skill: Skill, wire: bytes, key: str) -> tuple[bool, bool]:
        """Whether the manifest had to be written, and whether the key was known."""
        name = f"nlu.skill/{skill.skill_id}"
        stored = await self._store.get(TENANT, name)
        keys = _keys(stored)
        if keys.get(key, skill.digest) != skill.digest:
            raise InvalidInput("The key was used for another manifest.", reason="KEY_REUSED", field="idempotency_key")
        held, repeated = skill.digest == self._digests.get(skill.skill_id), key in keys
        if held and repeated:
            return False, True
        keys[key] = skill.digest
        head = json.dumps(dict(list(keys.items())[-_REMEMBERED_KEYS:])).encode()
        value = await asyncio.to_thread(zlib.compress, wire)
        await self._store.put(
            TENANT,
            name,
            len(head).to_bytes(4, "big") + head + value,
            ttl=KEPT_S,
            expected=stored.version if stored else ABSENT,
        )
        if not held:
            await enter(self._store, _INDEX, skill.skill_id, skill.digest)
        return not held, repeated

    async def _stored(self, name: str) -> Skill | None:
        stored = await self._store.get(TENANT, f"nlu.skill/{name}")
        if stored is None:
            return None
        try:
            return await asyncio.to_thread(self._unpacked, stored.value)
        except (AntiphonError, ValueError, zlib.error):
            log.exception("the stored manifest of a skill cannot be read; it is passed over")
            return None

    def _unpacked(self, value: bytes) -> Skill:
        head = int.from_bytes(value[:4], "big")
        return self._read(zlib.decompressobj().decompress(value[4 + head :], _LARGEST))


def _keys(stored: Versioned | None) -> dict[str, str]:
    """Idempotency key -> digest of what came with it, oldest first."""
    if stored is None:
        return {}
    head = int.from_bytes(stored.value[:4], "big")
    keys: dict[str, str] = json.loads(stored.value[4 : 4 + head])
    return keys
