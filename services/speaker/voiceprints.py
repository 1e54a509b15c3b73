"""From statistics of speech to a voiceprint, and from two voiceprints to a probability.

`verifier.py` holds one `VoiceModel`. Its numbers are made by training/speaker_statistics; CARD.md beside them says from
what, how good they are, and what they cannot do.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.runtime.errors import FailedPrecondition
from services.speaker.features import DIMENSIONS, Floats, statistics

MODEL_FOLDER = Path(__file__).parent / "models" / "voice-statistics"


@dataclass(frozen=True)
class VoiceModel:
    """Centres, scales and projects statistics so that the differences between voices outweigh those within one.

    Attributes:
        mean, scale: shape (72,).
        projection: shape (72, n).
        slope, offset: of the logistic that turns a cosine into a probability.
        name: publisher/name@version.
        digest: "sha256:..." of the numbers.
        scores: measured error rates, by what was measured.
    """

    mean: Floats
    scale: Floats
    projection: Floats
    slope: float
    offset: float
    name: str = ""
    digest: str = ""
    scores: dict[str, float] | None = None

    def voiceprint(self, cepstra: Floats) -> Floats:
        """Unit vector of shape (n,) for the speech in `cepstra`, shape (frames, 48)."""
        normalised: Floats = ((statistics(cepstra) - self.mean) / self.scale).astype(np.float32)
        return unit(normalised @ self.projection)

    def probability(self, cosine: float) -> float:
        """That two voiceprints are of one voice, where as many are as are not; 0.5 is the equal-error threshold."""
        return 1 / (1 + math.exp(-(self.slope * cosine + self.offset)))


def unit(vector: Floats) -> Floats:
    """`vector` with length 1; zeros stay."""
    length = float(np.linalg.norm(vector))
    scaled: Floats = (vector / length if length else vector).astype(np.float32)
    return scaled


def load(folder: Path = MODEL_FOLDER) -> VoiceModel:
    """Read the model.

    Raises:
        FailedPrecondition: `MODEL_MISSING`, or `MODEL_DIGEST_MISMATCH` when it is not the file that was measured.
    """
    try:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        content = (folder / "model.npz").read_bytes()
    except OSError:
        raise FailedPrecondition("the voice model is not installed", reason="MODEL_MISSING") from None
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise FailedPrecondition("model.npz is not the file that was measured", reason="MODEL_DIGEST_MISMATCH")
    with np.load(folder / "model.npz", allow_pickle=False) as numbers:
        assert numbers["mean"].shape == (DIMENSIONS,)
        return VoiceModel(
            mean=numbers["mean"],
            scale=numbers["scale"],
            projection=numbers["projection"],
            slope=float(card["slope"]),
            offset=float(card["offset"]),
            name=str(card["model"]),
            digest=f"sha256:{card['sha256']}",
            scores=dict(card["scores"]),
        )
