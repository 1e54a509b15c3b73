"""The transducer loss in torch, for small vocabularies and short labels; called by every training of this recipe.

Graves, "Sequence transduction with recurrent neural networks" (2012), sections 2.4 and 2.5. The recursion over labels
is one cumulative sum per frame: with E the running sum of the labels' log probabilities in a frame,
alpha(t, u) = E(u) + log sum over v <= u of exp(alpha(t-1, v) + blank(t-1, v) - E(v)).
"""

from __future__ import annotations

import torch
from torch import Tensor


def transducer_loss(
    logits: Tensor, labels: Tensor, frames: Tensor, label_counts: Tensor, *, fast_emit: float = 0.0
) -> Tensor:
    """Negative log likelihood of each label sequence, [B].

    Args:
        logits: [B, T, U + 1, V], before softmax; blank is 0.
        labels: int64 [B, U], padded with any valid label.
        frames: int64 [B], how many of T count, at least 1.
        label_counts: int64 [B], how many of U count.
        fast_emit: how much more the gradient of labels weighs than that of blanks, so that labels come out early
            (Yu et al., "FastEmit", 2021). The loss's value stays the same.
    """
    scores = torch.log_softmax(logits, dim=-1)
    blank = scores[..., 0]
    wanted = labels[:, None, :, None].expand(-1, logits.shape[1], -1, 1)
    label = scores[:, :, :-1].gather(3, wanted).squeeze(3)
    if fast_emit:
        label = label + fast_emit * (label - label.detach())
    emitted = torch.nn.functional.pad(label.cumsum(dim=2), (1, 0))
    alpha = emitted[:, 0]
    rows = [alpha]
    for t in range(1, logits.shape[1]):
        alpha = emitted[:, t] + torch.logcumsumexp(alpha + blank[:, t - 1] - emitted[:, t], dim=1)
        rows.append(alpha)
    ends = torch.stack(rows, dim=1) + blank
    batch = torch.arange(logits.shape[0])
    return -ends[batch, frames - 1, label_counts]
