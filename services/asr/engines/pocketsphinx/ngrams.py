"""Trigram models with backoff in arrays: counted, mixed and written in tenths of a second.

Used by `language_model_worker.py` for the phrases of a session, and by the recipe of the command model. Each text's
model discounts its counts and gives what it saved to the next shorter history (absolute discounting: Ney, Essen and
Kneser 1994); a count below one, of which a weighted sample has many, gives the same part of itself. A grammar's sample
needs a small discount: what it does not say after "twelve times" is not said.

The weights of a mixture depend on the history: a text counts as much as it has seen of it. After "what time is it in"
only the commands have a say, after "play the" only general English; at the start of a sentence the weights are those
given. A fixed weight would offer every word of the one within the sentences of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BEGIN, END = "<s>", "</s>"
BEGIN_ID, END_ID = 0, 1

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

_SMALLEST = 1e-12
_LEAST_REST = 1e-6  # of probability, for words that follow a history by backoff only


class Vocabulary:
    """Words and their numbers; BEGIN is 0, END is 1."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self.words = [BEGIN, END]
        self.ids = {BEGIN: BEGIN_ID, END: END_ID}
        for word in words:
            self.add(word)

    def __len__(self) -> int:
        return len(self.words)

    def add(self, word: str) -> int:
        number = self.ids.setdefault(word, len(self.words))
        if number == len(self.words):
            self.words.append(word)
        return number


