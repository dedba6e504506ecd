"""Disentanglement: can the nuisance be read from the action code, and the action from the other?

Probes are the headline; HSIC is secondary. Run them on data where action and nuisance are crossed,
and print no accuracy without its floors.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from whyact.metrics.summary import Summary, summarise
from whyact.ops.independence import MIN_CLIPS, normalised_hsic, permutation_p_value
from whyact.types import WhyactError


@dataclass(frozen=True)
class Leakage:
    """How well one factor is read from the code of the other, on held-out clips.

    Attributes:
        linear, mlp: accuracy of the two probes.
        majority: of always guessing the commonest class of the probe's training clips.
        permuted: mean accuracy of both kinds of probe trained on permuted labels, the larger one.
        correlation: of the best guess from the other factor's true label, which a perfect code
            holds: the leak that the data itself has. It is at ``majority`` on crossed data.
        floor: the largest of the three floors.
        classes: number of classes that are probed.
        hits: of the two probes by name, (n,) of 0 and 1, one a held-out clip.
    """

    linear: Summary
    mlp: Summary
    majority: float
    permuted: float
    correlation: float
    floor: float
    classes: int
    hits: dict[str, Tensor]

    def record(self) -> dict[str, Any]:
        """As JSON values, without the hits."""
        return {k: v for k, v in asdict(self).items() if k != "hits"}


def train_probe(
    codes: Tensor,
    labels: Tensor,
    *,
    classes: int,
    hidden: int = 0,
    steps: int = 300,
    weight_decay: float = 1e-3,
    seed: int = 0,
) -> nn.Module:
    """Train a probe on codes, on their device, all at once.

    Codes are standardised by the training clips. Every fifth clip (in a seeded order) is held out
    and picks the step at which the probe is taken, so that a probe that can memorise stops in time.

    Args:
        codes: (n, C). labels: (n,) int64. classes: Y.
        hidden: width of the MLP's hidden layer; 0 for a linear probe.
        steps: of AdamW with a learning rate of 0.01 that falls to zero by a cosine.
        weight_decay: of AdamW. seed: of weights and hold-out.

    Raises:
        WhyactError: fewer than ten clips, or codes and labels of different lengths.
    """
    if len(codes) != len(labels) or len(codes) < 10 or codes.ndim != 2:
        raise WhyactError(
            f"A probe needs codes (n, C) and labels (n,) of at least ten clips, got "
            f"{tuple(codes.shape)} and {tuple(labels.shape)}."
        )
    codes = codes.detach().float()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(codes), generator=generator).to(codes.device)
    held, used = order[::5], order[torch.arange(len(order)) % 5 != 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = _network(codes.shape[1], classes, hidden)
    mean, std = codes.mean(0), codes.std(0)
    probe = nn.Sequential(_Standardise(mean, std), probe).to(codes.device)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=0.01, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, kept = float("inf"), {k: v.clone() for k, v in probe.state_dict().items()}
    for step in range(steps):
        optimizer.zero_grad()
        with torch.enable_grad():
            torch.autograd.backward(F.cross_entropy(probe(codes[used]), labels[used]))
        optimizer.step()
        schedule.step()
        if step % 10 == 9:
            with torch.no_grad():
                loss = float(F.cross_entropy(probe(codes[held]), labels[held]))
            if loss < best:
                best, kept = loss, {k: v.clone() for k, v in probe.state_dict().items()}
    probe.load_state_dict(kept)
    return probe.eval()


class _Standardise(nn.Module):
    """Subtract a mean, divide by a deviation; a channel that never varies becomes 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(std > 1e-8, 1 / std.clamp_min(1e-8), 0.0))

    def forward(self, codes: Tensor) -> Tensor:
        return (codes - self.mean) * self.scale


