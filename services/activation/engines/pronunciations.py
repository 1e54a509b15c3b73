"""How a wake phrase is pronounced, by the dictionary that comes with pocketsphinx.

Called by `keyphrase_worker.py`. The file is searched as it lies, which takes a millisecond; as a table it would take
some 30 MB in each process.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from services.runtime.errors import FailedPrecondition, InvalidInput

MAX_LENGTH = 64
MAX_WORDS = 6
MIN_PHONES = 5
"""Fewer are heard in any speech: "yes" has three."""

_MAX_VARIANTS = 4
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


class Pronunciations:
    """Args: file in the form of the CMU dictionary, lower case, a word and its phones a line."""

    def __init__(self, path: Path) -> None:
        self._text = b"\n" + path.read_bytes()

    def of(self, phrase: str) -> list[str]:
        """Phones of a phrase, the usual pronunciation first, at most four.

        Raises:
            InvalidInput: empty, too long, or too short to be told from other speech.
            FailedPrecondition: a word that the dictionary does not have.
        """
        words = phrase.lower().split()
        if not 0 < len(phrase) <= MAX_LENGTH or not 0 < len(words) <= MAX_WORDS:
            raise InvalidInput(
                f"a wake word has 1 to {MAX_WORDS} words and at most {MAX_LENGTH} characters",
                reason="WAKE_WORD_LENGTH",
                field="wake_words.phrase",
            )
        variants = [self._word(word) for word in words]
        phones = [" ".join(each) for each in itertools.islice(itertools.product(*variants), _MAX_VARIANTS)]
        if len(phones[0].split()) < MIN_PHONES:
            raise InvalidInput(
                f"a wake word has at least {MIN_PHONES} phones: shorter ones are heard in any speech",
                reason="WAKE_WORD_TOO_SHORT",
                field="wake_words.phrase",
            )
        return phones

    def _word(self, word: str) -> list[str]:
        found = []
        if _WORD.fullmatch(word):
            for variant in (word, *(f"{word}({number})" for number in range(2, _MAX_VARIANTS + 1))):
                key = f"\n{variant} ".encode()
                at = self._text.find(key)
                if at >= 0:
                    end = self._text.find(b"\n", at + 1)
                    found.append(self._text[at + len(key) : end if end >= 0 else None].decode().strip())
        if not found:
            raise FailedPrecondition(
                "a word of the wake phrase is not in the English dictionary: there is no model for it",
                reason="WAKE_WORD_MODEL_MISSING",
                field="wake_words.phrase",
            )
        return found
