"""The training loop."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from whyact.config import Config
from whyact.data.balance import balance_weights
from whyact.data.loader import Loader, epoch_batches
from whyact.data.protocol import ClipDataset
from whyact.models.recognizer import ActionRecognizer, VideoModel
from whyact.objectives.set import ObjectiveSet
from whyact.training.checkpoint import load_state, save_checkpoint
from whyact.training.erasure import CLIPS, TOGETHER, erase_swaps
from whyact.training.seeding import derive, seed_everything
from whyact.training.setup import (
    attach_networks,
    average_gradients,
    cosine_with_warmup,
    first_clip,
    make_optimizer,
)
from whyact.types import Batch, WhyactError

Validate = Callable[[nn.Module], dict[str, float]]


@dataclass
class Progression:
    """Where a run stands; stored in every checkpoint.

    Attributes:
        epoch, step: finished epochs and optimiser steps. micro: this process's micro-batches that
            are done in the current epoch.
        best: best validation score. seconds: spent training.
        unreadable: clips that could not be read, with the reason.
        terms: mean of every logged term over the steps done in the current epoch.
    """

    epoch: int = 0
    micro: int = 0
    step: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    unreadable: dict[str, str] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)


class Loop:
    """Trains a model, logs, validates, and keeps the best and the last checkpoint.

    Every random draw of a step comes from (seed, step, micro-batch, process), and the order of an
    epoch from (seed, epoch); so a resumed run needs no generator state and ends, on a CPU, with the
    weights of one that was never stopped.

    Objectives may bring networks of their own (`whyact.objectives.base.Objective.attach`): they
    step with the model, at ``training.critic_learning_rate`` and with their own gradient clipping,
    and are in the state to resume from, not in the weights.

    Args:
        config: of the run. model: to train. objectives: the loss.
        dataset: training clips. validate: scores a model; its ``training.select`` picks the best.
        folder: of the run. accelerator: see `make_accelerator`.
        wrap: turns the model into what reads the batches' first input, in training and validation
            (a token decoder for cached tokens); the model itself by default.
    """

    def __init__(
        self, *, config: Config, model: VideoModel, objectives: ObjectiveSet,
        dataset: ClipDataset, validate: Validate, folder: Path, accelerator: Accelerator,
        wrap: Callable[[VideoModel], nn.Module] | None = None,
    ) -> None:  # fmt: skip
        self.config, self.settings = config, config.training
        self.model, self.objectives, self.dataset = model, objectives, dataset
        self.validate, self.folder, self.accelerator = validate, folder, accelerator
        self.batch_size, self.steps_per_update = self._batch_size()
        self.loader = Loader(dataset, workers=config.data.workers)
        self.weights = balance_weights(config.data.balance, dataset)
        self.progress = Progression()
        self.clock = time.monotonic()
        self.total = len(self._batches(0)) // self.steps_per_update * self.settings.epochs
        if self.total == 0:
            raise WhyactError(
                f"Nothing to train: {self.settings.epochs} epochs (training.epochs) of "
                f"{len(dataset)} clips in steps of at least {self._unit()} clips "
                "(processes x training.device_batch_size)."
            )
        model.to(accelerator.device)
        self.wrap = wrap or (lambda model: model)
        self.network = self.wrap(model)
        self.attached = attach_networks(
            objectives, self.network, dataset, seed=config.seed, device=accelerator.device
        )
        self.optimizer = accelerator.prepare(make_optimizer(self.settings, model, self.attached))
        decay = self.settings.average
        self.average = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
            if decay
            else None
        )

    def _batch_size(self) -> tuple[int, int]:
        """The global batch, cut for a small set, and the accumulation steps that it takes."""
        s, unit = self.settings, self._unit()
        if s.batch_size % unit:
            raise WhyactError(
                f"training.batch_size {s.batch_size} is no multiple of {unit}, which is "
                f"{self.accelerator.num_processes} processes x training.device_batch_size "
                f"{s.device_batch_size or 1}."
            )
        size = min(s.batch_size, len(self.dataset) // unit * unit)
        return size, (max(1, size // unit) if s.device_batch_size else 1)

    def _unit(self) -> int:
        """Clips that all processes read together in one micro-step, at least."""
        return self.accelerator.num_processes * (self.settings.device_batch_size or 1)

    def _batches(self, epoch: int) -> list[list[tuple[int, int]]]:
        if not self.batch_size:
            return []
        return epoch_batches(
            len(self.dataset), epoch=epoch, seed=derive(self.config.seed, "order"),
            batch_size=self.batch_size, processes=self.accelerator.num_processes,
            rank=self.accelerator.process_index, steps=self.steps_per_update,
            blocks=getattr(self.dataset, "blocks", ()), weights=self.weights,
        )  # fmt: skip

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint's state.

        Raises:
            WhyactError: it was made from other clips, within an epoch by other processes, or by a
                version whose objectives keep something else.
        """
        state = load_state(folder)
        here = {"data": self.dataset.fingerprint, "processes": self.accelerator.num_processes}
        if state["data"] != here["data"]:
            raise WhyactError(
                f"{folder}: the training clips are not those that the run was started with. Put "
                "them back, or start another run with --name."
            )
        if state["progress"]["micro"] and state["processes"] != here["processes"]:
            raise WhyactError(
                f"{folder}: the run stopped within an epoch of {state['processes']} processes; "
                f"resume it with as many, not {here['processes']}."
            )
        self.model.load_state_dict(state["model"])
        attached = state.get("attached", {})
        if lacking := set(self.attached.state_dict()) ^ set(attached):
            raise WhyactError(
                f"{folder}: the objectives keep {', '.join(sorted(lacking))} only before or after "
                "the version of whyact that this run was begun with. Start another one with --name."
            )
        self.attached.load_state_dict(attached)
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progression(**state["progress"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def run(self) -> Progression:
        """Train to the end."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                   TimeRemainingColumn())  # fmt: skip
        main = self.accelerator.is_main_process
        writer = self._open_logs() if main else None
        with Progress(*columns, disable=not main, transient=True) as bar:
            task = bar.add_task(self.config.name, total=self.total, completed=self.progress.step)
            while self.progress.epoch < self.settings.epochs:
                self._epoch(lambda text: bar.update(task, advance=1, description=text))
                self._end_epoch(writer)
        if writer is not None:
            writer.close()
        return self.progress

    def _open_logs(self) -> SummaryWriter:
        """Take back what was logged after the checkpoint that the run goes on from."""
        log, done = self.folder / "metrics.jsonl", self.progress.epoch
        if log.exists():
            rows = log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [r for r in rows if r.endswith("\n") and json.loads(r)["epoch"] <= done]
            log.write_text("".join(kept), encoding="utf-8")
        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=done + 1)

    def _epoch(self, tick: Callable[[str], Any]) -> None:
        p, s = self.progress, self.settings
        batches = self._batches(p.epoch)[p.micro :]
        self.network.train()
        if self.config.erases:
            # What was evaluated was erased; training goes on with all of it.
            cast(ActionRecognizer, self.evaluated).erase()
        done = p.micro // self.steps_per_update
        sums = {k: torch.tensor(v * done) for k, v in p.terms.items()}

        def means() -> dict[str, float]:
            return {
                k: float(self.accelerator.reduce(v.to(self.accelerator.device), "mean")) / done
                for k, v in sorted(sums.items())
            }

        for group in self._updates(self.loader(batches)):
            for name, value in self._update(group).items():
                sums[name] = sums.get(name, torch.zeros(())).to(value.device) + value
            done += 1
            tick(f"{self.config.name} epoch {p.epoch + 1}")
            if s.checkpoint_steps and p.step % s.checkpoint_steps == 0:
                p.terms = means()
                self.save("last")
        p.terms = means()

    def _updates(self, batches: Iterator[Batch]) -> Iterator[list[Batch]]:
        """The micro-batches of one optimiser step at a time."""
        while group := list(itertools.islice(batches, self.steps_per_update)):
            for batch in group:
                self.progress.unreadable.update({f.id: f.reason for f in batch.failures})
            yield group

    def _weights(self, group: Sequence[Batch]) -> list[float]:
        """Share of each micro-batch in the step's loss, so that every readable clip counts alike.

        Gradients are averaged over the processes, so the shares of all add up to their number.
        """
        processes = self.accelerator.num_processes
        everywhere = torch.tensor([len(b) for b in group])  # on a CPU, so that no GPU is waited for
        if processes > 1:
            everywhere = self.accelerator.gather(everywhere.to(self.accelerator.device))
        if not everywhere.any():
            first = [f"{f.id}: {f.reason}" for b in group for f in b.failures][:3]
            raise WhyactError(
                f"No clip of a training batch could be read: {'; '.join(first)}. Mend or drop "
                "these files."
            )
        total = int(everywhere.sum())
        return [len(b) * processes / total for b in group]

    @cached_property
    def _stand_in(self) -> Batch:
        """The same clip before and after a resume."""
        return first_clip(self.dataset)

    def _update(self, group: Sequence[Batch]) -> dict[str, Tensor]:
        """One optimiser step; gives the means of the terms over its clips."""
        p, s, sums = self.progress, self.settings, dict[str, Tensor]()
        together = self.accelerator.num_processes > 1
        for batch, weight in zip(group, self._weights(group), strict=True):
            p.micro += 1
            if together and not len(batch):
                batch = self._stand_in  # counts for nothing, but objectives gather codes of all
            if weight or together:
                for name, value in self._backward(batch, weight).items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + weight * value
        scale = cosine_with_warmup(p.step, warmup=s.warmup_steps, total=self.total)
        rates = s.learning_rate * scale, s.critic_learning_rate
        # The second group is there only where objectives bring networks.
        for parameters, rate in zip(self.optimizer.param_groups, rates, strict=False):
            parameters["lr"] = rate
        for module in (self.model, self.attached):
            average_gradients(self.accelerator, module)
        if s.clip_norm:
            # All at once, as gradients can be unscaled only once; then each group by its norm.
            self.accelerator.unscale_gradients()
            for parameters in self.optimizer.param_groups:
                nn.utils.clip_grad_norm_(parameters["params"], s.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        p.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)
        return sums

    def _backward(self, batch: Batch, weight: float) -> dict[str, Tensor]:
        p = self.progress
        # One stream for all processes' objectives would tie their draws; the rank keeps them apart.
        key = derive(self.config.seed, "step", p.epoch, p.micro, self.accelerator.process_index)
        seed_everything(key)
        generator = torch.Generator().manual_seed(key)
        ready = replace(batch.to(self.accelerator.device), progress=p.step / self.total)
        with self.accelerator.autocast():
            total, terms, output = self.objectives(self.network, ready, generator)
        if not torch.isfinite(total):
            raise WhyactError(
                f"The loss is {total.item()} at step {p.step + 1} "
                f"({ {k: round(v.item(), 4) for k, v in terms.items()} }). Lower "
                "training.learning_rate or set training.mixed_precision to no."
            )
        self.accelerator.backward(total * weight)
        logged = {k: v.detach() for k, v in terms.items()}
        logged["loss"] = total.detach()
        if ready.label.ndim == 1:
            hits = output.logits.detach().argmax(1) == ready.label
            logged["top1"] = hits.float().mean()
        return logged

    @property
    def evaluated(self) -> VideoModel:
        """The weights that are validated and saved: the moving average where there is one."""
        return self.model if self.average is None else cast(VideoModel, self.average.module)

    def _end_epoch(self, writer: SummaryWriter | None) -> None:
        p, s = self.progress, self.settings
        values = {f"train/{k}": v for k, v in p.terms.items()}
        p.epoch, p.micro, p.terms = p.epoch + 1, 0, {}
        for other in gather_object([p.unreadable]):
            p.unreadable = p.unreadable | other
        improved = False
        if p.epoch == s.epochs or (s.eval_every and p.epoch % s.eval_every == 0):
            # Batch statistics are the first process' own, so the others take its word.
            main = self.accelerator.is_main_process
            self._erase()
            scores = self.validate(self.wrap(self.evaluated)) if main else {}
            scores = broadcast_object_list([scores])[0]
            values.update({f"val/{k}": v for k, v in scores.items()})
            score = p.step if s.select == "last" else scores.get(s.select)
            if score is None:
                raise WhyactError(
                    f"training.select is '{s.select}'; validation on data.val measured "
                    f"{sorted(scores) or 'nothing'}, and 'last' takes the final weights."
                )
            improved = score > p.best
            p.best = max(p.best, float(score))
        self._count_time()
        if writer is not None:
            for name, value in values.items():
                writer.add_scalar(name, value, p.epoch)
            row = {"epoch": p.epoch, "step": p.step, "seconds": p.seconds, **values}
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
        if improved:
            self.save("best")
        self.save("last")

    def _erase(self) -> None:
        """Erase from the codes of what is evaluated what swaps change in them."""
        if not self.config.erases:
            return
        model = cast(ActionRecognizer, self.evaluated)
        device = self.accelerator.device
        generator = torch.Generator().manual_seed(derive(self.config.seed, "erase"))
        rows = torch.randperm(len(self.dataset), generator=generator)[:CLIPS]
        parts = rows.split(TOGETHER)
        batches = self.loader([[(i, 0) for i in part.tolist()] for part in parts])
        erase_swaps(
            model, (b.to(device) for b in batches), self.settings.erase_above,
            at_once=self.settings.eval_batch_size,
        )  # fmt: skip
        for kept in (model.kept_action, model.kept_nuisance):  # alike to the last digit
            kept.copy_(broadcast(kept))

    def _count_time(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self.clock
        self.clock = now

    def save(self, name: str) -> None:
        """Write ``checkpoints/<name>``; only the main process does."""
        if self.accelerator.is_main_process:
            self._count_time()
            scaler = self.accelerator.scaler
            state = {
                "data": self.dataset.fingerprint,
                "processes": self.accelerator.num_processes,
                "scaler": scaler.state_dict() if scaler is not None else {},
                "model": self.model.state_dict(),
                "attached": self.attached.state_dict(),
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
