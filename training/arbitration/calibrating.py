"""Temperature and shifts of a ranker, fitted on lists kept out of its training."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from services.arbitration.stages.calibrate import Calibration
from training.arbitration.lists import Floats, Lists, softmax

LEAST: Final = 60
"""Lists in which a domain's candidates must be, or it gets no shift of its own."""

STIFFNESS: Final = 2e-3
"""What a squared point of shift costs, so that a domain with few turns stays near 0."""

ROUNDS: Final = 300
RATE: Final = 0.05


def fit(lists: Lists, scores: Floats) -> Calibration:
    """The calibration under which what was meant is likeliest (Adam on the mean negative logarithm)."""
    domains = np.where(np.arange(scores.shape[1]) < lists.sizes[:, None], lists.domains, len(lists.names))
    wanted = np.zeros(scores.shape)
    wanted[np.arange(len(lists)), lists.right] = 1.0
    numbers = np.zeros(len(lists.names) + 2)  # shifts, one that stays 0, logarithm of the temperature
    first, second = np.zeros_like(numbers), np.zeros_like(numbers)
    for step in range(1, ROUNDS + 1):
        shifts, temperature = numbers[:-1], float(np.exp(numbers[-1]))
        points = (scores + shifts[domains]) / temperature
        off = softmax(lists, points.astype(np.float32)) - wanted
        slope = np.zeros_like(numbers)
        slope[:-1] = np.bincount(domains.ravel(), off.ravel() / temperature, len(shifts)) / len(lists)
        slope[:-1] += 2 * STIFFNESS * shifts
        slope[-1] = -float((off * np.where(lists.there, points, 0.0)).sum()) / len(lists)
        slope[-2] = 0.0
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        numbers -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        numbers[:-1] = np.clip(numbers[:-1], -3.0, 3.0)
    seen = Counter(domain for row in domains for domain in set(row.tolist()))
    shift = {name: round(float(numbers[number]), 4) for number, name in enumerate(lists.names) if seen[number] >= LEAST}
    return Calibration(round(float(np.exp(numbers[-1])), 4), shift)


def applied(calibration: Calibration, lists: Lists, scores: Floats) -> Floats:
    """Probabilities of all rows, as `Calibration.probabilities` makes them."""
    shifts = np.array([*(calibration.shift.get(name, 0.0) for name in lists.names), 0.0])
    domains = np.where(np.arange(scores.shape[1]) < lists.sizes[:, None], lists.domains, len(lists.names))
    return softmax(lists, ((scores + shifts[domains]) / calibration.temperature).astype(np.float32))
