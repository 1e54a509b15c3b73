"""The networks in torch: the pretrained encoder with three heads, whole as the teacher or cut down as the student.

`train.py` builds and trains them, `export.py` writes the student. The encoder is MiniLM (Wang et al. 2020) as
all-MiniLM-L6-v2 ships it: 384 wide, twelve heads, six layers, each normalised after its residual. A head of intents
reads the mean over pieces, the head of tags reads each piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from services.nlu.engines.pieces import MAX_PIECES
from training.nlu_intents.encoding import MASSIVE_LABELS, TAGS
from training.nlu_intents.vocabulary import PRETRAINED, pretrained

WIDTH = 384
ATTENTION_HEADS = 12
WHOLE = 6
"""Layers of the pretrained encoder."""

_INNER = 4 * WIDTH
_EPSILON = 1e-12


@dataclass(frozen=True)
class Logits:
    """`massive` [sentences, labels], `clinc` [sentences, labels], `tags` [sentences, pieces, tags]."""

    massive: Tensor
    clinc: Tensor
    tags: Tensor


class Layer(nn.Module):
    """Attention and feed-forward, each with its residual."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, _EPSILON)
        self.inner = nn.Linear(WIDTH, _INNER)
        self.outer = nn.Linear(_INNER, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, _EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Args: x [sentences, pieces, WIDTH]; bias [sentences, 1, 1, pieces], very negative at padding."""
        rows, pieces, _ = x.shape
        q, k, v = self.qkv(x).view(rows, pieces, 3, ATTENTION_HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = self.norm1(x + self.dropout(self.out(mixed.transpose(1, 2).reshape(rows, pieces, WIDTH))))
        return self.norm2(x + self.dropout(self.outer(F.gelu(self.inner(x)))))


class Encoder(nn.Module):
    """Pieces to logits. Embeddings of pieces stay as pretrained: rare ones would fall behind those that are trained."""

    def __init__(self, pieces: int, layers: int, clinc: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.words = nn.Embedding(pieces, WIDTH)
        self.words.weight.requires_grad_(False)
        self.places = nn.Embedding(MAX_PIECES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, _EPSILON)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.massive = nn.Linear(WIDTH, len(MASSIVE_LABELS))
        self.clinc = nn.Linear(WIDTH, clinc)
        self.tags = nn.Linear(WIDTH, len(TAGS))

    def forward(self, ids: Tensor) -> Logits:
        """Of int64 [sentences, pieces]; 0 pads."""
        there = ids != 0
        bias = torch.zeros_like(there, dtype=torch.float32).masked_fill(~there, -1e4)[:, None, None, :]
        x = self.dropout(self.norm(self.words(ids) + self.places.weight[: ids.shape[1]]))
        for layer in self.layers:
            x = layer(x, bias)
        weight = there.float()[..., None]
        pooled = self.dropout((x * weight).sum(dim=1) / weight.sum(dim=1))
        return Logits(self.massive(pooled), self.clinc(pooled), self.tags(self.dropout(x)))


def pretrained_encoder(vocabulary: Sequence[str], clinc: int) -> Encoder:
    """The whole encoder with pretrained weights and new heads."""
    old = load_file(str(PRETRAINED / "model.safetensors"))
    numbers = {piece: at for at, piece in enumerate(pretrained())}
    kind = old["embeddings.token_type_embeddings.weight"][0]
    state = {
        "words.weight": old["embeddings.word_embeddings.weight"][[numbers[piece] for piece in vocabulary]],
        "places.weight": old["embeddings.position_embeddings.weight"][:MAX_PIECES] + kind,
        "norm.weight": old["embeddings.LayerNorm.weight"],
        "norm.bias": old["embeddings.LayerNorm.bias"],
    }
    for at in range(WHOLE):
        state |= _layer_state(old, at)
    made = Encoder(len(vocabulary), WHOLE, clinc)
    missing, unexpected = made.load_state_dict(state, strict=False)
    if unexpected or any(name.split(".")[0] not in {"massive", "clinc", "tags"} for name in missing):
        raise ValueError(f"The pretrained weights do not fit: {missing}, {unexpected}.")
    return made


def _layer_state(old: Mapping[str, Tensor], at: int) -> dict[str, Tensor]:
    before, own = f"encoder.layer.{at}", f"layers.{at}"
    state = {}
    for part in ("weight", "bias"):
        attention = [old[f"{before}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
        state[f"{own}.qkv.{part}"] = torch.cat(attention)
        for name, there in (
            ("out", "attention.output.dense"),
            ("norm1", "attention.output.LayerNorm"),
            ("inner", "intermediate.dense"),
            ("outer", "output.dense"),
            ("norm2", "output.LayerNorm"),
        ):
            state[f"{own}.{name}.{part}"] = old[f"{before}.{there}.{part}"]
    return state


def cut_down(teacher: Encoder, layers: Sequence[int]) -> Encoder:
    """A student with some of the teacher's layers, and all else of it."""
    made = Encoder(teacher.words.num_embeddings, len(layers), teacher.clinc.out_features)
    state = {name: value for name, value in teacher.state_dict().items() if not name.startswith("layers.")}
    for at, number in enumerate(layers):
        state |= {f"layers.{at}.{name}": value for name, value in teacher.layers[number].state_dict().items()}
    made.load_state_dict(state)
    return made
