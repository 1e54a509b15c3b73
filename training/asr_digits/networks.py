"""The networks of the digit recognisers: both encoders, and the predictor and joiner that every transducer here has.

Called by `train`, `evaluate` and `export`; the compute dial takes the predictor, the joiner and the front.

- `LstmEncoder`: the baseline, a plain RNN-T's (Graves 2012): four frames at a time through a stack of LSTMs.
- `ConvEncoder`: after Radfar et al., "ConvRNN-T: Convolutional Augmented Recurrent Neural Network Transducers for
  Streaming Speech Recognition" (arXiv 2209.14868): a local CNN over time and frequency, a global CNN of dilated
  depthwise convolutions with squeeze-and-excitation over all that was heard so far, then fewer LSTMs.

Everything is causal. What a network has to remember is a tuple of tensors with the batch first, zeros at the start of
an utterance; in pieces of any multiple of four frames it computes what it computes in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SUBSAMPLING = 4
MEL_BINS = 40
ENCODED = 128
PREDICTED = 128
HIDDEN = 64
_PRIOR_FRAMES = 50.0  # half a second: how long the mean of the training counts against what is heard

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class StateShape:
    """A tensor carried along: its name without direction, and its shape behind the batch."""

    name: str
    shape: tuple[int, ...]


class Front(nn.Module):
    """Takes the microphone's and the speaker's mean out of the features: the mean so far, begun by that of training."""

    shapes = (StateShape("mean_sum", (MEL_BINS,)), StateShape("mean_count", (1,)))

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(MEL_BINS))
        self.register_buffer("deviation", torch.ones(MEL_BINS))

    def forward(self, features: Tensor, total: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, 40] -> the same, normalised; and the new sum [B, 40] and count [B, 1]."""
        centred = features - self.mean
        sums = total[:, None] + centred.cumsum(dim=1)
        counts = count[:, None] + torch.ones_like(features[:, :, :1]).cumsum(dim=1)
        normal = (centred - sums / (counts + _PRIOR_FRAMES)) / self.deviation
        return normal, sums[:, -1], counts[:, -1]


