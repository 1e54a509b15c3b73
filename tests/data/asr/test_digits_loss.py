"""The transducer loss against every path counted out, and both networks in pieces; needs torch, so imports it late."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

pytestmark = pytest.mark.training


def counted_out(scores: Any, labels: list[int]) -> Any:
    """Log probability of all ways to say each label in some frame, [T, U + 1, V] log probabilities given."""
    import torch

    paths = []
    for said_at in itertools.combinations_with_replacement(range(len(scores)), len(labels)):
        path, said = scores.new_zeros(()), 0
        for frame in range(len(scores)):
            while said < len(labels) and said_at[said] == frame:
                path = path + scores[frame, said, labels[said]]
                said += 1
            path = path + scores[frame, said, 0]
        paths.append(path)
    return torch.logsumexp(torch.stack(paths), 0)


def test_loss_and_gradient_are_those_of_all_paths() -> None:
    import torch

    from training.asr_digits.loss import transducer_loss

    torch.manual_seed(0)
    logits = torch.randn(4, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(1, 6, (4, 3))
    frames, counts = torch.tensor([5, 4, 1, 3]), torch.tensor([3, 2, 3, 0])
    loss = transducer_loss(logits, labels, frames, counts)
    wanted = -torch.stack(
        [
            counted_out(torch.log_softmax(logits[at, : frames[at]], -1), labels[at, : counts[at]].tolist())
            for at in range(4)
        ]
    )
    assert torch.allclose(loss, wanted)
    got, true = (torch.autograd.grad(one.sum(), logits, retain_graph=True)[0] for one in (loss, wanted))
    assert torch.allclose(got, true, atol=1e-12)


def test_fast_emit_changes_the_gradient_alone() -> None:
    import torch

    from training.asr_digits.loss import transducer_loss

    logits = torch.randn(1, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    arguments = (torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2]))
    plain, early = transducer_loss(logits, *arguments), transducer_loss(logits, *arguments, fast_emit=0.5)
    assert torch.equal(plain, early)
    gradients = [torch.autograd.grad(one.sum(), logits)[0] for one in (plain, early)]
    assert float((gradients[0] - gradients[1]).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("network", ["conv", "lstm"])
def test_an_encoder_in_pieces_is_the_encoder(network: str) -> None:
    import torch

    from training.asr_digits.kept import NETWORKS

    torch.manual_seed(0)
    encoder = NETWORKS[network]().eval()
    features = torch.randn(2, 96, 40)
    with torch.inference_mode():
        whole, *_ = encoder(features, *encoder.begin(2))
        states, pieces = encoder.begin(2), []
        for piece in torch.split(features, [4, 12, 32, 48], dim=1):
            encoded, *states = encoder(piece, *states)
            pieces.append(encoded)
    assert float((torch.cat(pieces, 1) - whole).abs().max()) < 1e-5