def _network(width: int, classes: int, hidden: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, classes)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def leakage(
    codes: Tensor,
    labels: Tensor,
    other: Tensor,
    test_codes: Tensor,
    test_labels: Tensor,
    test_other: Tensor,
    *,
    classes: int,
    hidden: int = 128,
    steps: int = 300,
    permutations: int = 3,
    seed: int = 0,
) -> Leakage:
    """Read a factor from the code that should not hold it.

    Args:
        codes, test_codes: (n, C), mean code over regions and frames; for the nuisance in the
            action code these are action codes.
        labels, test_labels: (n,), the factor that is read (the nuisance).
        other, test_other: (n,), the factor that the code should hold (the action).
        classes: number of values of ``labels``.
        hidden: width of the MLP. steps: of training. permutations: of the permuted floor.
        seed: of everything.

    Raises:
        WhyactError: codes that are no finite numbers, or too few clips.
    """
    if not bool(torch.isfinite(codes).all() and torch.isfinite(test_codes).all()):
        raise WhyactError("The codes have values that are no finite numbers.")

    def hits(targets: Tensor, width: int, draw: int) -> Tensor:
        probe = train_probe(
            codes, targets, classes=classes, hidden=width, steps=steps, seed=seed + draw
        )
        with torch.no_grad():
            guess: Tensor = probe(test_codes.detach().float()).argmax(1)
        return (guess == test_labels).double()

    generator = torch.Generator().manual_seed(seed)
    chances = torch.zeros(2)
    for draw in range(permutations):
        shuffled = labels[torch.randperm(len(labels), generator=generator).to(labels.device)]
        for kind, width in enumerate((0, hidden)):
            chances[kind] += float(hits(shuffled, width, draw + 1).mean()) / permutations
    majority = float((test_labels == labels.bincount().argmax()).double().mean())
    correlation = _correlation_floor(labels, other, test_labels, test_other, classes)
    permuted = float(chances.max())
    found = {"linear": hits(labels, 0, 0), "mlp": hits(labels, hidden, 0)}
    return Leakage(
        linear=summarise(found["linear"]),
        mlp=summarise(found["mlp"]),
        majority=majority,
        permuted=permuted,
        correlation=correlation,
        floor=max(majority, permuted, correlation, 1 / classes),
        classes=classes,
        hits=found,
    )


def halves(first: Tensor, second: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows for training and for scoring a probe: of every pair of factors as many in both.

    Of pairs with an odd number of rows one is left, which goes in turn to either half, as on a
    chessboard: every value of the second factor is in both halves where it is in two such pairs,
    and of the first too where all pairs are there.

    Random halves would not do: a pair that is drawn more often into one is rarer in the other, so
    that what tells one factor would be misled about the other, below chance.

    Args:
        first, second: (n,), values of the two factors. seed: of the draw.
    """
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))
    pairs = first.cpu() * (int(second.max()) + 1) + second.cpu()
    order = order[pairs[order].argsort(stable=True)]
    _, size = pairs[order].unique_consecutive(return_counts=True)
    place = torch.cat([torch.arange(n) for n in size.tolist()])
    trains = place % 2 == 0
    # The last row of a pair with an odd number of them goes to the halves as on a chessboard.
    left = ((place == (size - 1).repeat_interleave(size)) & trains).nonzero().flatten()
    scene = second.cpu()[order[left]]
    left = left[scene.argsort(stable=True)]
    _, count = scene.unique(return_counts=True)
    fields = [i + rank for i, n in enumerate(count.tolist()) for rank in range(n)]
    trains[left[torch.tensor(fields, dtype=torch.int64) % 2 == 1]] = False
    return order[trains], order[~trains]


def _correlation_floor(
    labels: Tensor, other: Tensor, test_labels: Tensor, test_other: Tensor, classes: int
) -> float:
    """Accuracy of the commonest label among training clips with the same other factor."""
    values = int(torch.maximum(other.max(), test_other.max())) + 1
    table = torch.zeros(values, classes, dtype=torch.float64)
    table.index_put_((other.cpu(), labels.cpu()), torch.tensor(1.0).double(), accumulate=True)
    # A value never seen in training, and ties, fall back on the overall frequency.
    table += table.sum(0) / (table.sum() + 1)
    guess = table.argmax(1)[test_other.cpu()]
    return float((guess == test_labels.cpu()).double().mean())


@dataclass(frozen=True)
class Dependence:
    """Kernel dependence of two codes: normalised HSIC and its permutation p-value; None if N/A."""

    hsic: float | None
    p_value: float | None
    clips: int


def dependence(
    action: Tensor, nuisance: Tensor, *, permutations: int = 200, seed: int = 0
) -> Dependence:
    """Normalised HSIC of codes (n, C) and (n, C') and the share of random pairings at least as big.

    Secondary to the probes: it depends on the kernel's bandwidth (the median distance), and where
    action and nuisance are correlated in the data it is significant for perfect codes too.
    """
    if len(action) < MIN_CLIPS or 0 in (action.shape[1], nuisance.shape[1]):
        return Dependence(None, None, len(action))
    generator = torch.Generator().manual_seed(seed)
    p = permutation_p_value(action, nuisance, permutations, generator)
    return Dependence(float(normalised_hsic(action, nuisance)), p, len(action))
