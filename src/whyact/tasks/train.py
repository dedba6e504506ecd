"""Train a recogniser, or one for every fold of a cross-validated set."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from whyact.config import Config
from whyact.config_io import to_yaml
from whyact.data.builders import build_dataset, folds
from whyact.data.protocol import ClipDataset, label_map_hash
from whyact.metrics.recognition import recognition_scores
from whyact.models.builders import build_model
from whyact.models.recognizer import VideoModel
from whyact.objectives.builders import build_objectives
from whyact.tasks.evaluate import evaluate
from whyact.training.checkpoint import check_label_map, load_weights, read_metadata
from whyact.training.loop import Loop, make_accelerator
from whyact.training.predictions import Predictions, predict_dataset
from whyact.training.record import environment
from whyact.training.seeding import derive, seed_everything, set_determinism
from whyact.training.token_cache import TokenDecoder, cache_tokens
from whyact.types import WhyactError


@dataclass(frozen=True)
class RunResult:
    """What a training run left.

    Attributes:
        folder: ``<output>/<name>``.
        scores: of every test split, as `whyact.tasks.evaluate` reports them.
    """

    folder: Path
    scores: dict[str, dict[str, Any]]


def train(config: Config, *, resume: bool = False) -> RunResult:
    """Train, select on ``data.val``, and evaluate the best checkpoint on ``data.test``.

    Args:
        config: of the run.
        resume: go on from the run's last checkpoint where there is one.

    Raises:
        WhyactError: settings that do not fit, or a run of that name that is not to be resumed.
    """
    if config.data.val in config.data.test:
        raise WhyactError(
            f"data.val '{config.data.val}' is also in data.test; a test split never selects "
            "anything. Select on another split."
        )
    if config.data.fold == -1:
        return _train_folds(config, resume)
    folder = Path(config.output) / config.name
    checkpoint = folder / "checkpoints" / "last"
    if checkpoint.exists() and not resume:
        raise WhyactError(
            f"{folder} holds a run already. Go on with --resume, take another --name, "
            "or delete the folder."
        )
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    nondeterministic = set_determinism(config.training.deterministic)
    accelerator = make_accelerator(config.training)
    loop = _prepare(config, accelerator, folder)
    if checkpoint.exists():
        _, classes, _ = read_metadata(checkpoint)
        check_label_map(checkpoint, classes, loop.dataset.classes)
        load_weights(loop.model, checkpoint, config.model)
        loop.resume(checkpoint)
    if accelerator.is_main_process:
        _write_record(
            config, folder, loop.dataset, environment(accelerator.device, nondeterministic)
        )
    progress = loop.run()
    scores: dict[str, dict[str, Any]] = {}
    if accelerator.is_main_process:
        if progress.unreadable:
            (folder / "unreadable.json").write_text(json.dumps(progress.unreadable, indent=1))
        scores = evaluate(folder, splits=config.data.test, device=str(accelerator.device))
    accelerator.wait_for_everyone()
    return RunResult(folder, scores)


def _prepare(config: Config, accelerator: Accelerator, folder: Path) -> Loop:
    seed = config.seed
    seed_everything(seed)
    objectives = build_objectives(config.objectives, config.objective_settings)
    dataset = build_dataset(
        config.data, config.data.train, train=True, seed=derive(seed, "data"),
        foreground=objectives.needs_foreground,
    )  # fmt: skip
    val = build_dataset(config.data, config.data.val, train=False, seed=derive(seed, "data"))
    model = build_model(
        config.model, classes=len(dataset.classes), scenes=len(dataset.scenes), seed=seed
    )
    device = accelerator.device
    wrap: Callable[[VideoModel], nn.Module] | None = None
    if config.training.cache_tokens:
        objectives.refuse_pixels("training.cache_tokens")
        root = Path(config.output) / ".cache"
        model.to(device)
        dataset, grid = cache_tokens(
            config=config, source=dataset, model=model, root=root, train=True, device=device
        )
        val, _ = cache_tokens(
            config=config, source=val, model=model, root=root, train=False, device=device
        )

        def wrap(m: VideoModel) -> nn.Module:
            return TokenDecoder(m, grid)

    def validate(network: nn.Module) -> dict[str, float]:
        ready = wrap(network) if wrap else network  # type: ignore[arg-type]
        found = predict_dataset(
            ready,
            val,
            device=device,
            batch_size=_evaluation_batch(config),
            workers=config.data.workers,
        )
        scores = recognition_scores(found.logits, found.labels)
        return {k: v for k, v in scores.items() if isinstance(v, float)}

    folder.mkdir(parents=True, exist_ok=True)
    return Loop(
        config=config, model=model, objectives=objectives, dataset=dataset, validate=validate,
        folder=folder, accelerator=accelerator, wrap=wrap,
    )  # fmt: skip


def _evaluation_batch(config: Config) -> int:
    return min(32, config.training.device_batch_size or config.training.batch_size)


def _write_record(
    config: Config, folder: Path, dataset: ClipDataset, around: dict[str, Any]
) -> None:
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    record = {
        "seed": config.seed,
        "data": {
            "clips": len(dataset),
            "fingerprint": dataset.fingerprint,
            "label_map": label_map_hash(dataset.classes),
            "classes": list(dataset.classes),
        },
        **around,
    }
    (folder / "record.json").write_text(json.dumps(record, indent=1, ensure_ascii=False))


def _train_folds(config: Config, resume: bool) -> RunResult:
    """Train every fold and score the pooled held-out predictions."""
    folder = Path(config.output) / config.name
    count = folds(config.data)
    if count == 1:
        raise WhyactError(
            f"data.fold is -1, but data.type '{config.data.type}' has no folds; set it to 0."
        )
    pooled: list[Predictions] = []
    table: dict[str, Any] = {}
    for fold in range(count):
        one = copy.deepcopy(config)
        one.data.fold = fold
        one.name = f"{config.name}/fold_{fold}"
        done = Path(one.output) / one.name / "result.json"
        if not (resume and done.is_file()):
            result = train(one, resume=resume)
            done.write_text(json.dumps(result.scores, indent=1))
        table[str(fold)] = json.loads(done.read_text())[config.data.test[0]]
        pooled.append(_saved_predictions(done.parent, config.data.test[0]))
    logits, labels = torch.cat([p.logits for p in pooled]), torch.cat([p.labels for p in pooled])
    scores = recognition_scores(logits, labels)
    scores["expected"] = sum(p.expected for p in pooled)
    scores["mean_over_folds"] = sum(row["top1"] for row in table.values()) / count
    summary = {"pooled": scores, "folds": table, "config": asdict(replace(config))}
    (folder / "folds.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False))
    return RunResult(folder, {"pooled": scores, **{f"fold {k}": v for k, v in table.items()}})


def _saved_predictions(folder: Path, split: str) -> Predictions:
    from whyact.tasks.evaluate import read_predictions

    return read_predictions(folder / "evaluation" / split)
