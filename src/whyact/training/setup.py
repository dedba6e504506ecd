"""The accelerator, the averaging of gradients over processes, and the learning-rate schedule."""

from __future__ import annotations

import math
import os
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from torch import nn

from whyact.config import TrainingConfig
from whyact.data.protocol import ClipDataset
from whyact.objectives.set import ObjectiveSet
from whyact.training.seeding import derive, seed_everything
from whyact.types import Batch, Clip, WhyactError, collate


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
        bf16 = computes_bf16() if cpu else torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if bf16 else ("no" if cpu else "fp16")
    # Runs of one process may differ in precision and device, which accelerate keeps.
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    # All processes wait while the first one evaluates.
    group = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[group])


def computes_bf16() -> bool:
    """Whether this CPU multiplies bf16 numbers itself; others convert them, which is slower."""
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@torch.no_grad()
def attach_networks(
    objectives: ObjectiveSet, model: nn.Module, dataset: ClipDataset, *, seed: int,
    device: torch.device,
) -> nn.ModuleDict:  # fmt: skip
    """The objectives' own networks, for what a model gives for the first readable clip.

    Args:
        objectives: to attach. model: on the device; reads a batch's first input.
        dataset: training clips. seed: master seed, of the networks' weights.
        device: of the networks.
    """
    if not objectives.have_networks:
        return nn.ModuleDict()
    training = model.training
    batch = first_clip(dataset).to(device)
    example = model.eval()(batch.streams, **batch.given)
    model.train(training)
    made = objectives.attach(example, lambda name: seed_everything(derive(seed, "objective", name)))
    return made.to(device)


def first_clip(dataset: ClipDataset) -> Batch:
    """The first clip of a data set that can be read.

    Raises:
        WhyactError: there is none.
    """
    items = (dataset[i, 0] for i in range(len(dataset)))
    clip = next((c for c in items if isinstance(c, Clip)), None)
    if clip is None:
        raise WhyactError("No training clip could be read.")
    return collate([clip])


def make_optimizer(
    config: TrainingConfig, model: nn.Module, networks: nn.Module
) -> torch.optim.AdamW:
    """AdamW over the model, and in a group with a rate of its own over the objectives' networks.

    AdamW treats every parameter by itself, so a group is as good as an optimiser of its own, and
    one state resumes both.
    """
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if own := list(networks.parameters()):
        groups.append({"params": own})
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay,
        betas=(config.beta1, config.beta2),
    )  # fmt: skip


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
