"""Trained models as files in build/asr_digits/models; `train` writes them, `evaluate` and `export` read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from training.asr_digits.data import SYMBOLS
from training.asr_digits.networks import ConvEncoder, Encoder, LstmEncoder, Transducer
from training.asr_digits.pool import BUILD

MODELS = BUILD / "models"
NETWORKS: dict[str, type[Encoder]] = {"conv": ConvEncoder, "lstm": LstmEncoder}


def untrained(network: str) -> Transducer:
    return Transducer(NETWORKS[network](), len(SYMBOLS))


def save(path: Path, network: str, model: Transducer, settings: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network": network, "weights": model.state_dict(), "settings": dict(settings)}, path)


def load(path: Path) -> Transducer:
    """What `save` wrote, in evaluation mode."""
    saved = torch.load(path, weights_only=True)
    model = untrained(saved["network"])
    model.load_state_dict(saved["weights"])
    return model.eval()
