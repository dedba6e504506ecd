"""Train a recogniser, or one for every fold of a cross-validated set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout
from torch import nn

from whyact.config import Config
from whyact.config_io import load_config, to_yaml
from whyact.data.builders import build_dataset
from whyact.data.catalog import folds
from whyact.data.protocol import ClipDataset, label_map_hash
from whyact.data.statistics import channel_statistics
from whyact.data.views import views_of
from whyact.metrics.recognition import MEASURES, recognition_scores
from whyact.models.builders import build_model
from whyact.models.recognizer import VideoModel
from whyact.objectives.builders import objectives_of, wants_foreground
from whyact.objectives.set import ObjectiveSet
from whyact.tasks.evaluate import evaluate
from whyact.tasks.folds import fold_configs, fold_runs, train_folds
from whyact.training.checkpoint import (
    check_label_map,
    check_same_run,
    find_checkpoint,
    is_checkpoint,
    load_weights,
    read_metadata,
    start_from,
)
from whyact.training.loop import Loop
from whyact.training.predictions import predict_dataset
from whyact.training.record import environment, write_json
from whyact.training.seeding import derive, seed_everything, set_determinism
from whyact.training.setup import make_accelerator
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
    _check_selection(config)
    folder = Path(config.output) / config.name
    single = (folder / "checkpoints").is_dir()
    if single if config.data.fold == -1 else fold_runs(folder):
        raise WhyactError(
            f"{folder} holds {'a single run' if single else 'the runs of all folds'} already, and "
            f"data.fold is {config.data.fold}; take another --name."
        )
    if config.data.fold == -1:

        def one(part: Config) -> dict[str, dict[str, Any]]:
            return (resume and finished(part)) or train(part, resume=resume).scores

        folder, scores = train_folds(config, one)
        return RunResult(folder, scores)
    checkpoint = folder / "checkpoints" / "last"
    started = is_checkpoint(checkpoint)
    if started and not resume:
        raise WhyactError(
            f"{folder} holds a run already. Go on with --resume, take another --name, "
            "or delete the folder."
        )
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    nondeterministic = set_determinism(config.training.deterministic)
    accelerator = make_accelerator(config.training)
    not_validated: dict[str, str] = {}
    loop = _prepare(config, accelerator, folder, not_validated)
    with _alone(folder) if accelerator.is_main_process else nullcontext():
        if started:
            _go_on(loop, checkpoint)
        record = _record(loop, environment(accelerator.device, nondeterministic), started)
        if accelerator.is_main_process:
            (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
            write_json(folder / "record.json", record, indent=1)
        progress = loop.run()
        if accelerator.is_main_process:
            record |= {"unreadable": progress.unreadable, "seconds": progress.seconds}
            record["unreadable_in_validation"] = not_validated
            write_json(folder / "record.json", record, indent=1)
            scores = evaluate(folder, splits=config.data.test, device=str(accelerator.device))
            write_json(folder / "result.json", scores, indent=1)
        accelerator.wait_for_everyone()
    return RunResult(folder, json.loads((folder / "result.json").read_text()))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two trainings in one folder would go on from each other's checkpoints.

    The system lets go of the lock when a process ends, however it ends.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WhyactError(
            f"Another process is training {folder}. Wait for it, or take another --name."
        ) from None
    except NotImplementedError:  # by file systems that know no locks, such as some of clusters
        pass
    try:
        yield
    finally:
        lock.release()


def _check_selection(config: Config) -> None:
    if config.data.val in config.data.test:
        raise WhyactError(
            f"data.val '{config.data.val}' is also in data.test; a test split never selects "
            "anything. Select on another split."
        )
    if config.training.select not in (*MEASURES, "last"):
        raise WhyactError(
            f"training.select '{config.training.select}' is no measure; choose from "
            f"{', '.join(MEASURES)}, or last for the final weights."
        )


def _check_labels(config: Config, val: ClipDataset) -> None:
    """What is measured and what is learnt must be of the kind of labels that there are."""
    several = any(isinstance(label, tuple) for label in val.labels)
    measured = [m for m in MEASURES if (m == "map") == several]
    if config.training.select not in (*measured, "last"):
        raise WhyactError(
            f"training.select '{config.training.select}' is not measured where clips have "
            f"{'any number of labels' if several else 'one label'}, as in data.val "
            f"'{config.data.val}'; choose {' or '.join(measured)}, or last for the final weights."
        )
    if several and not config.objectives.binary_cross_entropy:
        raise WhyactError(
            "Clips may have several actions, so each has a probability of its own, which "
            "objectives.binary_cross_entropy teaches; it is 0: give it a weight, such as 0.1 "
            "beside objectives.specification."
        )


def _go_on(loop: Loop, checkpoint: Path) -> None:
    saved, classes, _ = read_metadata(checkpoint)
    check_label_map(checkpoint, classes, loop.dataset.classes)
    load_weights(loop.model, checkpoint, loop.config.model)
    check_same_run(checkpoint, saved, loop.config)
    loop.resume(checkpoint)


def _record(loop: Loop, made_by: dict[str, Any], started: bool) -> dict[str, Any]:
    """What the run depends on besides its config; a run that goes on adds what makes it now."""
    accelerator, dataset = loop.accelerator, loop.dataset
    made_by |= {
        "processes": accelerator.num_processes, "mixed_precision": accelerator.mixed_precision,
    }  # fmt: skip
    file = loop.folder / "record.json"
    if started and file.is_file():
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return record | {"resumed": [*record.get("resumed", []), made_by]}
    data = {
        "clips": len(dataset),
        "fingerprint": dataset.fingerprint,
        "label_map": label_map_hash(dataset.classes),
        "classes": list(dataset.classes),
    }
    return {"seed": loop.config.seed, "data": data, **made_by}


def finished(config: Config) -> dict[str, dict[str, Any]]:
    """Scores of a run that is done, on ``data.test`` at least; empty where there is none.

    Raises:
        WhyactError: the run in that folder was made with other settings, or it lacks a split and
            its weights are gone.
    """
    folder = Path(config.output) / config.name
    file = folder / "result.json"
    if not file.is_file():
        return {}
    scores: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    if config.data.fold == -1:
        return scores if all(finished(part) for part in fold_configs(config)) else {}
    # Its weights may be gone: the records of runs are kept where weights are too large to be.
    settings = folder / "config.yaml"
    check_same_run(settings, load_config([settings]), config)
    missing = [split for split in config.data.test if split not in scores]
    if missing and not (folder / "checkpoints").is_dir():
        raise WhyactError(
            f"{folder} was not scored on {', '.join(missing)}, and its weights are gone: leave "
            f"{'it' if len(missing) == 1 else 'these'} out of data.test, or train in another "
            "folder."
        )
    return {} if missing else scores


def _prepare(
    config: Config, accelerator: Accelerator, folder: Path, unreadable: dict[str, str]
) -> Loop:
    """The loop of a run; clips that its validations cannot read are added to ``unreadable``."""
    seed_everything(config.seed)
    objectives = _objectives(config)
    moving = wants_foreground(config)
    device = accelerator.device
    # The first process makes what is missing; the others find it.
    with accelerator.main_process_first():
        dataset = _dataset(config, config.data.train, True, moving)
        val = _dataset(config, config.data.val, False)
        _check_test_splits(config, dataset, val)
    model = _model(config, dataset)
    wrap: Callable[[VideoModel], nn.Module] | None = None
    if config.training.cache_tokens:
        model.to(device)
        with accelerator.main_process_first():
            dataset, grid = _tokens(config, dataset, model, True, device, moving)
            val, _ = _tokens(config, val, model, False, device)
        wrap = partial(TokenDecoder, grid=grid)
    folder.mkdir(parents=True, exist_ok=True)
    return Loop(
        config=config, model=model, objectives=objectives, dataset=dataset, folder=folder,
        validate=partial(_validate, config=config, val=val, device=device, unreadable=unreadable),
        accelerator=accelerator, wrap=wrap,
    )  # fmt: skip


def _objectives(config: Config) -> ObjectiveSet:
    """The objectives of a config, if everything that they need is there."""
    objectives = objectives_of(config)
    source = config.data.motion.source
    if config.training.cache_tokens:
        objectives.refuse_views(
            "training.cache_tokens trains on stored tokens", "training.cache_tokens to 0"
        )
    boxes = config.model.spatial_graph.type == "boxes"
    if config.erases and (config.training.cache_tokens or source != "none" or boxes):
        raise WhyactError(
            "training.erase_above makes new pixels, so it goes with neither training.cache_tokens "
            "nor data.motion.source nor boxes; set it to 1."
        )
    if config.model.specification.type == "split" and not config.objectives.specification:
        raise WhyactError(
            "model.specification.type is split, but objectives.specification is 0, so that the "
            "model would never learn to be asked; give it a weight, such as 1.0, or set the type "
            "to none."
        )
    if config.objectives.bottleneck and not (
        config.model.code_noise and config.model.type == "whyact"
    ):
        raise WhyactError(
            "objectives.bottleneck bounds what a noisy code holds, but there is no noise: give "
            "model.code_noise a value above 0, such as 1.0, with model.type whyact, or set "
            "objectives.bottleneck to 0."
        )
    if source not in ("none", "difference"):
        objectives.refuse_views(
            f"data.motion.source '{source}' has no flow for new pixels",
            "data.motion.source to difference",
        )
    return objectives


def _model(config: Config, dataset: ClipDataset) -> VideoModel:
    """The model with its initial weights, normalised as the config says."""
    model = build_model(
        config.model, classes=len(dataset.classes), scenes=len(dataset.scenes), seed=config.seed,
        motion=config.data.motion.source,
    )  # fmt: skip
    if config.training.start:
        start = find_checkpoint(config.training.start)
        start_from(model, start, dataset.classes, dataset.scenes)
    if config.data.transform.normalize == "measured":
        model.normalize_by(*channel_statistics(dataset))
    return model


def _validate(
    network: nn.Module, *, config: Config, val: ClipDataset, device: torch.device,
    unreadable: dict[str, str],
) -> dict[str, float]:  # fmt: skip
    found = predict_dataset(
        network, val, device=device, batch_size=config.training.eval_batch_size,
        workers=config.data.workers, pooling=views_of(config.data.protocol).pooling,
    )  # fmt: skip
    unreadable.update({f.id: f.reason for f in found.failures})
    scores = recognition_scores(found.logits, found.labels, intervals=False)
    return {k: v for k, v in scores.items() if isinstance(v, float)}


def _dataset(config: Config, split: str, train: bool, foreground: bool = False) -> ClipDataset:
    return build_dataset(
        config.data, split, train=train, seed=derive(config.seed, "data"), foreground=foreground
    )


def _check_test_splits(config: Config, dataset: ClipDataset, val: ClipDataset) -> None:
    """Find out before training, not after it, what is wrong with the other splits."""
    check_label_map(Path(f"data.val '{config.data.val}'"), dataset.classes, val.classes)
    _check_labels(config, val)
    trained = _places(dataset)
    shared = _shared(trained, _places(val))
    if config.training.select != "last" and shared:
        raise WhyactError(
            f"training.select '{config.training.select}' would choose by clips that are trained "
            f"on: {len(shared)} of data.val '{config.data.val}' are in data.train "
            f"'{config.data.train}', e.g. {shared[0]}. Set data.train to fit where the set has "
            "that split (the training list without val), or training.select to last."
        )
    for split in config.data.test:
        test = _dataset(config, split, False)
        check_label_map(Path(f"data.test '{split}'"), dataset.classes, test.classes)
        # The training split by its own name is asked for on purpose, to see how well it was learnt.
        shared = _shared(trained, _places(test))
        if split != config.data.train and shared:
            raise WhyactError(
                f"{len(shared)} clips of data.test '{split}' are in data.train "
                f"'{config.data.train}' too, e.g. {shared[0]}; test on others."
            )
        if list(test.ids) == list(val.ids) and test.fingerprint == val.fingerprint:
            raise WhyactError(
                f"data.test '{split}' and data.val '{config.data.val}' are the same clips; a test "
                "split never selects anything. Select on others, e.g. a part of the training set."
            )


def _places(dataset: ClipDataset) -> dict[str, str]:
    """What tells the clips of a set apart across its splits, and what people know each by.

    Files of a set of videos, but name and content where shards hold copies of them; else the clips'
    names.
    """
    single = getattr(dataset, "source", dataset)  # of joined clips
    listing = getattr(single, "listing", None)
    if listing is None:
        return {name: name for name in single.ids}
    if listing.store is not None:
        return {f"{r.id} {r.content}": r.id for r in listing.records}
    return {str(r.path): str(r.path) for r in listing.records}


def _shared(trained: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Of other clips those that are trained on, by what people know them by."""
    return sorted(others[key] for key in others.keys() & trained.keys())


def _tokens(
    config: Config,
    dataset: ClipDataset,
    model: VideoModel,
    train: bool,
    device: torch.device,
    moving: bool = False,
) -> tuple[ClipDataset, tuple[int, int]]:
    """Cached tokens of a split; all folds of a cross-validated set share one cache.

    Not where clips are joined across groups: what they are made of is then another in every fold.
    """
    shared = folds(config.data) > 1 and (config.data.join == 1 or config.data.join_within)
    cached, grid = cache_tokens(
        config=config, source=_dataset(config, "all", train) if shared else dataset, model=model,
        root=Path(config.output) / ".cache", train=train, device=device, moving=moving,
    )  # fmt: skip
    return (cached.subset(dataset) if shared else cached), grid
