"""The accelerator, the averaging of gradients over processes, and the learning-rate schedule."""

from __future__ import annotations

import math
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import nn

from whyact.config import TrainingConfig
from whyact.types import WhyactError


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """The accelerator that a config asks for; it must exist before any tensor is placed.

    Raises:
        WhyactError: a device that torch does not see.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise WhyactError("training.device is cuda, but torch sees no GPU; set it to auto or cpu.")
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    precision = config.mixed_precision
    if precision == "auto":
        bf16 = not cpu and torch.cuda.is_bf16_supported()
        precision = "no" if cpu else ("bf16" if bf16 else "fp16")
    # All processes wait while the first one evaluates.
    group = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[group])


def average_gradients(accelerator: Accelerator, model: nn.Module) -> None:
    """Average gradients over processes; a parameter that no process used keeps none.

    `torch.nn.parallel.DistributedDataParallel` would overlap this with the backward pass, but it
    fails where an output takes no part in the loss, as a head does whose objective is off.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if accelerator.num_processes == 1 or not parameters:
        return
    used = torch.tensor([p.grad is not None for p in parameters], device=accelerator.device)
    anywhere = accelerator.reduce(used.float(), "sum") > 0
    chosen = [p for p, use in zip(parameters, anywhere.tolist(), strict=True) if use]
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in chosen]
    )
    mean = accelerator.reduce(flat, "mean")
    for p, part in zip(chosen, mean.split([p.numel() for p in chosen]), strict=True):
        p.grad = part.view_as(p).clone()


def cosine_with_warmup(step: int, *, warmup: int, total: int) -> float:
    """Share of the learning rate at an optimiser step: linear to 1, then half a cosine to 0.

    A run shorter than three warm-ups warms up over its first third.
    """
    warmup = min(warmup, total // 3)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
