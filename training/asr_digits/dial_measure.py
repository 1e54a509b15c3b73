"""Error against compute, of the dial and of its baseline; called by `dial --measure`, writes dial.svg and dial.json.

What is measured is the graph as it is served: strings of the held-out speaker in pieces of sixteen feature frames, one
thread. Seconds are those of the thread itself; every string goes round the budgets several times in turn, and its
fastest round counts, so that what else the machine does is left out. The baseline runs in torch: its patterns cost what
`dial_cost` says, and its seconds are not compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.asr_digits.decoding import greedy
from training.asr_digits.dial_export import FOLDER, PIECE, Running, graph_of
from training.asr_digits.dial_fixed import WINDOWS, pattern, window_cost
from training.asr_digits.evaluate import CONDITIONS, measured_set
from training.asr_digits.networks import SUBSAMPLING, Transducer
from training.asr_digits.pool import batch_of
from training.asr_digits.scoring import Score, relative_change, scored

BUDGETS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15)
SHAPES = ((1, 16), (1, 64), (8, 16), (32, 16))
"""Sequences in a call, feature frames of each."""

_ROUNDS = 9
_TIMED = 32  # strings for the clock at least

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Point:
    """One setting of the dial or the baseline.

    Attributes:
        name: `dial`, `pattern` or `window`.
        setting: budget, or frames of left context.
        spent: share of the full encoder's multiply-accumulates, per condition.
        scores: word errors per condition.
    """

    name: str
    setting: float
    spent: dict[str, float]
    scores: dict[str, Score]


def measure(dial: Transducer, fixed: Transducer | None, speaker: str) -> None:
    """Prints the curve; the bundle's folder gets it as numbers and as a picture."""
    points = [_dialled(dial, speaker, budget) for budget in BUDGETS]
    if fixed is not None:
        points += [_patterned(fixed, speaker, budget) for budget in BUDGETS if budget >= 0.2]
        points += [_windowed(fixed, speaker, window) for window in WINDOWS]
    for point in points:
        print(_line(point, points), flush=True)
    clock = timed(dial, speaker)
    report = {"speaker": speaker, "points": [_plain(point, points) for point in points], "clock": clock}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "dial.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draw(points, clock)


def timed(dial: Transducer, speaker: str) -> list[dict[str, float]]:
    """Time of the encoder at each budget and shape, as a share of that at budget 1 and of that without gates."""
    encoder = dial.encoder
    gated = Running(graph_of(encoder), encoder.settings)
    plain = Running(graph_of(encoder, gated=False), encoder.settings)
    features, *_ = measured_set(speaker, "clean")
    found = []
    for batch, frames in SHAPES:
        calls = _calls(features[: max(_TIMED, 4 * batch)], batch, frames)
        total = dict.fromkeys((0.0, *BUDGETS), 0.0)
        for pieces in calls:
            rounds = [{at: _seconds(gated if at else plain, pieces, at or 1.0) for at in total} for _ in range(_ROUNDS)]
            total = {at: seconds + min(each[at] for each in rounds) for at, seconds in total.items()}
        for budget in BUDGETS:
            row = {
                "batch": batch,
                "frames": frames,
                "budget": budget,
                "ms_per_call": 1000 * total[budget] / sum(map(len, calls)),
                "of_full": total[budget] / total[1.0],
                "of_ungated": total[budget] / total[0.0],
            }
            print({name: round(value, 3) for name, value in row.items()}, flush=True)
            found.append(row)
    return found


def _calls(features: Sequence[Frames], batch: int, frames: int) -> list[list[Frames]]:
    """Strings of like length side by side, cut into pieces; what is left at the end is not timed."""
    longest_first = sorted(features, key=len, reverse=True)
    groups = [longest_first[at : at + batch] for at in range(0, len(features) - batch + 1, batch)]
    calls = []
    for group in groups:
        length = min(map(len, group)) // frames * frames
        whole = np.stack([one[:length] for one in group])
        calls.append([whole[:, at : at + frames] for at in range(0, length, frames)])
    return [call for call in calls if call]


def _seconds(running: Running, pieces: Sequence[Frames], budget: float) -> float:
    batch = len(pieces[0])
    states, budgets = running.begin(batch), np.full((batch, 1), budget, np.float32)
    spent = 0.0
    for piece in pieces:
        before = time.thread_time()
        _, states = running.piece(piece, budgets, states)
        spent += time.thread_time() - before
    return spent


def _dialled(model: Transducer, speaker: str, budget: float) -> Point:
    running = Running(graph_of(model.encoder), model.encoder.settings)
    spent, scores = {}, {}
    for condition in CONDITIONS:
        features, labels, _ = measured_set(speaker, condition)
        encoded, costs = zip(*(_served(running, one, budget) for one in features), strict=True)
        scores[condition] = scored(labels, _heard(model, encoded))
        lengths = [len(one) for one in encoded]
        spent[condition] = float(np.average(costs, weights=lengths))
    return Point("dial", budget, spent, scores)