@dataclass(frozen=True)
class BackoffModel:
    """A trigram model over the words 0 to `size` - 1; an n-gram's key is its words as digits of base `size`.

    Attributes:
        p1, b1: of each word its probability, and the backoff weight of what follows it.
        p2, b2: the same of the bigrams in `keys2`, ascending; p3 of the trigrams in `keys3`.
        seen1, seen2: how often each history was seen, per sentence.
        length: words per sentence, its end included.
    """

    size: int
    p1: Floats
    b1: Floats
    seen1: Floats
    keys2: Ids
    p2: Floats
    b2: Floats
    seen2: Floats
    keys3: Ids
    p3: Floats
    length: float

    def bigram(self, first: Ids, second: Ids) -> Floats:
        """p(second | first)."""
        at, found = _find(self.keys2, first * self.size + second)
        backed: Floats = self.b1[first] * self.p1[second]
        backed[found] = self.p2[at[found]]
        return backed

    def trigram(self, first: Ids, second: Ids, third: Ids) -> Floats:
        """p(third | first second)."""
        backed = self.bigram(second, third)
        history = first * self.size + second
        at, found = _find(self.keys2, history)
        backed[found] *= self.b2[at[found]]
        at, found = _find(self.keys3, history * self.size + third)
        backed[found] = self.p3[at[found]]
        return backed

    def seen_pairs(self, first: Ids, second: Ids) -> Floats:
        at, found = _find(self.keys2, first * self.size + second)
        return np.where(found, self.seen2[at], 0.0) if len(self.keys2) else np.zeros(len(first))

    def grown(self, size: int) -> BackoffModel:
        """The same model over more words, which it has never seen."""
        more = np.zeros(size - self.size)
        first, second = self.keys2 // self.size, self.keys2 % self.size
        pairs, third = self.keys3 // self.size, self.keys3 % self.size
        keys3 = ((pairs // self.size) * size + pairs % self.size) * size + third
        return BackoffModel(
            size,
            np.concatenate((self.p1, more)),
            np.concatenate((self.b1, more + 1.0)),
            np.concatenate((self.seen1, more)),
            first * size + second,
            self.p2,
            self.b2,
            self.seen2,
            keys3,
            self.p3,
            self.length,
        )


def counted(sentences: Sequence[Sequence[int]], weights: Sequence[float], size: int, discount: float) -> BackoffModel:
    """The model of a text.

    Args:
        sentences: numbers of words, without BEGIN and END.
        weights: how often each sentence counts.
        size: of the vocabulary.
        discount: part of each count, or of one where it is more, that goes to shorter histories; 0 to 1.
    """
    text, weight = _joined(sentences, weights)
    inner = text != BEGIN_ID
    count1 = np.bincount(text[inner], weight[inner], size)
    freed = discount * np.minimum(count1, 1.0).sum()
    p1 = (count1 - discount * np.minimum(count1, 1.0) + freed / (size - 1)) / count1.sum()
    p1[BEGIN_ID] = 0.0

    follows = text[1:] != BEGIN_ID
    keys2, count2 = _counts((text[:-1] * size + text[1:])[follows], weight[1:][follows])
    p2, b1, seen1 = _interpolated(count2, keys2 // size, size, p1[keys2 % size], discount)

    follows = (text[1:-1] != BEGIN_ID) & (text[2:] != BEGIN_ID)
    keys3, count3 = _counts(((text[:-2] * size + text[1:-1]) * size + text[2:])[follows], weight[2:][follows])
    history = np.searchsorted(keys2, keys3 // size)
    lower = p2[np.searchsorted(keys2, keys3 % (size * size))]
    p3, b2, seen2 = _interpolated(count3, history, len(keys2), lower, discount)
    count = seen1[BEGIN_ID]
    return BackoffModel(
        size, p1, b1, seen1 / count, keys2, p2, b2, seen2 / count, keys3, p3, float(count1.sum() / count)
    )


def mixed(models: Sequence[tuple[float, BackoffModel]]) -> BackoffModel:
    """Models over one vocabulary as one, weighted at the start of a sentence as given."""
    size = models[0][1].size
    lengths = [weight * model.length for weight, model in models]
    p1 = sum((share * model.p1 for share, (_, model) in zip(lengths, models, strict=True)), np.zeros(size))
    p1 /= sum(lengths)
    keys2 = _union([model.keys2 for _, model in models])
    first, second = keys2 // size, keys2 % size
    p2 = _weighted([(weight * model.seen1[first], model.bigram(first, second)) for weight, model in models])
    keys3 = _union([model.keys3 for _, model in models])
    pairs, third = keys3 // size, keys3 % size
    left, middle = pairs // size, pairs % size
    p3 = _weighted(
        [(weight * model.seen_pairs(left, middle), model.trigram(left, middle, third)) for weight, model in models]
    )
    b1 = _backoff(first, size, p2, p1[second])
    at, found = _find(keys2, keys3 % (size * size))
    lower = np.where(found, p2[at], b1[middle] * p1[third]) if len(keys2) else p3
    b2 = _backoff(np.searchsorted(keys2, pairs), len(keys2), p3, lower)
    seen1 = sum((weight * model.seen1 for weight, model in models), np.zeros(size))
    seen2 = sum((weight * model.seen_pairs(first, second) for weight, model in models), np.zeros(len(keys2)))
    return BackoffModel(size, p1, b1, seen1, keys2, p2, b2, seen2, keys3, p3, float(sum(lengths)))


def write_arpa(model: BackoffModel, words: Sequence[str], path: Path) -> tuple[int, int, int]:
    """Writes the model as text; returns the number of n-grams of each order."""
    size = model.size
    first, second = model.keys2 // size, model.keys2 % size
    pairs, third = model.keys3 // size, model.keys3 % size
    with path.open("w", encoding="utf-8") as out:
        counts = (size, len(model.keys2), len(model.keys3))
        out.write("\\data\\\n" + "".join(f"ngram {order}={count}\n" for order, count in enumerate(counts, 1)))
        logs, backs = _logs(model.p1), _logs(model.b1)
        logs[BEGIN_ID] = -99.0
        out.write("\n\\1-grams:\n")
        out.writelines(f"{p:.4f}\t{word}\t{b:.4f}\n" for p, word, b in zip(logs, words, backs, strict=True))
        out.write("\n\\2-grams:\n")
        out.writelines(
            f"{p:.4f}\t{words[a]} {words[b]}\t{backoff:.4f}\n"
            for p, a, b, backoff in zip(_logs(model.p2), first.tolist(), second.tolist(), _logs(model.b2), strict=True)
        )
        out.write("\n\\3-grams:\n")
        out.writelines(
            f"{p:.4f}\t{words[a]} {words[b]} {words[c]}\n"
            for p, a, b, c in zip(
                _logs(model.p3), (pairs // size).tolist(), (pairs % size).tolist(), third.tolist(), strict=True
            )
        )
        out.write("\n\\end\\\n")
    return counts


def read_arpa(path: Path) -> tuple[Vocabulary, BackoffModel]:
    """A model from its text. How often it saw a history is estimated: its file does not tell."""
    grams: dict[int, list[list[str]]] = {1: [], 2: [], 3: []}
    order = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("\\"):
                order = int(line[1]) if line.endswith("-grams:\n") else 0
            elif order and (fields := line.split()):
                grams[order].append(fields)
    vocabulary = Vocabulary(fields[1] for fields in grams[1])
    size, ids = len(vocabulary), vocabulary.ids
    p1, b1 = np.zeros(size), np.ones(size)
    for fields in grams[1]:
        word = ids[fields[1]]
        p1[word] = float(fields[0])
        b1[word] = float(fields[2]) if len(fields) > 2 else 0.0
    p1, b1 = 10.0**p1, 10.0**b1
    p1[BEGIN_ID] = 0.0
    keys2, p2, b2 = _grams(grams[2], ids, 2)
    keys3, p3, _ = _grams(grams[3], ids, 3)
    seen1 = p1 / p1[END_ID]
    seen1[BEGIN_ID] = 1.0
    seen2 = seen1[keys2 // size] * p2
    return vocabulary, BackoffModel(size, p1, b1, seen1, keys2, p2, b2, seen2, keys3, p3, float(1.0 / p1[END_ID]))


def _grams(rows: list[list[str]], ids: dict[str, int], order: int) -> tuple[Ids, Floats, Floats]:
    keys = np.zeros(len(rows), np.int64)
    for place in range(1, order + 1):
        keys = keys * len(ids) + np.fromiter((ids[row[place]] for row in rows), np.int64, len(rows))
    sort = np.argsort(keys)
    logs = np.fromiter((float(row[0]) for row in rows), np.float64, len(rows))
    backs = np.fromiter((float(row[order + 1]) if len(row) > order + 1 else 0.0 for row in rows), np.float64, len(rows))
    return keys[sort], 10.0 ** logs[sort], 10.0 ** backs[sort]


def _joined(sentences: Sequence[Sequence[int]], weights: Sequence[float]) -> tuple[Ids, Floats]:
    flat: list[int] = []
    for sentence in sentences:
        flat.append(BEGIN_ID)
        flat += sentence
        flat.append(END_ID)
    lengths = np.fromiter((len(sentence) + 2 for sentence in sentences), np.int64, len(sentences))
    return np.array(flat, np.int64), np.repeat(np.asarray(weights, np.float64), lengths)


def _counts(keys: Ids, weights: Floats) -> tuple[Ids, Floats]:
    unique, places = np.unique(keys, return_inverse=True)
    counts: Floats = np.bincount(places, weights, len(unique)).astype(np.float64)
    return unique, counts


def _interpolated(
    counts: Floats, history: Ids, histories: int, lower: Floats, discount: float
) -> tuple[Floats, Floats, Floats]:
    """Of n-grams with these counts: probabilities, and of each history backoff weight and count."""
    taken = discount * np.minimum(counts, 1.0)
    total: Floats = np.bincount(history, counts, histories).astype(np.float64)
    freed = np.bincount(history, taken, histories)
    backoff: Floats = np.divide(freed, total, out=np.ones(histories), where=total > 0)
    return (counts - taken) / total[history] + backoff[history] * lower, backoff, total


def _weighted(parts: Sequence[tuple[Floats, Floats]]) -> Floats:
    evidence = np.maximum(sum(weights for weights, _ in parts), 1e-30)
    mean: Floats = sum(weights * probabilities for weights, probabilities in parts) / evidence
    return mean


def _backoff(history: Ids, histories: int, explicit: Floats, lower: Floats) -> Floats:
    """The weight of each history that makes what follows it sum to one."""
    left = np.maximum(1.0 - np.bincount(history, explicit, histories), _LEAST_REST)
    below = np.maximum(1.0 - np.bincount(history, lower, histories), _LEAST_REST)
    has = np.bincount(history, minlength=histories) > 0
    weights: Floats = np.where(has, left / below, 1.0)
    return weights


def _union(keys: Sequence[Ids]) -> Ids:
    """Of ascending keys; merging what is sorted is twice as fast as `np.unique`."""
    merged = np.sort(np.concatenate(keys), kind="stable")
    unique: Ids = merged[np.append(np.ones(min(1, len(merged)), np.bool_), merged[1:] != merged[:-1])]
    return unique


def _find(keys: Ids, wanted: Ids) -> tuple[Ids, NDArray[np.bool_]]:
    """Where each wanted key is, and whether it is there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def _logs(probabilities: Floats) -> list[float]:
    logs: list[float] = np.log10(np.maximum(probabilities, _SMALLEST)).tolist()
    return logs
