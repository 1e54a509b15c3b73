"""The encoder with the compute dial in torch; `dial.py` trains it, `dial_graph.py` writes the same as an ONNX graph.

After the compute-amortised Transformer (Xie et al., "Compute Cost Amortized Transformer for Streaming ASR", 2022): in
front of every attention and every feed-forward layer an arbitrator decides per frame whether it is computed. Here the
arbitrators also see the caller's budget, so that one model is the whole dial. A frame whose attention is left out gives
no key and no value either. Differences from the paper: one key and value for all heads (Shazeer, "Fast Transformer
Decoding", 2019), a bias per distance for the positions, a convolution in front.

In training everything is computed and multiplied by the gates; nothing is saved until the graph gathers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.asr_digits.dial_cost import costs
from training.asr_digits.dial_settings import ALWAYS, BASIS, KNEES, PRIOR_FRAMES, RECENT, DialSettings

_SHUT = -1e4
_OPEN_AT_FIRST = 3.0
"""Logit of a gate at budget 1 before training; at budget 0 its negative."""


class ChannelDropout(nn.Module):
    """Leaves out the same channels in all frames of an utterance: as good here as single numbers, and next to free."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def forward(self, rows: Tensor) -> Tensor:
        """[B, T, channels] -> the same."""
        if not self.training:
            return rows
        kept = torch.rand(rows.shape[0], 1, rows.shape[2]) >= self._share
        return rows * (kept / (1 - self._share))


