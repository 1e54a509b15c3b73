"""Trains `antiphon/intents-en`: a teacher from the pretrained encoder, then a smaller student by what the teacher says.

    nice -n 10 python -m training.nlu_intents.train teacher     # SLURP devel is kept out and measured on
    nice -n 10 python -m training.nlu_intents.train student     # a seventh of devel is kept out, to calibrate by
    nice -n 10 python -m training.nlu_intents.train student --again
    nice -n 10 python -m training.nlu_intents.train student --again --phrases
    python -m training.nlu_intents.export                       # writes the bundle

Needs `requirements/train-torch.txt` and `$ANTIPHON_DATA`; the weights between lie in `build/nlu_intents`. The student
is a cut-down teacher that learns from labels and from the teacher's probabilities of labelled and of unlabelled
sentences (Hinton et al. 2015; FitzGerald et al. 2022, arXiv 2206.07808).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from services.nlu.engines.pieces import Vocabulary
from training.nlu_intents import outside, phrases, unlabelled
from training.nlu_intents.data import Corpus, Sentence, load, root
from training.nlu_intents.encoder import Encoder, Logits, cut_down, pretrained_encoder
from training.nlu_intents.evaluation import judged, temperature
from training.nlu_intents.piece_batches import PieceBatch, PieceData
from training.nlu_intents.vocabulary import chosen

BUILD = Path("build/nlu_intents")
SIZE = 12_288
"""Pieces of the vocabulary."""

BATCH = 32
WARM_UP = 0.06  # of all steps
SMOOTHING = 0.05
FADING = 0.01
HEADS = ("massive", "clinc", "tags")
SOFTNESS = 2.0
"""Divisor of both logits when the student learns from the teacher."""

LABELS, OWN = 0.3, 1.0
"""Weights of labels beside what the teacher says, and of the platform's own phrases."""

Loss = Callable[[Logits, PieceBatch], Tensor]


@dataclass(frozen=True)
class Pace:
    """Steps and the highest rate."""

    steps: int
    rate: float


TEACHER = Pace(2800, 2e-4)
STUDENT = Pace(1500, 2.5e-4)
AGAIN = Pace(1500, 1.5e-4)


def train(
    network: Encoder, data: PieceData, loss: Loss, pace: Pace, order: Sequence[int], after: Callable[[], str]
) -> None:
    """AdamW with warm-up and linear decay; `order` seeds that of sentences, `after` tells how good it is."""
    heads = [one for name, one in network.named_parameters() if name.split(".")[0] in HEADS]
    body = [one for name, one in network.named_parameters() if name.split(".")[0] not in HEADS and one.requires_grad]
    optimiser = torch.optim.AdamW(
        [{"params": body, "lr": pace.rate}, {"params": heads, "lr": 5 * pace.rate}], weight_decay=FADING, fused=True
    )
    warm = max(1, int(WARM_UP * pace.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (pace.steps - step) / (pace.steps - warm))
    )
    batches = data.shuffled(BATCH, np.random.default_rng(order))
    began, losses = time.monotonic(), []
    for step in range(1, pace.steps + 1):
        network.train()
        batch = next(batches)
        value = loss(network(torch.from_numpy(batch.ids)), batch)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(value.item())
        if step % 50 == 0:
            told = after() if step % 700 == 0 or step == pace.steps else ""
            print(f"{step}: loss {np.mean(losses[-100:]):.4f}, {time.monotonic() - began:.0f} s {told}", flush=True)


def by_labels(logits: Logits, batch: PieceBatch) -> Tensor:
    """Cross entropy of every head over what has a label."""
    total = torch.zeros(())
    for name in HEADS:
        wanted = torch.from_numpy(getattr(batch, name)).flatten()
        if (wanted >= 0).any():
            made = getattr(logits, name).flatten(0, -2)
            smoothing = 0.0 if name == "tags" else SMOOTHING
            total = total + F.cross_entropy(made, wanted, ignore_index=-1, label_smoothing=smoothing)
    return total


class Taught:
    """The loss of a student: labels where there are some, and the teacher's logits of every sentence.

    Args:
        data: what the student is trained on.
        kept: file of the logits by sentence: what is there is not computed again.
        own: keys of sentences that are learnt by their labels alone, whatever the teacher says.
    """

    def __init__(self, teacher: Encoder, data: PieceData, kept: Path, own: Set[str]) -> None:
        self._own = own
        self._said: dict[str, dict[str, Tensor]] = torch.load(kept) if kept.is_file() else {}
        missing = {one.key: one for one in data.sentences if one.key not in self._said}
        if missing:
            for batch, logits in outputs(teacher, data.of(sorted(missing.values(), key=lambda one: len(one.words)))):
                for at, key in enumerate(batch.keys):
                    tags = logits.tags[at][torch.from_numpy(batch.firsts[at])].half()
                    self._said[key] = {
                        "massive": logits.massive[at].half(),
                        "clinc": logits.clinc[at].half(),
                        "tags": tags,
                    }
            torch.save(self._said, kept)

    def __call__(self, logits: Logits, batch: PieceBatch) -> Tensor:
        """A sentence that is learnt by its labels still learns its tags from the teacher."""
        own = torch.tensor([key in self._own for key in batch.keys])
        total = LABELS * by_labels(logits, batch)
        for name in HEADS:
            said = [self._said[key][name] for key in batch.keys]
            if name == "tags":
                made, wanted = logits.tags[torch.from_numpy(batch.firsts)], torch.cat(said).float()
                total = total + _apart(made, wanted) / len(made)
                continue
            made, labels = getattr(logits, name), torch.from_numpy(getattr(batch, name))
            total = total + _apart(made[~own], torch.stack(said).float()[~own]) / len(batch.keys)
            total = total + OWN * F.cross_entropy(made[own], labels[own], ignore_index=-1, reduction="sum") / len(own)
        return total


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """How far logits are from those of the teacher, softened; a sum over rows."""
    softened = F.log_softmax(made / SOFTNESS, dim=-1), F.softmax(wanted / SOFTNESS, dim=-1)
    return SOFTNESS**2 * F.kl_div(*softened, reduction="sum")


