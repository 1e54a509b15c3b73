"""How much of a partial transcript will stay; used by `segmenter.py` for every partial.

The first pass of a decoder rewrites its last words as more audio comes. What has not changed over the last few looks is
told as stable, apart from the last word, which may still grow ("six" -> "sixty").
"""

from __future__ import annotations

from collections import deque

_LOOKS = 4  # of about 100 ms each
# Share of partials whose words all stayed, by the number of looks since the last change (0, 1, 2, 3 or more). Measured
# by `training/asr_commands/evaluate.py` on synthetic commands; see the model card.
_STAYED = (0.57, 0.83, 0.93, 0.94)


class StableText:
    """One utterance's partials."""

    def __init__(self) -> None:
        self._looks: deque[list[str]] = deque(maxlen=_LOOKS)
        self._unchanged = 0
        self._stable = 0  # words; a promise, so it never shrinks

    def look(self, text: str) -> tuple[float, int]:
        """Takes the text as it is now; returns (stability 0 to 1, leading code points that are stable)."""
        words = text.split()
        self._unchanged = self._unchanged + 1 if self._looks and self._looks[-1] == words else 0
        self._looks.append(words)
        if len(self._looks) == _LOOKS:
            agreed = _agreed(self._looks)
            self._stable = max(self._stable, min(agreed, len(words) - 1))
        kept = min(self._stable, len(words))
        return _STAYED[min(self._unchanged, len(_STAYED) - 1)], len(" ".join(words[:kept]))


def _agreed(looks: deque[list[str]]) -> int:
    """Leading words that all looks share."""
    count = 0
    for heard in zip(*looks, strict=False):
        if len(set(heard)) > 1:
            break
        count += 1
    return count
