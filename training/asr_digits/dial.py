"""Trains the recogniser with the compute dial on all speakers but one, and its baseline; measures both.

    python -m training.asr_digits.dial --held-out yweweler                 # the dial
    python -m training.asr_digits.dial --held-out yweweler --fixed         # the baseline
    python -m training.asr_digits.dial --held-out yweweler --measure       # the curve of error against compute
    python -m training.asr_digits.dial --held-out yweweler --export        # services/asr/models/digits-dial

Writes build/asr_digits/models/dial-<speaker>.pt and fixed-<speaker>.pt; `pool` has to have run. The loss is the
transducer's plus a price on what the gates spend beside the budget they were given. A batch has one budget for each
quarter of its strings, and the price is on the quarter's mean: a string with more to hear may take more of it. The
first third of the training is at full cost, then budgets come in, from high ones to low ones.

The baseline has no arbitrators. It leaves out frames by a fixed pattern, evenly in time and at another phase in every
layer, or looks at a shorter window; it is trained with the same mixture of budgets, as long and with the same seed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.asr_digits.data import LONGEST, SPEAKERS, SYMBOLS
from training.asr_digits.dial_fixed import WINDOWS, pattern
from training.asr_digits.dial_network import DialEncoder
from training.asr_digits.dial_settings import DialSettings
from training.asr_digits.loss import transducer_loss
from training.asr_digits.networks import SUBSAMPLING, Transducer, parameters_of
from training.asr_digits.pool import BUILD, Batch, Pool

MODELS = BUILD / "models"
_CURRICULUM = ((0.0, 1), (0.3, 2), (0.55, 4), (0.75, LONGEST))
"""From this share of the steps at full cost on, strings of so many digits at most."""
_QUARTERS = 4
_HIGH = 0.95
"""Highest budget that is drawn, beside 1."""
_WINDOW_SHARE = 0.3

_NOTHING = float(np.log(np.finfo(np.float32).eps))
"""Every band of audio that is digital zeros: with it the last piece of an utterance is filled up."""
_CUT_SHARE = 0.4
_CUT_FRAMES = 28  # at most; the silence after the last digit is longer


@dataclass(frozen=True)
class Recipe:
    """How long, how fast, and how dear compute is.

    Attributes:
        open_steps: at full cost, of `open_batch` strings; dial and baseline go on from the same network.
        steps: with budgets, after these, of `batch` strings.
        batch: a multiple of four, as the other.
        peak: learning rate after `warm_up` steps, from where it falls as half a cosine, a third of it at full cost.
        lowest: budget that is drawn; at first only high ones are, and this is reached half-way.
        price: times the square of what is spent beside the budget; the transducer's loss is per label.
        noise: temperature of the gates' noise when budgets come in; it falls to a fifth of it.
        alignment: weight, at the beginning, of the loss that tells in each frame which digit is being said.
        fast_emit: as in `transducer_loss`.
        average: of the weights, per step.
    """

    open_steps: int = 700
    open_batch: int = 32
    steps: int = 2_000
    batch: int = 16
    peak: float = 2e-3
    warm_up: int = 120
    weight_decay: float = 0.02
    clip: float = 5.0
    lowest: float = 0.15
    price: float = 10.0
    noise: float = 0.3
    alignment: float = 3.0
    fast_emit: float = 0.01
    average: float = 0.99
    seed: int = 1

    def rate(self, step: int) -> float:
        if step < self.warm_up:
            return self.peak * (step + 1) / self.warm_up
        at_full_cost = min((step - self.warm_up) / (3 * self.open_steps - self.warm_up), 1 / 3)
        done = at_full_cost + (1 - at_full_cost) * self.dialled(step)
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def aligned(self, step: int) -> float:
        return self.alignment * max(1 - step / (1.5 * self.open_steps), 0.0)

    def dialled(self, step: int) -> float:
        """How far the training with budgets has come, 0 to 1."""
        return max(step - self.open_steps, 0) / self.steps

    def gate_noise(self, step: int) -> float:
        return self.noise * (1 - 0.8 * self.dialled(step))

    def budgets(self, step: int, rng: np.random.Generator) -> Tensor:
        """[batch, 1]: each quarter its own; one of them is 1."""
        if step < self.open_steps:
            return torch.ones(self.open_batch, 1)
        lowest = _HIGH - (_HIGH - self.lowest) * min(2 * self.dialled(step), 1.0)
        drawn = [1.0, *rng.uniform(lowest, _HIGH, _QUARTERS - 1)]
        return torch.tensor(np.repeat(drawn, self.batch // _QUARTERS), dtype=torch.float32)[:, None]


def main() -> None:
    defaults = Recipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", choices=SPEAKERS, required=True)
    parser.add_argument("--fixed", action="store_true", help="the baseline")
    parser.add_argument("--measure", action="store_true", help="what was trained, instead of training")
    parser.add_argument("--export", action="store_true", help="what was trained, instead of training")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--peak", type=float, default=defaults.peak)
    parser.add_argument("--price", type=float, default=defaults.price)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--name", help="of the file, instead of dial-<speaker> or fixed-<speaker>")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = MODELS / f"{asked.name or ('fixed-' if asked.fixed else 'dial-') + asked.held_out}.pt"
    if asked.measure:
        from training.asr_digits.dial_measure import measure

        baseline = MODELS / f"fixed-{asked.held_out}.pt"
        measure(load(path), load(baseline) if baseline.exists() else None, asked.held_out)
    elif asked.export:
        from training.asr_digits.dial_export import export

        export(load(path), defaults.lowest)
    else:
        recipe = Recipe(steps=asked.steps, peak=asked.peak, price=asked.price, seed=asked.seed)
        save(path, trained(asked.held_out, recipe, fixed=asked.fixed), recipe)


class Training:
    """The network, what trains it, and where it has come to."""

    def __init__(self, held_out: str, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.pool = Pool([one for one in SPEAKERS if one != held_out])
        self.model = untrained(*map(torch.from_numpy, self.pool.statistics()))
        self.guide = nn.Linear(self.model.encoder.settings.encoded, len(SYMBOLS))
        average = torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average)
        self.average = torch.optim.swa_utils.AveragedModel(self.model, multi_avg_fn=average)
        learnt = [*self.model.parameters(), *self.guide.parameters()]
        self.optimizer = torch.optim.AdamW(learnt, weight_decay=recipe.weight_decay, betas=(0.9, 0.98))
        self.rng = np.random.default_rng(recipe.seed)

    def run(self, start: int, batches: Iterable[Batch], *, fixed: bool) -> None:
        started, done = time.monotonic(), list[tuple[float, float, float]]()
        for step, batch in enumerate(batches, start):
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate(step)
            done.append(self._learn(batch, step, fixed=fixed))
            self.average.update_parameters(self.model)
            if step % 50 == 49:
                loss, told, off = np.mean(done[-50:], axis=0)
                now = f"loss {loss:.3f}, frame-wise {told:.3f}, beside the budget {off:.3f}"
                print(f"step {step + 1} {now}, {time.monotonic() - started:.0f} s", flush=True)

    def keep(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: part.state_dict() for name, part in self._parts().items()}, path)

    def take(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "guide": self.guide, "average": self.average, "optimizer": self.optimizer}

    def _learn(self, batch: Batch, step: int, *, fixed: bool) -> tuple[float, float, float]:
        """One step; the losses per label and per frame, and how far spent and budget lie apart."""
        self.model.train()
        encoder, recipe = self.model.encoder, self.recipe
        budgets = recipe.budgets(step, self.rng)
        if fixed:
            encoded, opened = _fixed(encoder, batch, budgets, self.rng)
        else:
            encoded, opened = encoder(batch.features, budgets, noise=recipe.gate_noise(step))
        logits = self.model.logits(encoded, batch.labels)
        losses = transducer_loss(logits, batch.labels, batch.frames, batch.label_counts, fast_emit=recipe.fast_emit)
        loss = losses.sum() / batch.label_counts.sum()
        off = _beside(encoder.spent(opened), budgets, batch.frames)
        told = nn.functional.cross_entropy(self.guide(encoded).flatten(0, 1), batch.said.flatten())
        total = loss + recipe.aligned(step) * told
        if not fixed:
            total = total + recipe.price * off.square().mean()
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimizer.step()
        return float(loss.detach()), float(told.detach()), float(off.detach().abs().mean())


def trained(held_out: str, recipe: Recipe, *, fixed: bool) -> Transducer:
    """The running average of the weights, in evaluation mode. What is learnt at full cost is kept for the next call."""
    training = Training(held_out, recipe)
    print(
        f"{parameters_of(training.model)} parameters, {len(training.pool)} strings, fixed {fixed}, {recipe}", flush=True
    )
    at_full_cost = MODELS / f"dial-open-{held_out}-{recipe.seed}.pt"
    if at_full_cost.exists():
        training.take(at_full_cost)
    else:
        training.run(0, _short_first(training.pool, recipe, training.rng), fixed=False)
        training.keep(at_full_cost)
    training.rng = np.random.default_rng([recipe.seed, 1])
    rest = _batches(training.pool, training.rng, recipe.batch, LONGEST, recipe.steps)
    training.run(recipe.open_steps, rest, fixed=fixed)
    kept: Transducer = training.average.module
    kept.eval()
    return kept


def _short_first(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> Iterator[Batch]:
    """The batches at full cost."""
    for (start, longest), (end, _) in itertools.pairwise((*_CURRICULUM, (1.0, LONGEST))):
        steps = round(end * recipe.open_steps) - round(start * recipe.open_steps)
        yield from _batches(pool, rng, recipe.open_batch, longest, steps)


def _batches(pool: Pool, rng: np.random.Generator, size: int, longest: int, steps: int) -> Iterator[Batch]:
    """Pass after pass over the strings of at most `longest` digits."""
    passes = (pool.batches(size, rng, longest=longest) for _ in itertools.count())
    whole = (batch for each in passes for batch in each if len(batch.frames) >= size)
    return (_shuffled(batch, size, rng) for batch in itertools.islice(whole, steps))


def _shuffled(batch: Batch, size: int, rng: np.random.Generator) -> Batch:
    """Exactly `size` strings, not in the order of their length, so that quarters are alike; some end in nothing."""
    order = torch.from_numpy(rng.permutation(len(batch.frames))[:size])
    chosen = Batch(*(getattr(batch, field.name)[order] for field in fields(Batch)))
    for features, frames in zip(chosen.features, chosen.frames, strict=True):
        if rng.random() < _CUT_SHARE:
            features[SUBSAMPLING * int(frames) - int(rng.integers(1, _CUT_FRAMES)) :] = _NOTHING
    return chosen


def _fixed(encoder: DialEncoder, batch: Batch, budgets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Three in ten batches at full cost with a shorter window, the others by the pattern."""
    window = int(rng.choice(WINDOWS)) if rng.random() < _WINDOW_SHARE else None
    frames = batch.features.shape[1] // SUBSAMPLING
    forced = pattern(encoder.settings, torch.ones_like(budgets) if window else budgets, frames)
    encoded, opened = encoder(batch.features, budgets, forced=forced, context=window)
    return encoded, opened


def _beside(spent: Tensor, budgets: Tensor, frames: Tensor) -> Tensor:
    """Mean of what each quarter spent over its frames, less its budget: [4]."""
    there = (torch.arange(spent.shape[1]) < frames[:, None]).to(spent.dtype)
    total = (spent * there).view(_QUARTERS, -1).sum(dim=1) / there.view(_QUARTERS, -1).sum(dim=1)
    return total - budgets.view(_QUARTERS, -1)[:, 0]


def untrained(mean: Tensor, deviation: Tensor) -> Transducer:
    return Transducer(DialEncoder(DialSettings(), mean, deviation), len(SYMBOLS))


def save(path: Path, model: Transducer, recipe: Recipe) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weights": model.state_dict(), "recipe": asdict(recipe)}, path)


def load(path: Path) -> Transducer:
    """What `save` wrote, in evaluation mode."""
    saved = torch.load(path, weights_only=True)
    bins = DialSettings().mel_bins
    model = untrained(torch.zeros(bins), torch.ones(bins))
    model.load_state_dict(saved["weights"])
    model.eval()
    return model


if __name__ == "__main__":
    main()