@torch.inference_mode()
def outputs(network: Encoder, data: PieceData) -> list[tuple[PieceBatch, Logits]]:
    network.eval()
    return [(batch, network(torch.from_numpy(batch.ids))) for batch in data.in_order(64)]


def measure(network: Encoder, data: PieceData) -> dict[str, Any]:
    """Accuracy and slot F1 over the sentences of `data` that have labels."""
    found: dict[str, list[Any]] = {name: [] for name in HEADS}
    for batch, logits in outputs(network, data):
        found["massive"] += list(logits.massive.numpy())
        found["clinc"] += list(logits.clinc.numpy())
        found["tags"] += [tags[firsts] for tags, firsts in zip(logits.tags.numpy(), batch.firsts, strict=True)]
    return judged(data.sentences, data.massive, data.clinc, found)


def fitted(network: Encoder, data: PieceData) -> dict[str, float]:
    """Temperatures by head of intents."""
    made = [logits for _, logits in outputs(network, data)]
    return {
        "massive": temperature(torch.cat([one.massive for one in made]).numpy(), data.massive),
        "clinc": temperature(torch.cat([one.clinc for one in made]).numpy(), data.clinc),
    }


def vocabulary(path: Path, corpus: Corpus, further: Sequence[Sentence], *, new: bool) -> list[str]:
    """Chosen with the teacher, from the words of what is trained on."""
    if new:
        path.write_text("\n".join(chosen((one.words for one in (*corpus.train, *further)), SIZE)) + "\n", "utf-8")
    return path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    BUILD.mkdir(parents=True, exist_ok=True)
    choosing = options.network == "teacher"
    corpus = load(options.seed, with_devel=not choosing)
    held = {one.key for one in (*load(options.seed).slurp, *corpus.slurp, *corpus.clinc, *corpus.calibration)}
    further = unlabelled.load(root(), random.Random(options.seed), 6000, held)
    pieces = vocabulary(BUILD / "pieces.txt", corpus, further, new=choosing)
    labels = corpus.clinc_labels
    shown = PieceData([*corpus.slurp, *corpus.clinc] if choosing else corpus.calibration, labels, Vocabulary(pieces))
    own = _own(options.seed, pieces, held) if options.phrases else []
    data = shown.of(corpus.train if choosing else [*corpus.train, *further, *own])
    print(f"{len(corpus.train)} labelled sentences, {len(further)} without labels, {len(pieces)} pieces", flush=True)
    made = pretrained_encoder(pieces, len(labels))
    pace = TEACHER if choosing else AGAIN if options.again else STUDENT
    loss: Loss = by_labels
    if not choosing:
        made.load_state_dict(torch.load(BUILD / "teacher.pt"))
        loss = Taught(made, data, BUILD / "taught.pt", {one.key for one in own})
        print("teacher", json.dumps(measure(made, shown)), flush=True)
        made = cut_down(made, [int(one) for one in options.layers.split(",")])
        if options.again:
            made.load_state_dict(torch.load(BUILD / "student.pt"))
    order = [options.seed, pace.steps, int(pace.rate * 1e6)] if options.again else [options.seed]
    train(made, data, loss, pace, order, lambda: json.dumps(measure(made, shown)))
    torch.save(made.state_dict(), BUILD / f"{options.network}.pt")
    if not choosing:
        (BUILD / "student-temperatures.json").write_text(json.dumps(fitted(made, shown)), encoding="utf-8")


def _own(seed: int, pieces: Sequence[str], held: Set[str]) -> list[Sentence]:
    """The phrases of the built-in skills, and what is outside all of them."""
    filling = (piece for piece in pieces if piece.isalpha() and len(piece) > 2)
    own = phrases.load(random.Random(seed), filling, held)
    return [*own, *outside.load(root(), random.Random(seed), 2000, held)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=("teacher", "student"))
    parser.add_argument("--layers", default="0,1,2,3", help="of the teacher, that the student begins with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="the student goes on from where it stood, more slowly")
    parser.add_argument(
        "--phrases", action="store_true", help="with the phrases of the built-in skills, and what is outside"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
