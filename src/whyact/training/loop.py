"""The training loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from whyact.config import Config, TrainingConfig
from whyact.data.loader import epoch_batches, load
from whyact.data.protocol import ClipDataset
from whyact.models.recognizer import VideoModel
from whyact.objectives.set import ObjectiveSet
from whyact.training.checkpoint import load_state, save_checkpoint
from whyact.training.seeding import derive, seed_everything
from whyact.types import Batch, WhyactError

Validate = Callable[[nn.Module], dict[str, float]]


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
    # Objectives may leave a head unused in a step.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[ddp])


def cosine_with_warmup(step: int, *, warmup: int, total: int) -> float:
    """Share of the learning rate at an optimiser step: linear to 1, then half a cosine to 0.

    A run shorter than three warm-ups warms up over its first third.
    """
    warmup = min(warmup, total // 3)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


@dataclass
class Progression:
    """Where a run stands; stored in every checkpoint."""

    epoch: int = 0
    micro: int = 0
    step: int = 0
    best: float = -math.inf
    unreadable: dict[str, str] = field(default_factory=dict)


class Loop:
    """Trains a model, logs, validates, and keeps the best and the last checkpoint.

    Every random draw of a step comes from (seed, step, micro-batch, process), and the order of an
    epoch from (seed, epoch); so a resumed run needs no generator state and ends, on a CPU, with the
    weights of one that was never stopped.

    Args:
        config: of the run. model: to train. objectives: the loss.
        dataset: training clips. validate: scores a model; its ``training.select`` picks the best.
        folder: of the run. accelerator: see `make_accelerator`.
        wrap: turns the model into what reads the batches' first input (a token decoder for cached
            tokens); the model itself by default.
    """

    def __init__(
        self, *, config: Config, model: VideoModel, objectives: ObjectiveSet,
        dataset: ClipDataset, validate: Validate, folder: Path, accelerator: Accelerator,
        wrap: Callable[[VideoModel], nn.Module] | None = None,
    ) -> None:  # fmt: skip
        self.config, self.settings = config, config.training
        self.model, self.objectives, self.dataset = model, objectives, dataset
        self.validate, self.folder, self.accelerator = validate, folder, accelerator
        self.steps_per_update = self._accumulation()
        self.progress = Progression()
        self.total = len(self._batches(0)) // self.steps_per_update * self.settings.epochs
        if self.total == 0:
            raise WhyactError(
                "Nothing to train: training.epochs is 0, or the training split empty."
            )
        s = self.settings
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=s.learning_rate, weight_decay=s.weight_decay, betas=(s.beta1, s.beta2),
        )  # fmt: skip
        model.to(accelerator.device)
        network = wrap(model) if wrap else model
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.average = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(s.average), use_buffers=True)
            if s.average
            else None
        )

    def _accumulation(self) -> int:
        s, processes = self.settings, self.accelerator.num_processes
        size = min(s.batch_size, len(self.dataset))
        if not s.device_batch_size:
            return 1
        if size % (processes * s.device_batch_size):
            raise WhyactError(
                f"training.batch_size {size} is no multiple of {processes} processes x "
                f"training.device_batch_size {s.device_batch_size}."
            )
        return size // (processes * s.device_batch_size)

    def _batches(self, epoch: int) -> list[list[tuple[int, int]]]:
        return epoch_batches(
            len(self.dataset), epoch=epoch, seed=derive(self.config.seed, "order"),
            batch_size=self.settings.batch_size, processes=self.accelerator.num_processes,
            rank=self.accelerator.process_index, steps=self.steps_per_update,
        )  # fmt: skip

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint's state."""
        state = load_state(folder)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progression(**state["progress"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def run(self) -> Progression:
        """Train to the end."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TimeRemainingColumn())  # fmt: skip
        main = self.accelerator.is_main_process
        writer = SummaryWriter(str(self.folder / "tensorboard")) if main else None
        with Progress(*columns, disable=not main, transient=True) as bar:
            task = bar.add_task(self.config.name, total=self.total, completed=self.progress.step)
            while self.progress.epoch < self.settings.epochs:
                start = time.monotonic()
                terms = self._epoch(lambda text: bar.update(task, advance=1, description=text))
                values = {f"train/{k}": v for k, v in terms.items()}
                values["train/seconds"] = time.monotonic() - start
                self._end_epoch(values, writer)
        if writer is not None:
            writer.close()
        return self.progress

    def _epoch(self, tick: Callable[[str], Any]) -> dict[str, float]:
        p, s = self.progress, self.settings
        batches = self._batches(p.epoch)[p.micro :]
        self.network.train()
        sums: dict[str, Tensor] = {}
        count = 0
        workers = self.config.data.workers
        for batch in load(self.dataset, batches, workers=workers):
            p.unreadable.update({f.id: f.reason for f in batch.failures})
            p.micro += 1
            terms = self._micro_step(batch)
            count += 1
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
            if p.micro % self.steps_per_update == 0:
                self._update()
                tick(f"{self.config.name} epoch {p.epoch + 1}")
                if s.checkpoint_steps and p.step % s.checkpoint_steps == 0:
                    self.save("last")
        means = {k: v / max(1, count) for k, v in sums.items()}
        return {k: float(self.accelerator.reduce(v, "mean")) for k, v in means.items()}

    def _micro_step(self, batch: Batch) -> dict[str, Tensor]:
        p, rank = self.progress, self.accelerator.process_index
        # One stream for all processes' objectives would tie their draws; rank keeps them apart.
        key = derive(self.config.seed, "step", p.epoch, p.micro, rank)
        seed_everything(key)
        generator = torch.Generator().manual_seed(key)
        last = p.micro % self.steps_per_update == 0
        if not len(batch):
            raise WhyactError(
                "No clip of a training batch could be read: "
                + "; ".join(f"{f.id}: {f.reason}" for f in batch.failures[:3])
            )
        with self.accelerator.autocast():
            if last:
                return self._backward(batch, generator)
            with self.accelerator.no_sync(self.network):
                return self._backward(batch, generator)

    def _backward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        ready = batch.to(self.accelerator.device)
        total, terms, output = self.objectives(self.network, ready, generator)
        if not torch.isfinite(total):
            raise WhyactError(
                f"The loss is {float(total)} at step {self.progress.step + 1} "
                f"({ {k: round(float(v), 4) for k, v in terms.items()} }). Lower "
                "training.learning_rate or set training.mixed_precision to no."
            )
        self.accelerator.backward(total / self.steps_per_update)
        logged = {k: v.detach() for k, v in terms.items()}
        logged["loss"] = total.detach()
        if ready.label.ndim == 1:
            hits = output.logits.detach().argmax(1) == ready.label
            logged["top1"] = hits.float().mean()
        return logged

    def _update(self) -> None:
        p, s = self.progress, self.settings
        scale = cosine_with_warmup(p.step, warmup=s.warmup_steps, total=self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = s.learning_rate * scale
        if s.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), s.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        p.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)

    @property
    def evaluated(self) -> VideoModel:
        """The weights that are validated and saved: the moving average where there is one."""
        return self.model if self.average is None else cast(VideoModel, self.average.module)

    def _end_epoch(self, values: dict[str, float], writer: SummaryWriter | None) -> None:
        p, s = self.progress, self.settings
        p.epoch, p.micro = p.epoch + 1, 0
        last = p.epoch == s.epochs
        improved = False
        if last or (s.eval_every and p.epoch % s.eval_every == 0):
            scores = self.validate(self.evaluated)
            values.update({f"val/{k}": v for k, v in scores.items()})
            if s.select not in scores:
                raise WhyactError(
                    f"training.select is '{s.select}'; validation measured {sorted(scores)}."
                )
            improved = scores[s.select] > p.best
            p.best = max(p.best, scores[s.select])
        if writer is not None:
            for name, value in values.items():
                writer.add_scalar(name, value, p.epoch)
            row = {"epoch": p.epoch, "step": p.step, **values}
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
        if improved:
            self.save("best")
        self.save("last")

    def save(self, name: str) -> None:
        """Write ``checkpoints/<name>``; only the main process does."""
        if self.accelerator.is_main_process:
            state = {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "progress": dict(vars(self.progress)),
                "average": self.average.state_dict() if self.average is not None else {},
            }
            save_checkpoint(
                self.folder / "checkpoints" / name, weights=self.evaluated.state_dict(),
                config=self.config, classes=self.dataset.classes, scenes=self.dataset.scenes,
                state=state,
            )  # fmt: skip
        self.accelerator.wait_for_everyone()