class Block(nn.Module):
    """Attention and feed-forward layer, each with its residual and its gate."""

    def __init__(self, settings: DialSettings) -> None:
        super().__init__()
        width = settings.width
        self._settings = settings
        self.norm1 = nn.LayerNorm(width)
        self.project = nn.Linear(width, width + 2 * settings.head_width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.wide = nn.Linear(width, settings.widening * width)
        self.narrow = nn.Linear(settings.widening * width, width)
        self.drop = ChannelDropout(0.15)

    def forward(self, rows: Tensor, gates: Tensor, bias: Tensor) -> Tensor:
        """[B, T, width] of the same; gates [B, T, 2], bias [heads, T, T]."""
        attend, feed = gates[..., :1], gates[..., 1:]
        rows = rows + attend * self.drop(self._attention(self.norm1(rows), attend, bias))
        fed: Tensor = self.narrow(self.drop(torch.relu(self.wide(self.norm2(rows)))))
        return rows + feed * self.drop(fed)

    def _attention(self, rows: Tensor, attend: Tensor, bias: Tensor) -> Tensor:
        batch, frames, width = rows.shape
        heads, narrow = self._settings.heads, self._settings.head_width
        queries, keys, values = self.project(rows).split([width, narrow, narrow], dim=-1)
        queries = queries.view(batch, frames, heads, narrow).transpose(1, 2) * narrow**-0.5
        scores = queries @ keys.transpose(1, 2).unsqueeze(1) + bias
        there = attend.transpose(1, 2).unsqueeze(1)
        others = 1 - torch.eye(frames, device=rows.device)
        weights = torch.softmax(scores + _SHUT * (there < 0.5) * others, dim=-1)
        if self.training:
            # Nothing is added, yet the gate of a key learns what the key would be worth to all who could see it.
            weights = weights + torch.softmax(scores, dim=-1).detach() * (there - there.detach())
        mixed = (weights @ values.unsqueeze(1)).transpose(1, 2).reshape(batch, frames, width)
        out: Tensor = self.out(mixed)
        return out


class DialEncoder(nn.Module):
    """Features and budget to encoder frames, and what they cost.

    Args:
        settings: dimensions.
        mean: of the features over the training data, [mel_bins].
        deviation: the same.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, settings: DialSettings, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        first, second = settings.channels
        self.settings = settings
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", 1 / deviation.float())
        self.conv1 = nn.Conv2d(1, first, (5, 3), stride=2, padding=(0, 1))
        self.conv2 = nn.Conv2d(first, second, (3, 3), stride=2, padding=(0, 1))
        self.project = nn.Linear(second * settings.mel_bins // 4, settings.width)
        self.enter = nn.LayerNorm(settings.width)
        self.position = nn.Parameter(-_steepness(settings.heads)[:, None] * torch.arange(settings.context + 1))
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.blocks))
        self.norm = nn.LayerNorm(settings.width)
        self.leave = nn.Linear(settings.width, settings.encoded)
        self.gates = nn.Parameter(torch.randn(settings.blocks, 2, settings.width) * 0.02)
        self.dial = nn.Linear(BASIS, 2 * settings.blocks)
        with torch.no_grad():
            self.dial.weight.zero_()
            self.dial.weight[:, 0] = 2 * _OPEN_AT_FIRST
            self.dial.bias.fill_(-_OPEN_AT_FIRST)

    def forward(
        self, features: Tensor, budget: Tensor, *, noise: float = 0.0, forced: Tensor | None = None,
        context: int | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Whole utterances.

        Args:
            features: [B, T, mel_bins], T a multiple of 4.
            budget: [B, 1], above 0, at most 1.
            noise: temperature of the logistic noise on the gates; 0 decides as the graph does.
            forced: [B, T/4, blocks, 2] of 0 and 1 instead of the arbitrators (the baseline).
            context: a shorter window than the settings' (the baseline).

        Returns:
            encoded [B, T/4, encoded] and the open gates [B, T/4, blocks, 2], 0 or 1 with the gradient of their
            probability.
        """
        rows = self.front(features)
        bias = self._bias(rows.shape[1], context or self.settings.context)
        wish = self._wish(budget)
        opened: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            if forced is None:
                logits = rows @ self.gates[number].T + wish[:, None, number]
                opened.append(gate(logits, noise))
            else:
                opened.append(forced[:, :, number])
            rows = block(rows, opened[-1], bias)
        return self.leave(self.norm(rows)), torch.stack(opened, dim=2)

    def front(self, features: Tensor) -> Tensor:
        """Running mean taken off, then two convolutions: [B, T/4, width]."""
        centred = features - self.mean
        heard = torch.arange(1, features.shape[1] + 1, device=features.device, dtype=features.dtype)
        normal = (centred - centred.cumsum(dim=1) / (heard + PRIOR_FRAMES)[:, None]) * self.scale
        x = functional.pad(normal, (0, 0, RECENT, 0)).unsqueeze(1)
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        rows: Tensor = self.enter(self.project(x.transpose(1, 2).flatten(2)))
        return rows

    def spent(self, opened: Tensor) -> Tensor:
        """Share of the full cost per frame: [B, T/4]."""
        share = costs(self.settings)
        each = opened.new_tensor([share.attention, share.feed_forward])
        return share.fixed + (opened * each).sum(dim=(2, 3))

    def _wish(self, budget: Tensor) -> Tensor:
        knees = torch.relu(budget - budget.new_tensor(KNEES))
        wish = self.dial(knees) + ALWAYS * (budget >= 1)
        return wish.view(-1, self.settings.blocks, 2)

    def _bias(self, frames: int, context: int) -> Tensor:
        at = torch.arange(frames, device=self.position.device)
        distance = at[:, None] - at
        bias = self.position[:, distance.clamp(0, self.settings.context)]
        return torch.where((distance >= 0) & (distance <= context), bias, _SHUT)


def _steepness(heads: int) -> Tensor:
    """How much each head prefers near frames before training (after Press et al., "Train short, test long", 2022)."""
    return 4.0 ** -torch.arange(heads, dtype=torch.float32)


def gate(logits: Tensor, noise: float) -> Tensor:
    """0 or 1; backwards the gradient of the sigmoid (straight through)."""
    if noise > 0:
        uniform = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
        logits = logits + noise * (torch.log(uniform) - torch.log1p(-uniform))
    soft = torch.sigmoid(logits)
    return (logits > 0).to(soft.dtype) + soft - soft.detach()
