"""Backoff n-gram models: absolute discounting, mixed by history, written as ARPA; used by `train.py`.

Each text's model subtracts a constant from every count and gives what it saved to the next shorter history (Ney, Essen
and Kneser 1994). A grammar's sample needs a small constant: what it does not say after "twelve times" is not said.

The mixture's weights depend on the history: a text counts as much as it has seen of it. After "what time is it in" only
the commands have a say, after "play the" only general English; at the start of a sentence the weights are those given.
A fixed weight would offer every word of the one within the sentences of the other.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

Gram = tuple[str, ...]
BEGIN, END = "<s>", "</s>"


class DiscountedText:
    """p(word | history) of one text, interpolated down to a uniform distribution over the vocabulary.

    Args:
        sentences: tokenised text; words outside of the vocabulary must have been taken out.
        vocabulary: every word of the final model, END included, BEGIN not.
        discount: taken from every count, 0 to 1.
        order: longest n-gram.
    """

    def __init__(
        self, sentences: Iterable[Sequence[str]], vocabulary: set[str], discount: float, order: int = 3
    ) -> None:
        self.order = order
        self._discount = discount
        self._uniform = 1.0 / len(vocabulary)
        self.counts: dict[Gram, Counter[str]] = defaultdict(Counter)
        for words in sentences:
            padded = (BEGIN, *words, END)
            for at in range(1, len(padded)):
                for length in range(order):
                    if at - length >= 0:
                        self.counts[padded[at - length : at]][padded[at]] += 1
        self._totals = {history: sum(followers.values()) for history, followers in self.counts.items()}
        self.probability = cache(self._probability)

    def seen(self, history: Gram) -> int:
        """How often the history was seen."""
        return self._totals.get(history, 0)

    def _probability(self, word: str, history: Gram) -> float:
        lower = self.probability(word, history[1:]) if history else self._uniform
        followers = self.counts.get(history)
        if not followers:
            return lower
        kept = max(followers[word] - self._discount, 0.0)
        return (kept + self._discount * len(followers) * lower) / self._totals[history]


class Mixture:
    """Texts over one vocabulary, weighted at the start of a sentence as given, as one backoff model."""

    def __init__(self, texts: Sequence[tuple[float, DiscountedText]], vocabulary: set[str], min_count: int = 1) -> None:
        self._models = texts
        self._vocabulary = vocabulary
        self._grams = self._kept(min_count)

    def probability(self, word: str, history: Gram) -> float:
        evidence = [weight * text.seen(history) / text.seen((BEGIN,)) for weight, text in self._models]
        return sum(
            share * text.probability(word, history) for share, (_, text) in zip(evidence, self._models, strict=True)
        ) / sum(evidence)

    def _kept(self, min_count: int) -> dict[Gram, set[str]]:
        """history -> words that get an n-gram of their own; singletons of the highest orders may be left out."""
        kept: dict[Gram, set[str]] = {(): set(self._vocabulary)}
        for _, model in self._models:
            for history, followers in model.counts.items():
                floor = min_count if history else 1
                words = {word for word, count in followers.items() if count >= floor}
                if words:
                    kept.setdefault(history, set()).update(words)
        for history in sorted(kept, key=len, reverse=True):  # every n-gram's prefix must be an n-gram too
            if len(history) > 1:
                kept.setdefault(history[:-1], set()).add(history[-1])
        return kept

    def write_arpa(self, path: Path) -> dict[int, int]:
        """Writes the model; returns the number of n-grams by order."""
        order = max(len(history) for history in self._grams) + 1
        lines: dict[int, list[str]] = {length: [] for length in range(1, order + 1)}
        lines[1].append(f"-99\t{BEGIN}\t{self._backoff((BEGIN,)):.4f}")
        for history in sorted(self._grams, key=lambda gram: (len(gram), gram)):
            for word in sorted(self._grams[history]):
                gram = (*history, word)
                line = f"{math.log10(self._explicit(word, history)):.4f}\t{' '.join(gram)}"
                if len(gram) < order and gram in self._grams:
                    line += f"\t{self._backoff(gram):.4f}"
                lines[len(gram)].append(line)
        with path.open("w", encoding="utf-8") as out:
            out.write("\\data\\\n" + "".join(f"ngram {length}={len(lines[length])}\n" for length in lines))
            for length in lines:
                out.write(f"\n\\{length}-grams:\n" + "\n".join(lines[length]) + "\n")
            out.write("\n\\end\\\n")
        return {length: len(lines[length]) for length in lines}

    def _explicit(self, word: str, history: Gram) -> float:
        return max(self.probability(word, history), 1e-12)

    def _final(self, word: str, history: Gram) -> float:
        """p(word | history) as the backoff model gives it."""
        if not history or word in self._grams.get(history, ()):
            return self._explicit(word, history)
        return 10 ** self._backoff(history) * self._final(word, history[1:])

    def _backoff(self, history: Gram) -> float:
        """log10 of the weight that makes p(. | history) sum to one."""
        words = self._grams.get(history)
        if not words:
            return 0.0
        seen = sum(self._explicit(word, history) for word in sorted(words))
        below = sum(self._final(word, history[1:]) for word in sorted(words))
        return math.log10(max(1.0 - seen, 1e-6) / max(1.0 - below, 1e-6))
