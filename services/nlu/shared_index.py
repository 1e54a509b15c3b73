"""An index in the store that says which digest of each name serves: what replicas follow to learn of each other.

`library` keeps one of skills, `locales.adding` one of locales.
"""

from __future__ import annotations

import json
from typing import Final

from services.runtime.errors import Conflict
from services.runtime.store import ABSENT, SessionStore

TENANT: Final = "@platform"  # no principal's tenant has this name: identity refuses the character
KEPT_S: Final = 10 * 365 * 86_400.0

_ATTEMPTS: Final = 5


async def enter(store: SessionStore, index: str, name: str, digest: str) -> None:
    """Writes `name` into the index beside what others write. Raises Conflict: INDEX_BUSY, too many write at once."""
    for _ in range(_ATTEMPTS):
        held = await store.get(TENANT, index)
        digests = json.loads(held.value) if held else {}
        digests[name] = digest
        try:
            value = json.dumps(digests).encode()
            await store.put(TENANT, index, value, ttl=KEPT_S, expected=held.version if held else ABSENT)
        except Conflict:
            continue
        return
    raise Conflict("Others are being added at the same time; try again.", reason="INDEX_BUSY")
