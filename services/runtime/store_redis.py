"""The session store of a cluster: a Redis server that replicas on several nodes share. The only module with `redis`.

`stores.py` opens it where `ANTIPHON_STORE_URL` names a server. Every write is one Lua script, which Redis runs as a
whole: compare-and-set, the turn's key, the limits and the expiry cannot come apart, and no write is ever repeated by
this module, because a repeat of one that has been done would look like a lost race. Time is the server's, so replicas
whose clocks differ agree on what has expired.

Limits are exact: two sorted sets, by expiry, count the live entries of all and of each tenant; whoever adds an entry
clears them of what has expired, so that they do not outgrow what they count. They would count too
much only where Redis drops keys by itself, so run it with `maxmemory-policy noeviction`. Durability is Redis' own: with
`appendonly yes` a crash may lose the last second, as may a failover to a replica. All keys of one capability lie in one
hash slot, so Redis Cluster does not spread them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.runtime.errors import AntiphonError, FailedPrecondition, Internal, QuotaExceeded, Unavailable
from services.runtime.store import REMEMBERED_TURNS, StoreLimits, Versioned, store_full, version_conflict

CONNECTIONS: Final = 32
"""Of one replica to the server; more calls than that wait for one that is free, at most `timeout` seconds."""

_LONGEST_MS: Final = 10**14
_SCHEMES: Final = ("redis", "rediss", "unix")
_START: Final = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""
_ROW: Final = (
    _START
    + """
local row, version, turns = redis.call('HMGET', KEYS[1], 'version', 'expires', 'turns'), 0, ''
if row[1] then
  if tonumber(row[2]) > now then version, turns = tonumber(row[1]), row[3] else redis.call('DEL', KEYS[1]) end
end
"""
)
# Clearing comes after the HSET: once a script has changed something, Redis refuses it no more memory.
# KEYS: entry, live entries of all, live entries of the tenant.
# ARGV: now, member, expected, turn, value, ttl, ttl in ms, limit of all, limit of the tenant, turns remembered.
_PUT: Final = (
    _ROW
    + """
local turn = ARGV[4]
if version > 0 and turn ~= '' and string.find('\\n' .. turns .. '\\n', '\\n' .. turn .. '\\n', 1, true) then
  return {'stored', version, row[2], redis.call('HGET', KEYS[1], 'value')}
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'conflict', version} end
local function full(number, limit)
  if redis.call('ZCARD', KEYS[number]) < tonumber(limit) then return false end
  redis.call('ZREMRANGEBYSCORE', KEYS[number], '-inf', string.format('%.17g', now))
  return redis.call('ZCARD', KEYS[number]) >= tonumber(limit)
end
if version == 0 then
  if full(2, ARGV[8]) then return {'full', ARGV[8], 'entries'} end
  if full(3, ARGV[9]) then return {'full', ARGV[9], 'entries for this tenant'} end
end
if turn ~= '' then
  turns = turns == '' and turn or turns .. '\\n' .. turn
  local _, held = string.gsub(turns, '\\n', '')
  for _ = 1, held + 1 - tonumber(ARGV[10]) do turns = string.sub(turns, string.find(turns, '\\n', 1, true) + 1) end
end
local expires = string.format('%.17g', now + tonumber(ARGV[6]))
redis.call('HSET', KEYS[1], 'value', ARGV[5], 'version', version + 1, 'expires', expires, 'turns', turns)
redis.call('PEXPIRE', KEYS[1], ARGV[7])
for number = 2, 3 do
  redis.call('ZADD', KEYS[number], expires, ARGV[2])
  if redis.call('PTTL', KEYS[number]) < tonumber(ARGV[7]) then redis.call('PEXPIRE', KEYS[number], ARGV[7]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[number], '-inf', string.format('%.17g', now))
