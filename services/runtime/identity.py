"""Who is calling: credentials in metadata -> `Principal`. `guard.py` asks this before every call.

The front door accepts an API key (`authorization: Bearer KEY` or `x-api-key: KEY`). Services behind it accept the same,
or the platform's internal token together with the principal that the caller has already authenticated, so that a tenant
is never read from a message (ARCHITECTURE.md, The contract). Keys are kept as SHA-256 digests only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.runtime.errors import FailedPrecondition, Unauthenticated

INTERNAL_TOKEN = "x-antiphon-internal"  # noqa: S105 - the name of a header
TENANT = "x-antiphon-tenant"
USER = "x-antiphon-user"
SCOPES = "x-antiphon-scopes"
# Names travel in metadata, which is ASCII, and become keys of stored state.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Principal:
    """The authenticated caller: `tenant` partitions all state, `user` may be empty, `scopes` are what a key allows."""

    tenant: str
    user: str = ""
    scopes: frozenset[str] = frozenset({"converse", "admin"})


LOCAL = Principal(tenant="local")


@dataclass(frozen=True)
class Identity:
    """Checks credentials.

    Args:
        keys: SHA-256 hex digest of an API key -> its principal. Empty: everybody is `LOCAL`, which settings allow only
            while the front door listens on loopback.
        internal_token: shared secret of this platform's services; empty turns forwarding off.
    """

    keys: Mapping[str, Principal] = field(default_factory=dict)
    internal_token: str = ""

    def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """The principal of one call.

        Raises:
            Unauthenticated: no key where one is needed, an unknown key, or a wrong internal token.
        """
        token = metadata.get(INTERNAL_TOKEN)
        if token is not None:
            return self._forwarded(token, metadata)
        if not self.keys:
            return LOCAL
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        key = metadata.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
        if not key:
            raise Unauthenticated(
                "no API key: send metadata 'authorization: Bearer <key>' or 'x-api-key: <key>'",
                reason="API_KEY_MISSING",
            )
        principal = self.keys.get(digest(key))
        if principal is None:
            raise Unauthenticated("this API key is not known here", reason="API_KEY_UNKNOWN")
        return principal

    def forward(self, principal: Principal) -> list[tuple[str, str]]:
        """Metadata that carries `principal` to another service of this platform."""
        if not self.internal_token:
            return []
        return [
            (INTERNAL_TOKEN, self.internal_token),
            (TENANT, principal.tenant),
            (USER, principal.user),
            (SCOPES, ",".join(sorted(principal.scopes))),
        ]

    def _forwarded(self, token: str, metadata: Mapping[str, str]) -> Principal:
        if not self.internal_token or not hmac.compare_digest(token.encode(), self.internal_token.encode()):
            raise Unauthenticated("the internal token is wrong", reason="INTERNAL_TOKEN_WRONG")
        scopes = frozenset(filter(None, metadata.get(SCOPES, "").split(",")))
        return Principal(metadata.get(TENANT, LOCAL.tenant), metadata.get(USER, ""), scopes)


def digest(key: str) -> str:
    """SHA-256 of an API key, hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def load_keys(path: Path) -> dict[str, Principal]:
    """Reads a JSON file: {"<key or sha256:hex>": {"tenant": "acme", "user": "", "scopes": ["converse"]}, ...}.

    Raises:
        FailedPrecondition: the file is missing or not of that shape; the message names the file and the entry.
    """
    try:
        entries = json.loads(path.read_text())
        return {_digest_of(name): _principal(entry) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailedPrecondition(
            f"API keys: cannot read {path} ({type(error).__name__}: {_told(error)}); "
            'expected {"key": {"tenant": "name"}}',
            reason="API_KEYS_UNREADABLE",
        ) from error


def _digest_of(name: str) -> str:
    return name.removeprefix("sha256:").lower() if name.startswith("sha256:") else digest(name)


def _principal(entry: Mapping[str, Any]) -> Principal:
    tenant, user, scopes = entry["tenant"], entry.get("user", ""), entry.get("scopes", ["converse"])
    if not isinstance(tenant, str) or not _NAME.fullmatch(tenant):
        raise ValueError(f"tenant {tenant!r} is no name of letters, digits, '.', '_' and '-'")
    if not isinstance(user, str) or (user and not _NAME.fullmatch(user)):
        raise ValueError(f"user {user!r} is no name of letters, digits, '.', '_' and '-'")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError(f"scopes of tenant '{tenant}' must be a list of names")
    return Principal(tenant, user, frozenset(scopes))


def _told(error: Exception) -> str:
    """What an error says, unless it may quote the file: that holds keys."""
    return str(error) if type(error) in (ValueError, KeyError) else "no more is told of it"
