"""The notes that a published recogniser's ONNX file carries about itself, read with suspicion.

`nemo.py`, `wenet.py` and `zipformer2.py` read sizes here out of which tensors are made: each has bounds, so that a file
which asks for the moon is refused before anything is allocated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.errors import FailedPrecondition

_NUMBER = re.compile(r"[0-9]{1,9}")
_LONGEST = 16  # numbers in a list: stacks of layers
_SHOWN = 40  # characters of a wrong value that an error repeats


@dataclass(frozen=True)
class Notes:
    """The metadata of one file, by key; errors name both."""

    file: str
    values: Mapping[str, str]

    def text(self, key: str, default: str | None = None) -> str:
        """Raises FailedPrecondition `MODEL_METADATA_INVALID` when the key is missing and there is no default."""
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def number(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Raises FailedPrecondition `MODEL_METADATA_INVALID` unless it is there and within its bounds."""
        text = self.text(key, None if default is None else str(default))
        return self._bounded(key, text, least, most)

    def numbers(self, key: str, least: int, most: int, count: int | None = None) -> tuple[int, ...]:
        """Numbers with commas between them, `count` of them where that is given."""
        parts = self.text(key).split(",", maxsplit=_LONGEST)
        if count is not None and len(parts) != count:
            raise self.wrong(key, f"has {len(parts)} numbers, the other lists have {count}")
        if len(parts) > _LONGEST:
            raise self.wrong(key, f"has more than {_LONGEST} numbers")
        return tuple(self._bounded(key, part, least, most) for part in parts)

    def wrong(self, key: str, what: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"{self.file}: its metadata {key} {what}.",
            reason="MODEL_METADATA_INVALID",
            metadata={"file": self.file, "key": key},
        )

    def _bounded(self, key: str, text: str, least: int, most: int) -> int:
        if not _NUMBER.fullmatch(text.strip()):
            raise self.wrong(key, f"is {text[:_SHOWN]!r}, not a number from {least} to {most}")
        if not least <= (number := int(text)) <= most:
            raise self.wrong(key, f"is {number}, not from {least} to {most}")
        return number