end
return {'stored', version + 1, expires}
"""
)
_DELETE: Final = (
    _ROW
    + """
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'conflict', version} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return {'deleted', version}
"""
)
_SWEEP: Final = _START + "return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.17g', now))"


class RedisSessionStore:
    """A `SessionStore` on a Redis server (6 or later). Open it with `await RedisSessionStore.open(url, ...)`.

    Args:
        url: `redis://host:6379/0`, `rediss://host:6380/0` (TLS) or `unix:///path`; without a password.
        space: the capability's name: several share a server without seeing each other's entries.
        password: for the server; empty for none.
        certificates: PEM file of the authorities that a `rediss` server is checked by; empty takes the system's.
        timeout: seconds that a call waits for the server, and for a connection to it, before it raises Unavailable.
        now: seconds since 1970, for tests; without it the server's clock counts.
    """

    def __init__(
        self,
        url: str,
        space: str,
        *,
        password: str = "",
        certificates: str = "",
        limits: StoreLimits | None = None,
        timeout: float = 2.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        _check(url)
        self._limits = limits or StoreLimits()
        self._now = now
        self._space = f"{{antiphon:{space}}}"
        options: dict[str, Any] = {"ssl_ca_certs": certificates} if certificates and url.startswith("rediss") else {}
        if password:
            options["password"] = password
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        self._redis = Redis(connection_pool=self._pool)
        self._put_script = self._redis.register_script(_PUT)
        self._delete_script = self._redis.register_script(_DELETE)
        self._sweep_script = self._redis.register_script(_SWEEP)
        self._closed = False

    @classmethod
    async def open(cls, url: str, space: str, *, patience: float = 10.0, **options: Any) -> RedisSessionStore:
        """Connect, waiting up to `patience` seconds for a server that is starting.

        Raises:
            FailedPrecondition: SETTINGS_INVALID (the address), STORE_REFUSED (the password, or rights of the user).
            Unavailable: STORE_GONE, nothing answers there.
        """
        store = cls(url, space, **options)
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                await store._run(store._ping)
                return store
            except Unavailable:
                if asyncio.get_running_loop().time() > deadline:
                    await store.close()
                    raise
                await asyncio.sleep(0.2)
            except BaseException:
                await store.close()
                raise

    async def get(self, tenant: str, key: str) -> Versioned | None:
        try:
            row = await self._run(lambda: self._read(tenant, key))
        except Unavailable:
            if self._closed:
                raise
            # A connection may have died unseen; reading changes nothing.
            row = await self._run(lambda: self._read(tenant, key))
        if row[1] is None or (self._now is not None and float(row[2]) <= self._now()):
            return None
        return Versioned(row[0], int(row[1]), float(row[2]))

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        self._limits.check(tenant, key, value, ttl)
        limits = self._limits
        milliseconds = math.ceil(min(ttl * 1000.0, _LONGEST_MS))
        answer = await self._write(
            self._put_script,
            *(tenant, key, expected, turn, value, repr(min(ttl, _LONGEST_MS / 1000.0)), milliseconds),
            *(limits.max_entries, limits.max_entries_per_tenant, REMEMBERED_TURNS),
        )
        if answer[0] == b"conflict":
            raise version_conflict(key, expected or 0, int(answer[1]))
        if answer[0] == b"full":
            raise store_full(int(answer[1]), answer[2].decode())
        return Versioned(answer[3] if len(answer) > 3 else value, int(answer[1]), float(answer[2]))

    async def delete(self, tenant: str, key: str, *, expected: int | None = None) -> bool:
        answer = await self._write(self._delete_script, tenant, key, expected)
        if answer[0] == b"conflict":
            raise version_conflict(key, expected or 0, int(answer[1]))
        return int(answer[1]) > 0

    async def sweep(self) -> int:
        keys, args = [f"{self._space}live"], [self._clock()]
        return int(await self._run(lambda: self._sweep_script(keys=keys, args=args)))

    async def close(self) -> None:
        self._closed = True
        await self._redis.aclose()
        await self._pool.aclose()

    async def _write(self, script: Any, tenant: str, key: str, expected: int | None, *rest: Any) -> Any:
        member = _member(tenant, key)
        keys = [f"{self._space}entry:{member}", f"{self._space}live", f"{self._space}tenant:{tenant}"]
        args = [self._clock(), member, "" if expected is None else expected, *rest]
        return await self._run(lambda: script(keys=keys, args=args))

    def _read(self, tenant: str, key: str) -> Awaitable[list[Any]]:
        return self._redis.hmget(f"{self._space}entry:{_member(tenant, key)}", ["value", "version", "expires"])

    async def _ping(self) -> bool:
        pong: Any = self._redis.ping()
        return bool(await pong)

    def _clock(self) -> str:
        return "" if self._now is None else repr(self._now())

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._closed:
            raise Unavailable("the session store is closed", reason="STORE_CLOSED")
        try:
            return await call()
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise _translated(error) from None  # the original names addresses, and could name keys


def _member(tenant: str, key: str) -> str:
    """One name for tenant and key that no other pair has."""
    return f"{len(tenant)}:{tenant}:{key}"


def _check(url: str) -> None:
    """Raises FailedPrecondition for an address that is none, without repeating it: it may hold a secret."""
    try:
        parts = urlsplit(url)
        password = parts.password
        _ = parts.port
    except ValueError:
        raise _invalid("store_url is redis://host:port/db, rediss://host:port/db or unix:///path") from None
    if parts.scheme not in _SCHEMES or not (parts.hostname or parts.path):
        raise _invalid("store_url is redis://host:port/db, rediss://host:port/db or unix:///path")
    if password:
        raise _invalid("store_url holds a password: give it in ANTIPHON_STORE_PASSWORD or a file, and not in the URL")
    if parts.query:
        raise _invalid("store_url takes no options")


def _invalid(message: str) -> FailedPrecondition:
    return FailedPrecondition(f"settings: {message}", reason="SETTINGS_INVALID")


def _translated(error: BaseException) -> AntiphonError:
    """A failure of Redis as one of ours; without its text, which could name keys or an address."""
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return Unavailable("the session store does not answer in time", reason="STORE_TIMEOUT", retry_after=1.0)
    text = str(error)  # what fails within a script comes as a text alone, with Redis' code in it
    for codes, ours in (
        (("NOAUTH", "WRONGPASS", "invalid password", "invalid username", "NOPERM"), _refused),
        (("OOM command",), _full),
        (("READONLY",), lambda: _away("the session store's server takes no writes", "STORE_READONLY")),
        (("MISCONF",), lambda: _away("the session store's disk fails", "STORE_IO")),
    ):
        if any(code in text for code in codes):
            return ours()
    if isinstance(error, exceptions.AuthenticationError):
        return _refused()
    if isinstance(error, (exceptions.ConnectionError, OSError)):
        return _away("the session store cannot be reached", "STORE_GONE")
    return Internal("the session store failed", reason="STORE_FAILED")


def _refused() -> AntiphonError:
    return FailedPrecondition(
        "the session store refuses us: check ANTIPHON_STORE_PASSWORD and the user's rights", reason="STORE_REFUSED"
    )


def _full() -> AntiphonError:
    return QuotaExceeded("the session store's server has no memory left", reason="STORE_FULL", retry_after=30.0)


def _away(message: str, reason: str) -> AntiphonError:
    return Unavailable(message, reason=reason, retry_after=1.0)
