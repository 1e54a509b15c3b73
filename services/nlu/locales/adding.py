"""`AddLocale`: a locale is learnt beside the service, kept in the store that all replicas share, and served at once.

The servicer calls `add`, again and again with the same key to learn how far it is; the interpreter reads by `readers`.
One locale is learnt at a time, in a process of its own (`lessons.py`). What is running is written down with a short
life: if the replica dies, a repeat of the call begins anew. `follow` takes over what other replicas have made.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from services.nlu.engines.phrases import PhraseBook
from services.nlu.library import FOLLOW_S, MAX_KEY, Shelf, SkillLibrary
from services.nlu.locales.lessons import Lesson, learnt_apart
from services.nlu.locales.material import MAX_EXAMPLES, NewLocale, gathered
from services.nlu.locales.reading import LocaleReader
from services.nlu.locales.translation import MAX_ENTRIES, MAX_TARGETS
from services.nlu.shared_index import KEPT_S, TENANT, enter
from services.runtime.errors import AlreadyExists, AntiphonError, Conflict, InvalidInput, Overloaded, QuotaExceeded
from services.runtime.language import best_supported
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

MAX_LOCALES: Final = 50
"""Locales of a pool that were added; each takes some megabytes of memory."""

MAX_INTENTS: Final = 250
"""Intents with phrases in the source: each is some 14 KB of what is stored, and a tenth of a second to learn."""

MAX_WAITING: Final = 4
"""Additions that run or wait in one replica."""

MAX_WORD: Final = 200
"""Code points of a source or a translation."""

_RUNNING_S: Final = 900.0
_INDEX: Final = "nlu.locales"


class State(Enum):
    """How far an addition is; the names are the contract's."""

    RUNNING = "RUNNING"
    SERVING = "SERVING"
    VALIDATED = "VALIDATED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Addition:
    """How an addition stands. `failure` is the reason of a failed one."""

    state: State
    coverage: float = 0.0
    warnings: tuple[str, ...] = ()
    failure: str = ""


