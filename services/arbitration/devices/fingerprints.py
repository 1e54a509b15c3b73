"""Whether two devices heard the same sound: what they tell of its energy, made small and compared. For `groups.py`."""

from __future__ import annotations

from typing import Final

import numpy as np

MAX_BYTES: Final = 4096
SKETCH_BYTES: Final = 128
SAME: Final = 0.3
"""Correlation from which on two sketches may be of one sound: rooms colour it, two people's voices hardly agree."""


def sketch(fingerprint: bytes) -> bytes:
    """At most `SKETCH_BYTES` bytes: the means of as many equal parts."""
    if len(fingerprint) <= SKETCH_BYTES:
        return fingerprint
    parts = np.array_split(np.frombuffer(fingerprint, np.uint8), SKETCH_BYTES)
    return bytes(int(part.mean()) for part in parts)


def may_be_one_sound(one: bytes, other: bytes) -> bool:
    """True also where either says nothing: empty, of another length, or the same everywhere."""
    if len(one) != len(other) or len(one) < 2:
        return True
    a, b = (np.frombuffer(sketch, np.uint8).astype(np.float64) for sketch in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return scale == 0.0 or float(a @ b) / scale >= SAME