class CarriedLstm(nn.Module):
    """One layer whose hidden and cell state are [B, H]."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, (hidden, cell) = self.lstm(x, (hidden[None], cell[None]))
        return out, hidden[0], cell[0]


class Encoder(nn.Module):
    """What both encoders have in common: features and states in, encoded frames and new states out."""

    shapes: tuple[StateShape, ...]

    def begin(self, batch: int) -> States:
        """The states of utterances that begin."""
        return tuple(torch.zeros(batch, *one.shape) for one in self.shapes)

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """[B, T, 40] -> encoded [B, T / 4, 128], and the states in the order of `shapes`."""
        raise NotImplementedError


class LstmStack(nn.Module):
    """LSTMs with layer normalisation between them, and a projection to the encoding."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CarriedLstm(inputs if not at else hidden, hidden) for at in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.project = nn.Linear(hidden, ENCODED)
        self.shapes = tuple(
            StateShape(f"{part}_{at}", (hidden,)) for at in range(layers) for part in ("lstm_hidden", "lstm_cell")
        )

    def forward(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        after: list[Tensor] = []
        for at, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x, hidden, cell = layer(x, states[2 * at], states[2 * at + 1])
            after += [hidden, cell]
            x = norm(x)
        return self.project(x), after


class LstmEncoder(Encoder):
    """The baseline: four frames side by side into a stack of LSTMs."""

    def __init__(self, hidden: int = 156, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.front = Front()
        self.enter = nn.Sequential(
            nn.Linear(SUBSAMPLING * MEL_BINS, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.stack = LstmStack(hidden, hidden, layers)
        self.shapes = (*Front.shapes, *self.stack.shapes)

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        x, total, count = self.front(features, *states[:2])
        x = self.enter(x.reshape(x.shape[0], -1, SUBSAMPLING * MEL_BINS))
        encoded, after = self.stack(x, states[2:])
        return (encoded, total, count, *after)


class CausalConv2d(nn.Module):
    """3 x 3 over time and frequency; sees two frames back (one with stride 2, where the newest frame ends a window)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.past = 3 - stride
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=(0, 1), bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, T, F] and the frames before it [B, C, past, F]."""
        x = torch.cat((past, x), dim=2)
        return torch.relu(self.norm(self.conv(x))), x[:, :, -self.past :]


class LocalCnn(nn.Module):
    """Three convolutions: subsamples time by four and frequency by four, and looks at the result once more."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        bands = (MEL_BINS, MEL_BINS // 2, MEL_BINS // 4)
        self.first = CausalConv2d(1, channels // 2, 2)
        self.second = CausalConv2d(channels // 2, channels, 2)
        self.third = CausalConv2d(channels, channels, 1)
        self.project = nn.Linear(channels * bands[2], outputs)
        self.norm = nn.LayerNorm(outputs)
        self.shapes = (
            StateShape("local_0", (1, 1, bands[0])),
            StateShape("local_1", (channels // 2, 1, bands[1])),
            StateShape("local_2", (channels, 2, bands[2])),
        )

    def forward(self, features: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """[B, T, 40] -> [B, T / 4, outputs]."""
        x, first = self.first(features[:, None], states[0])
        x, second = self.second(x, states[1])
        y, third = self.third(x, states[2])
        flat = (x + y).transpose(1, 2).flatten(2)
        return torch.relu(self.norm(self.project(flat))), [first, second, third]


class GlobalBlock(nn.Module):
    """Pointwise, dilated depthwise, squeeze-and-excitation on the mean so far, pointwise; beside it, the input."""

    def __init__(self, channels: int, dilation: int, index: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.enter = nn.Linear(channels, channels)
        self.norm = nn.BatchNorm1d(channels)
        self.depthwise = nn.Conv1d(channels, channels, 3, dilation=dilation, groups=channels)
        self.squeeze = nn.Sequential(
            nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels), nn.Sigmoid()
        )
        self.leave = nn.Linear(channels, channels)
        self.out_norm = nn.LayerNorm(channels)
        self.shapes = (
            StateShape(f"global_past_{index}", (channels, self.past)),
            StateShape(f"global_sum_{index}", (channels,)),
            StateShape(f"global_count_{index}", (1,)),
        )

    def forward(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """[B, T, C] -> the same shape."""
        past, total, count = states
        line = torch.cat((past, torch.relu(self.enter(x)).transpose(1, 2)), dim=2)
        y = torch.relu(self.norm(self.depthwise(line))).transpose(1, 2)
        sums = total[:, None] + y.cumsum(dim=1)
        counts = count[:, None] + torch.ones_like(y[:, :, :1]).cumsum(dim=1)
        y = self.leave(y * self.squeeze(sums / counts))
        return self.out_norm(x + y), [line[:, :, -self.past :], sums[:, -1], counts[:, -1]]


class ConvEncoder(Encoder):
    """ConvRNN-T: what the local and the global CNN say goes side by side into the LSTMs."""

    def __init__(
        self,
        channels: int = 24,
        width: int = 96,
        dilations: Sequence[int] = (1, 2, 4, 8),
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.front = Front()
        self.local = LocalCnn(channels, width)
        self.blocks = nn.ModuleList(GlobalBlock(width, dilation, at) for at, dilation in enumerate(dilations))
        self.merge = nn.Sequential(nn.Linear(2 * width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Dropout(dropout))
        self.stack = LstmStack(hidden, hidden, layers)
        wide = [shape for block in self.blocks for shape in block.shapes]
        self.shapes = (*Front.shapes, *self.local.shapes, *wide, *self.stack.shapes)

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        x, total, count = self.front(features, *states[:2])
        near, after_local = self.local(x, states[2:5])
        far, after_global = near, []
        for at, block in enumerate(self.blocks):
            far, after = block(far, states[5 + 3 * at : 8 + 3 * at])
            after_global += after
        merged = self.merge(torch.cat((near, far), dim=2))
        encoded, after_stack = self.stack(merged, states[5 + 3 * len(self.blocks) :])
        return (encoded, total, count, *after_local, *after_global, *after_stack)


class Predictor(nn.Module):
    """The network over the labels so far; its state is explicit, because a search keeps several."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, HIDDEN)
        self.lstm = CarriedLstm(HIDDEN, HIDDEN)
        self.project = nn.Linear(HIDDEN, PREDICTED)

    def forward(self, token: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, N] and the state [B, 64] each -> [B, N, 128] and the state after them."""
        x, hidden, cell = self.lstm(self.embed(token), hidden, cell)
        return self.project(x), hidden, cell


class Joiner(nn.Module):
    """What the sound and the labels so far say together, as logits."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.out = nn.Linear(ENCODED, vocabulary)
        with torch.no_grad():
            self.out.bias[0] += 3.0  # most of what a transducer says is blank

    def forward(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """[..., 128] each, of one shape or one that broadcasts -> [..., V]."""
        return self.out(torch.tanh(encoded + predicted))


class Transducer(nn.Module):
    """An encoder with a predictor and a joiner."""

    def __init__(self, encoder: Encoder, vocabulary: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.predictor = Predictor(vocabulary)
        self.joiner = Joiner(vocabulary)

    def logits(self, encoded: Tensor, labels: Tensor) -> Tensor:
        """[B, T, 128] and labels [B, U] -> [B, T, U + 1, V], what the loss takes.

        In training half of the utterances forget all labels but the last: left to itself, so small a predictor learns
        how many digits are usual and leaves out those that come after.
        """
        started = nn.functional.pad(labels, (1, 0))
        zero = encoded.new_zeros(len(labels), HIDDEN)
        predicted, _, _ = self.predictor(started, zero, zero)
        if self.training:
            none = encoded.new_zeros(started.numel(), HIDDEN)
            last, _, _ = self.predictor(started.reshape(-1, 1), none, none)
            forgets = torch.rand(len(labels), 1, 1) < 0.5
            predicted = torch.where(forgets, last.reshape(predicted.shape), predicted)
        return self.joiner(encoded[:, :, None], predicted[:, None])


def parameters_of(module: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(one.numel() for one in module.parameters())
