"""Trains one network on all speakers but one:

    python -m training.asr_digits.train --held-out yweweler --network conv [--seed 1]

Writes build/asr_digits/models/<network>-<speaker>.pt, which `evaluate` and `export` read. `evaluate` is called at the
end. One core trains in minutes; `pool` has to have run.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from training.asr_digits.data import LONGEST, SPEAKERS, SYMBOLS
from training.asr_digits.evaluate import report
from training.asr_digits.kept import MODELS, NETWORKS, load, save, untrained
from training.asr_digits.loss import transducer_loss
from training.asr_digits.networks import ENCODED, Transducer, parameters_of
from training.asr_digits.pool import Batch, Pool

LAST, LAST_PEAK = ((800, 0.5), (500, 1.0), (500, 1.0)), 8e-4
"""Steps of the last rounds, each with its share of strings that hold a doubled digit; and their rate of learning."""
SETTLING = 150
"""Batches whose means batch normalisation keeps."""
_SHORT, _LONG = (2, 32), (LONGEST, 12)  # digits at most, strings in a batch: the sound of either is about as long


@dataclass(frozen=True)
class Settings:
    """How long and how fast; the same for both networks and every speaker, chosen with `yweweler` held out."""

    steps: int = 2_600
    alone: int = 910  # of them the encoder learns without predictor and joiner, on strings of up to two digits
    peak: float = 2e-3
    warm_up: int = 100
    weight_decay: float = 0.01
    clip: float = 5.0
    fast_emit: float = 0.01
    average: float = 0.99
    doubled: float = 0.0  # share of strings in which a digit is said twice in a row, see `Pool.batches`
    seed: int = 1

    def rate(self, step: int) -> float:
        """Of learning: linear up, then half a cosine down."""
        if step < self.warm_up:
            return self.peak * (step + 1) / self.warm_up
        return self.peak * 0.5 * (1 + math.cos(math.pi * (step - self.warm_up) / (self.steps - self.warm_up)))

    def aligned(self, step: int) -> float:
        """Weight of the loss that tells in each frame which digit is being said; goes down to none.

        A transducer alone needs long to find out which sound belongs to which label. Here it is known, because the
        strings were put together (Hu et al., "Exploring pre-training with alignments for RNN transducer", 2020).
        """
        return 3.0 * (1 - step / self.steps)


def main() -> None:
    defaults = Settings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", choices=SPEAKERS, required=True)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument(
        "--finish", action="store_true", help="make the last steps again, from <network>-<speaker>-first"
    )
    for name in ("steps", "alone", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name.replace("-", "_")))
    asked = parser.parse_args()
    settings = Settings(steps=asked.steps, alone=asked.alone, seed=asked.seed)
    torch.set_num_threads(1)
    path = MODELS / f"{asked.network}-{asked.held_out}.pt"
    if asked.finish:
        pool = Pool([one for one in SPEAKERS if one != asked.held_out])
        model = finished(load(path.with_stem(f"{path.stem}-first")), pool, settings)
    else:
        model = trained(asked.network, asked.held_out, settings)
    save(path, asked.network, model, asdict(settings))
    report(model, asked.held_out, path.with_suffix(".json"))


def trained(network: str, held_out: str, settings: Settings) -> Transducer:
    """The whole training, in evaluation mode."""
    torch.manual_seed(settings.seed)
    pool = Pool([one for one in SPEAKERS if one != held_out])
    model = untrained(network)
    mean, deviation = pool.statistics()
    model.encoder.front.mean.copy_(torch.from_numpy(mean))
    model.encoder.front.deviation.copy_(torch.from_numpy(deviation))
    print(f"{network}: {parameters_of(model)} parameters, {len(pool)} strings, {settings}", flush=True)
    model = averaged(model, pool, settings)
    save(MODELS / f"{network}-{held_out}-first.pt", network, model, asdict(settings))
    return finished(model, pool, settings)


def finished(model: Transducer, pool: Pool, settings: Settings) -> Transducer:
    """The last steps, with normalisation as it will be in service.

    Strings of a batch are about equally long, and batch normalisation lets a network use that: with the means of all
    strings it then left out whatever came late. So those means are taken, and the network learns to live with them.
    """
    norms = [one for one in model.modules() if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    rng = np.random.default_rng(settings.seed)
    with torch.no_grad():
        for batch in itertools.islice(pool.batches(32, rng), SETTLING if norms else 0):
            model.encoder(batch.features, *model.encoder.begin(len(batch.labels)))
    for norm in norms:
        norm.running_var.clamp_(min=1e-3)  # a channel that hardly ever speaks would shout
    for at, (steps, doubled) in enumerate(LAST, 1):
        seed = settings.seed + at
        last = replace(settings, steps=steps, peak=LAST_PEAK, alone=0, seed=seed, fast_emit=0.0, doubled=doubled)
        model = averaged(model, pool, last)
    return model


def averaged(model: Transducer, pool: Pool, settings: Settings) -> Transducer:
    """The average of the weights towards the end, in evaluation mode."""
    fixed = settings.alone == 0
    torch.manual_seed(settings.seed)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.average), use_buffers=True
    )
    frame_wise = nn.Linear(ENCODED, len(SYMBOLS))
    parameters = [*model.parameters(), *frame_wise.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    started, losses = time.monotonic(), list[tuple[float, float]]()
    for step, batch in enumerate(batches(pool, settings)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        model.train()
        for module in model.modules():
            module.train(not (fixed and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)))
        losses.append(learn(model, frame_wise, optimizer, batch, settings, step))
        average.update_parameters(model)
        if step % 100 == 99:
            passed = time.monotonic() - started
            loss, frame = np.mean(losses[-100:], axis=0)
            print(f"step {step + 1} loss {loss:.3f}, frame-wise {frame:.3f}, {passed:.0f} s", flush=True)
    kept: Transducer = average.module
    return kept.eval()


def learn(
    model: Transducer,
    frame_wise: nn.Linear,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: Settings,
    step: int,
) -> tuple[float, float]:
    """One step; the transducer's loss per label and the frame-wise one per frame."""
    encoded, *_ = model.encoder(batch.features, *model.encoder.begin(len(batch.labels)))
    said = ends_of(batch.said) if settings.alone == 0 else batch.said
    frames = cross_entropy(frame_wise(encoded).flatten(0, 1), said.flatten())
    loss = torch.zeros(())
    if step >= settings.alone:
        logits = model.logits(encoded, batch.labels)
        losses = transducer_loss(logits, batch.labels, batch.frames, batch.label_counts, fast_emit=settings.fast_emit)
        loss = losses.sum() / batch.label_counts.sum()
    optimizer.zero_grad()
    (loss + settings.aligned(step) * frames).backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return float(loss.detach()), float(frames.detach())


def ends_of(said: torch.Tensor) -> torch.Tensor:
    """Only the last frame of each digit: what is said all along does not tell one digit from the same one twice."""
    later = nn.functional.pad(said[:, 1:], (0, 1))
    return torch.where(said != later, said, 0)


def batches(pool: Pool, settings: Settings) -> Iterator[Batch]:
    """As many as there are steps: short strings for the encoder alone, then all of them."""
    rng = np.random.default_rng(settings.seed)
    for (longest, size), steps in ((_SHORT, settings.alone), (_LONG, settings.steps - settings.alone)):
        passes = (pool.batches(size, rng, longest=longest, doubled=settings.doubled) for _ in itertools.count())
        yield from itertools.islice(itertools.chain.from_iterable(passes), steps)


if __name__ == "__main__":
    main()