class Locales:
    """The added locales of one replica.

    Args:
        store: shared by the replicas of the pool; its limit for values must hold a model (about 1 MB).
        library: whose phrases are translated.
        trained: locales that the engine of known intents was trained on: nothing is added in their place.
        learn: makes a lesson without holding the event loop.
    """

    def __init__(
        self,
        store: SessionStore,
        library: SkillLibrary,
        trained: tuple[str, ...] = (),
        learn: Callable[[NewLocale, Shelf], Awaitable[Lesson]] = learnt_apart,
    ) -> None:
        self._store = store
        self._library = library
        self._trained = trained
        self._learn_apart = learn
        self._readers: dict[str, LocaleReader] = {}
        self._digests: dict[str, str] = {}
        self._seen = ABSENT
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._learning = asyncio.Semaphore(1)
        self._checking = asyncio.Semaphore(1)
        self._beginning = asyncio.Lock()
        self._following = asyncio.Lock()

    @property
    def readers(self) -> tuple[LocaleReader, ...]:
        return tuple(self._readers.values())

    def book(self, locale: str) -> tuple[str, PhraseBook] | None:
        """Phrases that were made for a locale, with the name of the model that they belong to."""
        tag = best_supported((locale,), self._readers)
        return (self._readers[tag].info.model, self._readers[tag].book) if tag else None

    def reader(self, locale: str) -> LocaleReader | None:
        """Of exactly this locale."""
        return self._readers.get(locale)

    async def add(self, new: NewLocale, key: str, *, validate_only: bool = False) -> Addition:
        """Begin to learn a locale, or tell how far it is.

        Args:
            key: makes a repeat harmless.

        Raises:
            InvalidInput: `KEY_INVALID`, `KEY_REUSED`, `LEXICON_INVALID`, `LEXICON_EMPTY`, `SOURCE_UNKNOWN`.
            QuotaExceeded: `INTENTS_TOO_MANY`: more than `MAX_INTENTS` would have to be learnt.
            AlreadyExists: `LOCALE_SERVED`: skills bring phrases for it, or a model was trained on it.
            Conflict: `LOCALE_BUSY`: it is being added under another key.
            Overloaded: `ADDITIONS_FULL`. QuotaExceeded: `LOCALES_FULL`. Unavailable: the store cannot be reached.
        """
        self._check(new, key)
        await asyncio.to_thread(_check_lexicon, new)
        if validate_only:
            async with self._checking:
                material = await asyncio.to_thread(gathered, new, self._library.shelf)
            return Addition(State.VALIDATED, material.coverage, material.warnings)
        await self.follow_once()
        async with self._beginning:
            told = await self._told(new.locale)
            if told and told["key"] == key:
                if told["digest"] != new.digest:
                    raise InvalidInput(
                        "The key was used for another request.", reason="KEY_REUSED", field="idempotency_key"
                    )
                if told["state"] != State.FAILED.value:
                    return _addition(told)
            elif told and told["state"] == State.RUNNING.value:
                raise Conflict("This locale is being added under another key.", reason="LOCALE_BUSY")
            self._check_room(new.locale)
            return await self._begin(new, key)

    async def follow_once(self) -> None:
        """Take over what the store has and this replica has not."""
        async with self._following:
            index = await self._store.get(TENANT, _INDEX)
            if index is None or index.version == self._seen:
                return
            digests: dict[str, str] = json.loads(index.value)
            for tag, digest in digests.items():
                if self._digests.get(tag) != digest and (reader := await self._stored(tag)) is not None:
                    self._readers[tag] = reader
                    self._digests[tag] = digest
            self._seen = index.version

    async def follow(self) -> None:
        """Until cancelled; a store that cannot be reached is tried again."""
        while True:
            await asyncio.sleep(2 * FOLLOW_S)
            try:
                await self.follow_once()
            except AntiphonError as error:
                log.warning("locales of other replicas cannot be read: %s", error.reason)

    async def close(self) -> None:
        """Gives up what is being learnt; a repeat of its call begins anew."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _begin(self, new: NewLocale, key: str) -> Addition:
        await self._tell(new, key, Addition(State.RUNNING))
        job = asyncio.create_task(self._learn(new, key))
        self._jobs[new.locale] = job
        job.add_done_callback(lambda done: self._jobs.pop(new.locale, None))
        return Addition(State.RUNNING)

    async def _learn(self, new: NewLocale, key: str) -> None:
        try:
            async with self._learning:
                shelf = self._library.shelf
                learnt = await self._learn_apart(new, shelf)
                reader = await asyncio.to_thread(LocaleReader.of, new.locale, learnt.stored, shelf)
            await self._keep(reader)
            await self._tell(new, key, Addition(State.SERVING, learnt.coverage, learnt.warnings))
        except AntiphonError as error:
            log.warning("a locale could not be added: %s", error.reason)
            await self._tell(new, key, Addition(State.FAILED, failure=error.reason))
        except Exception:
            log.exception("a locale could not be added")
            await self._tell(new, key, Addition(State.FAILED, failure="INTERNAL"))

    async def _keep(self, reader: LocaleReader) -> None:
        """The model, then the index that makes all replicas serve it; this one does at once."""
        await self._store.put(TENANT, f"nlu.locale/{reader.locale}", reader.stored, ttl=KEPT_S)
        await enter(self._store, _INDEX, reader.locale, reader.info.digest)
        self._readers[reader.locale] = reader
        self._digests[reader.locale] = reader.info.digest

    async def _stored(self, tag: str) -> LocaleReader | None:
        stored = await self._store.get(TENANT, f"nlu.locale/{tag}")
        if stored is None:
            return None
        try:
            return await asyncio.to_thread(LocaleReader.of, tag, stored.value, self._library.shelf)
        except (ValueError, KeyError, zlib.error, OSError):
            log.exception("the stored model of a locale cannot be read; it is passed over")
            return None

    async def _told(self, locale: str) -> dict[str, Any] | None:
        stored = await self._store.get(TENANT, f"nlu.locale.job/{locale}")
        told: dict[str, Any] | None = json.loads(stored.value) if stored else None
        return told

    async def _tell(self, new: NewLocale, key: str, addition: Addition) -> None:
        told = {
            "key": key,
            "digest": new.digest,
            "state": addition.state.value,
            "coverage": addition.coverage,
            "warnings": addition.warnings,
            "failure": addition.failure,
        }
        life = _RUNNING_S if addition.state is State.RUNNING else KEPT_S
        await self._store.put(TENANT, f"nlu.locale.job/{new.locale}", json.dumps(told).encode(), ttl=life)

    def _check(self, new: NewLocale, key: str) -> None:
        if not 0 < len(key) <= MAX_KEY:
            raise InvalidInput(
                f"idempotency_key has 1 to {MAX_KEY} characters.", reason="KEY_INVALID", field="idempotency_key"
            )
        shelf = self._library.shelf
        if new.source not in shelf.locales:
            raise InvalidInput(
                f"No skill has phrases in {new.source} to translate.",
                reason="SOURCE_UNKNOWN",
                field="source_language_code",
            )
        count = sum(bool(intent.phrases.get(new.source)) for intent in shelf.intents.values())
        if count > MAX_INTENTS:
            raise QuotaExceeded(
                f"A locale is made for at most {MAX_INTENTS} intents; the skills have {count} with phrases in "
                f"{new.source}.",
                reason="INTENTS_TOO_MANY",
            )
        if best_supported((new.locale,), {*shelf.locales, *self._trained}):
            raise AlreadyExists(
                f"{new.locale} is served by phrases of skills or by a model that was trained on it.",
                reason="LOCALE_SERVED",
                field="language_code",
            )

    def _check_room(self, locale: str) -> None:
        if len(self._jobs) >= MAX_WAITING:
            raise Overloaded("Other locales are being added; try again.", reason="ADDITIONS_FULL")
        if locale not in self._readers and len(self._readers) >= MAX_LOCALES:
            raise QuotaExceeded(f"The pool knows its limit of {MAX_LOCALES} added locales.", reason="LOCALES_FULL")


def _check_lexicon(new: NewLocale) -> None:
    if not new.lexicon and not new.examples:
        raise InvalidInput(
            "A locale is learnt from a lexicon or from examples; there is neither.",
            reason="LEXICON_EMPTY",
            field="lexicon",
        )
    if len(new.lexicon) > MAX_ENTRIES or len(new.examples) > MAX_EXAMPLES:
        raise InvalidInput(
            f"At most {MAX_ENTRIES} entries and {MAX_EXAMPLES} examples.", reason="LEXICON_INVALID", field="lexicon"
        )
    for at, (source, targets) in enumerate(new.lexicon):
        words = (source, *targets)
        if len(targets) > MAX_TARGETS or any(not word.strip() or len(word) > MAX_WORD for word in words):
            raise InvalidInput(
                f"An entry has a source and up to {MAX_TARGETS} targets of 1 to {MAX_WORD} code points each.",
                reason="LEXICON_INVALID",
                field=f"lexicon[{at}]",
            )


def _addition(told: dict[str, Any]) -> Addition:
    made = Addition(State(told["state"]), float(told["coverage"]), tuple(told["warnings"]))
    return replace(made, failure=str(told["failure"]))