def _served(running: Running, features: Frames, budget: float) -> tuple[Frames, float]:
    """One string in pieces: encoded frames, and what was spent on them."""
    padded = batch_of([features], [(1,)]).features.numpy()
    states, budgets = running.begin(1), np.full((1, 1), budget, np.float32)
    encoded, spent = list[Frames](), list[float]()
    for at in range(0, padded.shape[1], PIECE):
        found, states = running.piece(padded[:, at : at + PIECE], budgets, states)
        encoded.append(found["encoded"][0])
        spent.append(float(found["spent"][0, 0]))
    return np.concatenate(encoded), float(np.average(spent, weights=[len(one) for one in encoded]))


def _heard(model: Transducer, encoded: Sequence[Frames]) -> list[list[int]]:
    lengths = torch.tensor([len(one) for one in encoded])
    padded = torch.zeros(len(encoded), int(lengths.max()), encoded[0].shape[1])
    for row, one in zip(padded, encoded, strict=True):
        row[: len(one)] = torch.from_numpy(one)
    return [[token for token, _ in labels] for labels in greedy(model, padded, lengths)]


def _patterned(model: Transducer, speaker: str, budget: float) -> Point:
    return _in_torch(model, speaker, "pattern", budget, budget, None)


def _windowed(model: Transducer, speaker: str, window: int) -> Point:
    return _in_torch(model, speaker, "window", float(window), 1.0, window)


def _in_torch(model: Transducer, speaker: str, name: str, setting: float, budget: float, window: int | None) -> Point:
    encoder = model.encoder
    spent, scores = {}, {}
    for condition in CONDITIONS:
        features, labels, _ = measured_set(speaker, condition)
        encoded, costs = list[Frames](), list[float]()
        for one in features:
            batch = batch_of([one], [(1,)])
            budgets = torch.full((1, 1), budget)
            forced = pattern(encoder.settings, budgets, batch.features.shape[1] // SUBSAMPLING)
            with torch.inference_mode():
                out, opened = encoder(batch.features, budgets, forced=forced, context=window)
                costs.append(float(encoder.spent(opened).mean()))
            encoded.append(out[0].numpy())
        scores[condition] = scored(labels, _heard(model, encoded))
        spent[condition] = float(np.average(costs, weights=[len(one) for one in encoded]))
        if window is not None:
            spent[condition] = window_cost(encoder.settings, window)
    return Point(name, setting, spent, scores)


def _full(point: Point, points: Sequence[Point]) -> Point:
    """The same network at full cost."""
    name = "dial" if point.name == "dial" else "pattern"
    return next(one for one in points if one.name == name and one.setting == 1.0)


def _plain(point: Point, points: Sequence[Point]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": point.name, "setting": point.setting, "spent": point.spent}
    for condition, score in point.scores.items():
        change = relative_change(score, _full(point, points).scores[condition])
        row[condition] = {"wer": score.rate, "interval": score.interval(), "increase": [-one for one in change]}
    return row


def _line(point: Point, points: Sequence[Point]) -> str:
    parts = [f"{point.name} {point.setting:g}"]
    for condition, score in point.scores.items():
        change, low, high = relative_change(score, _full(point, points).scores[condition])
        spent = f"{condition}: spent {point.spent[condition]:.3f}"
        parts.append(f"{spent}, WER {score}, {-change:+.0%} ({-high:+.0%} to {-low:+.0%})")
    return "; ".join(parts)


def draw(points: Sequence[Point], clock: Sequence[dict[str, float]]) -> None:
    """dial.svg: errors against compute on the left, time against compute on the right."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "dial", "font.size": 9}
    figure, (errors, seconds) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    names = {"dial": "dial", "pattern": "fixed pattern", "window": "shorter window"}
    for condition, style in zip(CONDITIONS, ("-", "--"), strict=True):
        for (name, title), colour in zip(names.items(), ("tab:blue", "tab:orange", "tab:green"), strict=True):
            chosen = [one for one in points if one.name == name]
            across = [one.spent[condition] for one in chosen]
            rates = [100 * one.scores[condition].rate for one in chosen]
            errors.plot(across, rates, style, marker=".", color=colour, label=f"{title}, {condition}")
    errors.set(xlabel="share of the multiply-accumulates", ylabel="word errors, %", ylim=(0, None), xlim=(0, 1.02))
    spent = {one.setting: one.spent["clean"] for one in points if one.name == "dial"}
    for batch, frames in SHAPES:
        rows = [row for row in clock if (row["batch"], row["frames"]) == (batch, frames)]
        across = [spent[row["budget"]] for row in rows]
        seconds.plot(across, [row["of_full"] for row in rows], marker=".", label=f"{batch} x {frames} frames")
    seconds.plot([0, 1], [0, 1], ":", color="grey")
    seconds.set(xlabel="share of the multiply-accumulates", ylabel="share of the time", ylim=(0, None), xlim=(0, 1.02))
    for axes in (errors, seconds):
        axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(FOLDER / "dial.svg", metadata={"Date": None})
