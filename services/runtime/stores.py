"""Picks where a capability keeps its state: in Redis, in a file of this node, or in this process.

The `app.py` of each capability with state calls `open_store`, so that all are moved by one setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.settings import load
from services.runtime.spec import Runtime
from services.runtime.store import MemorySessionStore, SessionStore, StoreLimits
from services.runtime.store_sqlite import SqliteSessionStore

_CHECK_S = 2.0  # a server that starts beside the platform may still be a moment away


@dataclass(frozen=True)
class StoreAccess:
    """How a Redis server is reached, from `ANTIPHON_STORE_*` alone: secrets are in no settings file.

    Attributes:
        password: of the server.
        password_file: file that holds it, as Kubernetes mounts a secret; read when `password` is empty.
        certificates: PEM file with the authorities that the server's certificate is checked by, for `rediss://`.
        timeout: seconds that a call waits for the server.
    """

    password: str = field(default="", repr=False)
    password_file: str = ""
    certificates: str = ""
    timeout: float = 2.0

    def secret(self) -> str:
        """The password. Raises FailedPrecondition when its file cannot be read."""
        if self.password or not self.password_file:
            return self.password
        try:
            return Path(self.password_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FailedPrecondition(
                f"settings: ANTIPHON_STORE_PASSWORD_FILE cannot be read: {type(error).__name__}",
                reason="SETTINGS_INVALID",
            ) from None


async def open_store(
    runtime: Runtime, file: str, limits: StoreLimits | None = None, environment: Mapping[str, str] | None = None
) -> SessionStore:
    """The store of a capability.

    Args:
        runtime: its `store_url` names a Redis server, else its `state_dir` a folder; with neither, state is in memory.
        file: name of the file in that folder; its stem is the capability's space in Redis.
        environment: `os.environ` unless given.

    Raises:
        FailedPrecondition: the address, the password or the file is wrong.
        Unavailable: the server does not answer.
    """
    if runtime.store_url:
        return await _redis(runtime.store_url, Path(file).stem, limits, environment)
    if not runtime.state_dir:
        return MemorySessionStore(limits or StoreLimits())
    folder = Path(runtime.state_dir)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    return await SqliteSessionStore.open(folder / file, limits=limits)


async def check_store(url: str, environment: Mapping[str, str] | None = None) -> None:
    """Asks the Redis server of a platform that is about to start for an answer; `antiphon up` does, to fail at once.

    Raises:
        FailedPrecondition: the address or the password is wrong.
        Unavailable: the server does not answer; the message names it, as only its operator reads it.
    """
    try:
        store = await _redis(url, "check", None, environment, patience=_CHECK_S)
    except Unavailable as error:
        parts = urlsplit(url)
        raise Unavailable(
            f"{error.message}: nothing answers at {parts.netloc or parts.path} (store_url, ANTIPHON_STORE_URL); "
            "start it, or leave the setting out to keep state in files",
            reason=error.reason,
        ) from None
    await store.close()


async def _redis(
    url: str, space: str, limits: StoreLimits | None, environment: Mapping[str, str] | None, **options: float
) -> SessionStore:
    # Whoever needs no Redis need not have its client.
    from services.runtime.store_redis import RedisSessionStore

    access = load(StoreAccess, {}, "ANTIPHON_STORE", environment)
    return await RedisSessionStore.open(
        url,
        space,
        password=await asyncio.to_thread(access.secret),
        certificates=access.certificates,
        timeout=access.timeout,
        limits=limits,
        **options,
    )
