"""Objectives that compare clips give two processes the loss and the gradient of one."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.toys import toy_batch, toy_output
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.contrast import SwapConsistency, SwapContrast
from whyact.objectives.gradient_reversal import GradientReversal
from whyact.objectives.temporal_consistency import TemporalConsistency
from whyact.objectives.whitened_consistency import WhitenedConsistency

PARTNER = torch.tensor([1, 0, 3, 2])
"""Backgrounds: within the first two clips, and within the last two."""


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def losses(weight: Tensor, start: int, stop: int) -> Tensor:
    """Of all that compare clips, on clips ``start`` to ``stop`` and their pasted views."""

    def coded(seed: int) -> dict[str, Tensor]:
        inputs = normal(4, 3, seed=seed)[start:stop]
        return {
            "action_code": (inputs @ weight)[:, None, None].expand(-1, 2, -1, -1),
            "region_code": (inputs.exp() @ weight)[:, None, None].expand(-1, 2, -1, -1),
            "nuisance_code": torch.stack([inputs.square(), inputs.sin()], 1)[:, :, None] @ weight,
        }

    batch, rows = toy_batch(stop - start, classes=2), torch.arange(stop - start)
    outputs = {
        "clip": toy_output(len(batch), 2, 1, **coded(1)),
        "foreground_paste.pasted": toy_output(len(batch), 2, 1, **coded(2)),
    }
    views = {"foreground_paste.pasted": View(batch, rows, PARTNER[start:stop] - start)}
    torch.manual_seed(0)
    objectives: tuple[Objective, ...] = (
        SwapContrast(), GradientReversal(), SwapConsistency(), WhitenedConsistency(),
        TemporalConsistency(),
    )  # fmt: skip
    for objective in objectives:
        objective.attach(outputs["clip"])
    return torch.stack([o.loss(outputs, batch, views) for o in objectives])


def _worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    weight = normal(3, 3, seed=8).requires_grad_()
    found = losses(weight, 2 * rank, 2 * rank + 2)
    found.sum().backward()
    means = torch.stack([*found.detach(), *weight.grad.flatten()]) / 2
    dist.all_reduce(means)
    torch.save(means, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: os.PathLike[str]) -> None:
    weight = normal(3, 3, seed=8).requires_grad_()
    whole = losses(weight, 0, 4)
    whole.sum().backward()
    assert weight.grad is not None and (whole > 0.1).all()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    for rank in range(2):
        means = torch.load(f"{tmp_path}/{rank}.pt", weights_only=True)
        expected = [*whole.tolist(), *weight.grad.flatten().tolist()]
        assert means.tolist() == pytest.approx(expected, abs=1e-5)
