"""The multilingual network in torch; `train.py` drives it, `export.py` writes it.

Per token the embeddings of its hashed features are summed and divided by the root of their number; two convolutions
over three tokens follow, the second with a residual. Tags are read per token; the intent from the maximum over tokens
beside the sum of the embeddings over the root of their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.nlu.engines.language_features import BUCKETS, SLOTS, encode
from training.nlu_languages.data import OUT_OF_SCOPE, Sentence

WIDTH = 64
HIDDEN = 128
BATCH = 64
RATE = 2e-3
DROPOUT = 0.4
_WORDS_LOST = 0.12
_SMOOTHING = 0.05
_IGNORED = -100

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Names:
    """Intents with out of scope last, and BIO tags with "O" first; what outputs count in."""

    intents: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, sentences: Sequence[Sentence]) -> Names:
        intents = sorted({one.intent for one in sentences} - {OUT_OF_SCOPE})
        slots = sorted({name for one in sentences for name, _, _ in one.slots or ()})
        return cls((*intents, OUT_OF_SCOPE), ("O", *(f"{prefix}-{name}" for name in slots for prefix in "BI")))


class Network(nn.Module):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(BUCKETS, WIDTH, mode="sum", padding_idx=0)
        nn.init.normal_(self.embedding.weight, 0, 0.1)
        self.conv1 = nn.Conv1d(WIDTH, HIDDEN, 3, padding=1)
        self.conv2 = nn.Conv1d(HIDDEN, HIDDEN, 3, padding=1)
        self.tags = nn.Linear(HIDDEN, len(names.tags))
        self.intents = nn.Linear(HIDDEN + WIDTH, len(names.intents))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of intents [sentences, intents] and tags [sentences, tokens, tags], and what intents are read from."""
        sentences, count, _ = ids.shape
        there = ids[:, :, 0] > 0
        mask = there.float()[:, :, None]
        features = (ids > 0).sum(dim=2).clamp(min=1).float()[:, :, None]
        x = self.embedding(ids.reshape(-1, SLOTS)).reshape(sentences, count, WIDTH) / features.sqrt()
        if self.training:
            x = x * (torch.rand(sentences, count, 1) >= _WORDS_LOST)
        h1 = functional.relu(self.conv1(x.transpose(1, 2))) * mask.transpose(1, 2)
        h2 = h1 + functional.relu(self.conv2(h1)) * mask.transpose(1, 2)
        root = mask.sum(dim=1).clamp(min=1).sqrt()
        pooled = torch.cat([h2.amax(dim=2), x.sum(dim=1) / root], dim=1)
        tags = self.tags(functional.dropout(h2.transpose(1, 2), DROPOUT / 2, self.training))
        return self.intents(functional.dropout(pooled, DROPOUT, self.training)), tags, pooled


class Encoded:
    """Sentences as arrays, encoded once; `slots` None, and names that are not known, give nothing to learn."""

    def __init__(self, sentences: Sequence[Sentence], names: Names) -> None:
        self.ids = [encode(one.tokens) for one in sentences]
        numbers = {intent: number for number, intent in enumerate(names.intents)}
        self.intents = np.array([numbers.get(one.intent, _IGNORED) for one in sentences])
        self.tags = [_tags(one, names, len(ids)) for one, ids in zip(sentences, self.ids, strict=True)]

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        longest = max(len(self.ids[row]) for row in rows)
        ids = np.zeros((len(rows), longest, SLOTS), np.int64)
        tags = np.full((len(rows), longest), _IGNORED, np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(self.ids[row])] = self.ids[row]
            tags[at, : len(self.tags[row])] = self.tags[row]
        return torch.from_numpy(ids), torch.from_numpy(self.intents[list(rows)]), torch.from_numpy(tags)

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches of sentences that are alike in length, so that padding is small."""
        order = rng.permutation(len(self.ids))
        for chunk_at in range(0, len(order), BATCH * 16):
            chunk = sorted(order[chunk_at : chunk_at + BATCH * 16], key=lambda row: len(self.ids[row]))
            for at in rng.permutation(np.arange(0, len(chunk), BATCH)):
                yield self.batch(chunk[at : at + BATCH])


def train(sentences: Sequence[Sentence], names: Names, seed: int, steps: int) -> Network:
    """Trained for so many steps; rows of features that never occurred are zero."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    data = Encoded(sentences, names)
    network = Network(names)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.05, 1 - step / steps))
    network.train()
    done = 0
    while done < steps:
        for ids, intents, tags in data.shuffled(rng):
            found, tagged, _ = network(ids)
            loss = functional.cross_entropy(found, intents, label_smoothing=_SMOOTHING)
            if bool((tags >= 0).any()):
                loss = loss + functional.cross_entropy(
                    tagged.reshape(-1, tagged.shape[2]), tags.reshape(-1), ignore_index=_IGNORED
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            if done % 500 == 0:
                print(f"seed {seed}, step {done} of {steps}: loss {loss.item():.3f}", flush=True)
            if done == steps:
                break
    _forget_unseen(network, data)
    return network.eval()


def _forget_unseen(network: Network, data: Encoded) -> None:
    seen = np.zeros(BUCKETS, bool)
    for ids in data.ids:
        seen[ids] = True
    seen[0] = False
    with torch.no_grad():
        network.embedding.weight[torch.from_numpy(~seen)] = 0


def outputs(members: Sequence[Network], sentences: Sequence[Sentence], names: Names) -> tuple[Array, list[Array]]:
    """Mean logits of the members: of intents [sentences, intents], of tags [tokens, tags] per sentence."""
    data = Encoded(sentences, names)
    intents: list[Array] = []
    tags: list[Array] = []
    with torch.no_grad():
        for at in range(0, len(sentences), 256):
            rows = range(at, min(at + 256, len(sentences)))
            ids, _, _ = data.batch(rows)
            made = [member(ids) for member in members]
            intents += list(torch.stack([one[0] for one in made]).mean(0).numpy())
            tagged = torch.stack([one[1] for one in made]).mean(0).numpy()
            tags += [tagged[number, : len(data.ids[row])] for number, row in enumerate(rows)]
    return np.array(intents), tags


def centre(members: Sequence[Network], sentences: Sequence[Sentence], names: Names) -> Array:
    """Mean of what intents are read from, member after member."""
    data = Encoded(sentences, names)
    total = torch.zeros(len(members) * (HIDDEN + WIDTH))
    with torch.no_grad():
        for at in range(0, len(sentences), 256):
            ids, _, _ = data.batch(range(at, min(at + 256, len(sentences))))
            total += torch.cat([member(ids)[2] for member in members], dim=1).sum(dim=0)
    mean: Array = (total / len(sentences)).numpy()
    return mean


def _tags(one: Sentence, names: Names, count: int) -> npt.NDArray[np.int64]:
    if one.slots is None:
        return np.full(count, _IGNORED, np.int64)
    tags = np.zeros(count, np.int64)
    numbers = {tag: number for number, tag in enumerate(names.tags)}
    for name, start, end in one.slots:
        for at in range(start, min(end, count)):
            tags[at] = numbers.get(f"{'I' if at > start else 'B'}-{name}", _IGNORED)
    return tags
