"""Pools of a capability and the directory that finds the one for a call.

A pool is one application with its own address: (capability, locales, tenants, traffic arm). The platform writes the
directory when it starts (configuration, later the operator); arbitration asks it before each call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from services.runtime.errors import FailedPrecondition
from services.runtime.language import best_supported

DEFAULT_ARM = "stable"


@dataclass(frozen=True)
class Pool:
    """One pool's address.

    Attributes:
        name: unique on the platform, `asr` or `asr-zh`.
        capability: `asr`.
        target: gRPC target that leads to this pool only, `127.0.0.1:9201`.
        locales: BCP-47 tags it serves; empty serves every locale.
        tenants: tenants it is reserved for; empty serves every tenant.
        arm: traffic arm, for canaries and shadows.
    """

    name: str
    capability: str
    target: str
    locales: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    arm: str = DEFAULT_ARM


@dataclass(frozen=True)
class PoolDirectory:
    """All pools of the platform, in order of preference among equals."""

    pools: tuple[Pool, ...] = field(default_factory=tuple)

    def resolve(self, capability: str, locale: str = "", tenant: str = "", arm: str = DEFAULT_ARM) -> Pool:
        """The pool for a call: asked arm before stable, nearer locale before farther, reserved before shared.

        Args:
            capability: `asr`, `nlu`, ...
            locale: BCP-47 tag of the session, `de-AT`; it falls back to `de`, then to pools without locales.
            tenant: the principal's tenant.
            arm: traffic arm that the session was assigned to.

        Raises:
            FailedPrecondition: no pool serves this locale; the message lists the locales there are.
        """
        mine = [p for p in self.pools if p.capability == capability and (not p.tenants or tenant in p.tenants)]
        for candidates in (_of_arm(mine, arm), _of_arm(mine, DEFAULT_ARM)):
            found = _nearest(sorted(candidates, key=lambda p: not p.tenants), locale)
            if found:
                return found
        known = sorted({tag for p in mine for tag in p.locales})
        raise FailedPrecondition(
            f"no pool of '{capability}' serves locale '{locale}'; "
            + (f"there are: {', '.join(known)}" if known else "none is running"),
            reason="LOCALE_NOT_SERVED" if mine else "CAPABILITY_NOT_RUNNING",
            field="locale",
        )

    def named(self, name: str) -> Pool | None:
        """The pool of that name."""
        return next((pool for pool in self.pools if pool.name == name), None)

    def to_json(self) -> str:
        """For an environment variable of the replicas."""
        return json.dumps([asdict(p) for p in self.pools])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        return cls(tuple(_pool(entry) for entry in json.loads(text or "[]")))


def _pool(entry: dict[str, Any]) -> Pool:
    return Pool(**{**entry, "locales": tuple(entry["locales"]), "tenants": tuple(entry["tenants"])})


def _of_arm(pools: Iterable[Pool], arm: str) -> list[Pool]:
    return [p for p in pools if p.arm == arm]


def _nearest(pools: list[Pool], locale: str) -> Pool | None:
    if not locale:
        return pools[0] if pools else None
    served = best_supported((locale,), {tag for p in pools for tag in p.locales})
    if served is not None:
        return next(p for p in pools if served in p.locales)
    return next((p for p in pools if not p.locales), None)
