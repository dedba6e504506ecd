"""Measure explanations: methods x metrics on the clips of a split, controls among the rows."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from whyact.config import Config
from whyact.data.backdrop.arrays import BackdropDataset
from whyact.data.builders import build_dataset, middle_view
from whyact.data.loader import drawn, load, none_read
from whyact.data.protocol import ClipDataset
from whyact.metrics.quality import judge, summaries
from whyact.models.interventions import with_boxes
from whyact.models.recognizer import ActionRecognizer
from whyact.processes import in_processes
from whyact.report.explanation_table import write_table
from whyact.tasks.evaluate import run_folder
from whyact.tasks.explain import graph_rounds
from whyact.tasks.explainer_table import check_methods, pass_size
from whyact.tasks.explanation_bench import Bench, Measured, measure_batch
from whyact.tasks.folds import fold_runs
from whyact.tasks.reasoning import Reasons, measure_reasons, summarise_reasons
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.record import environment
from whyact.types import WhyactError

VERSION = 6
"""Of what is measured: raised where an explainer or a metric gives other values than before."""
BATCH = 10
"""The most clips that are measured together; the next one among them lends its prompts."""
UNRELATED = ("root", "annotations", "workers", "train", "val", "test", "balance")
"""Settings of the data that change nothing about the clips that are measured."""
Job = tuple[Path, Callable[[], tuple[Measured, Reasons]]]
"""Some clips' measurement, and the file that keeps its values."""


def _job(
    start: int, *, checkpoint: str, data: Config | None, split: str, methods: Sequence[str],
    clips: int, batch: int, rerun: int, settings: dict[str, Any], bf16: bool,
) -> tuple[Measured, Reasons]:  # fmt: skip
    """Measure the clips from ``start`` on, up to ``batch`` of them."""
    loaded = load_model(checkpoint)
    if bf16:
        loaded.model.backbone.forward = _in_bf16(loaded.model.backbone.forward)
    dataset = _dataset(data or loaded.config, split, loaded.config.seed)
    chosen = drawn(len(dataset))[start : min(start + batch, clips)]
    requests = [(i, 0) for i in chosen]
    (loads,) = load(dataset, [requests])
    if not len(loads):
        return Measured(), Reasons()
    found = loads.to("cpu")
    assert found.index is not None
    limbs = None
    if isinstance(dataset, BackdropDataset):
        limbs = torch.stack([dataset.limb_mask(int(i)) for i in found.index])
    model = loaded.model
    if found.boxes is not None:
        model = with_boxes(model, found.boxes[0])  # of the only clip, see `_batch`
    bench = Bench(model, methods, found.video.shape[2:], loaded.probabilities)
    # Randomisation and sensitivity of the first clips only; a batch is measured as a whole.
    made, targets = measure_batch(
        bench, found.video, mask=found.mask, limbs=limbs, rerun=start < rerun, settings=settings
    )
    made.ids = list(found.ids)
    several = found.label.ndim == 2
    right = found.label.gather(1, targets[:, None])[:, 0] if several else found.label == targets
    made.hits = right.double().tolist()
    reasons = Reasons()
    if isinstance(model, ActionRecognizer):
        rounds = graph_rounds(model)
        steps = min(4, settings.get("steps", 4))
        measure_reasons(
            model, found.video, found.mask, rounds, reasons, steps=steps,
            probabilities=loaded.probabilities,
        )  # fmt: skip
    return made, reasons


def _in_bf16(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A backbone's forward pass that computes in bf16; its features are float32 again."""

    def run(video: Tensor) -> Tensor:
        with torch.autocast(video.device.type, torch.bfloat16):
            return forward(video).float()

    return run


def _dataset(config: Config, split: str, seed: int) -> ClipDataset:
    return build_dataset(middle_view(config.data), split, train=False, seed=seed)


def _threads() -> None:
    torch.set_num_threads(1)


def measure_explanations(
    checkpoint: str | Path,
    methods: Sequence[str],
    *,
    split: str = "",
    clips: int = 200,
    rerun: int = 50,
    data: Config | None = None,
    output: str | Path = "",
    workers: int = 1,
    settings: dict[str, Any] | None = None,
    bf16: bool = False,
) -> dict[str, Any]:
    """Write the table of explanation quality: ``<output>/{table.json,table.md,table.png}``.

    Every row is a method, its blurred copy, or a control, on the same clips; the explained class is
    the predicted one. The values of every clip are in ``table.json``. What is done is kept in
    ``parts/``: after an interruption, or for more clips, the same call goes on.

    Args:
        checkpoint: of a run; of a cross-validated one all folds, each on its own clips.
        methods: names of `whyact.tasks.explainer_table.EXPLAINERS`.
        split: of the data; the first of ``data.test`` if empty.
        clips: how many, in an order that is drawn once and for all. rerun: on how many of them the
            metrics that run explainers again are measured, seven more explanations a clip.
        data: a config whose ``data`` part replaces the checkpoint's; every fold keeps its own part.
        output: folder; ``explanations/<split>`` in the run's folder if empty.
        workers: processes, with one thread each. settings: of `whyact.metrics.quality.Judge`.
        bf16: the backbone computes in bf16, faster on CPUs that do, with rounded scores.

    Raises:
        WhyactError: a method, checkpoint or split that does not exist, or one that does not fit.
    """
    check_methods(methods)
    if clips < 1 or workers < 1:
        raise WhyactError(f"Expected at least one clip and one worker, got {clips} and {workers}.")
    run, settings = Path(checkpoint), dict(settings or {})
    jobs: list[Job] = []
    models: list[int] = []  # of each job
    about: dict[str, Any] = {"checkpoints": [], "data": [], "expected": 0}
    for source in fold_runs(run) or [run]:
        done = about["expected"]
        if done >= clips:
            break
        one = _open(source, data, split)
        place = run_folder(one.loaded.folder) if source == run else run
        folder = Path(output) if output else place / "explanations" / one.split
        job = partial(
            _job, checkpoint=str(one.loaded.folder), data=one.data, split=one.split,
            methods=tuple(methods), clips=min(clips - done, len(one.dataset)),
            batch=_batch(one), rerun=rerun - done, settings=settings, bf16=bf16,
        )  # fmt: skip
        jobs += _jobs(folder / "parts", job, _key(one, job))
        models += [len(about["checkpoints"])] * (len(jobs) - len(models))
        about["checkpoints"].append(str(one.loaded.folder))
        about["data"].append(one.dataset.fingerprint)
        about["expected"] += job.keywords["clips"]
    made, reasons = Measured(), [Reasons() for _ in about["checkpoints"]]
    for model, (part, why) in zip(models, _run(jobs, workers), strict=True):
        made.add(part)
        reasons[model].add(why)
    if not made.ids:
        raise none_read(one.split)
    about |= {
        "read": _reading(one),
        "split": one.split,
        "rerun": rerun,
        "settings": settings,
        "bf16": bf16,
    }
    table = tabulate(made, methods) | {"about": about | environment(torch.device("cpu"), [])}
    if isinstance(one.loaded.model, ActionRecognizer):
        table["reasons"] = summarise_reasons(one.loaded.model, reasons)
    write_table(folder, table)
    return table


@dataclass(frozen=True)
class _Fold:
    """A fold's model and its clips; ``data`` is the given config with the fold's own part."""

    loaded: LoadedModel
    data: Config | None
    split: str
    dataset: ClipDataset


def _open(source: Path, data: Config | None, split: str) -> _Fold:
    loaded = load_model(source)
    data = copy.deepcopy(data)
    if data is not None:
        data.data.fold = loaded.config.data.fold
    config = data or loaded.config
    split = split or config.data.test[0]
    dataset = _dataset(config, split, loaded.config.seed)
    check_label_map(loaded.folder, loaded.classes, dataset.classes)
    return _Fold(loaded, data, split, dataset)


def _batch(one: _Fold) -> int:
    """Clips that are measured together, which does not change results: up to `BATCH`.

    One where they bring boxes: explainers multiply clips, and know of no boxes to go with them.
    """
    data = (one.data or one.loaded.config).data
    if data.boxes.table or data.backdrop.boxes:
        return 1
    side = data.transform.size
    return min(BATCH, pass_size((data.clip.frames, side, side)))


def _jobs(parts: Path, job: partial[tuple[Measured, Reasons]], key: str) -> list[Job]:
    """The files that the values of every few clips are kept in, and what to run for them."""
    parts.mkdir(parents=True, exist_ok=True)
    clips, batch, rerun = (job.keywords[k] for k in ("clips", "batch", "rerun"))
    ends = {start: min(start + batch, clips) for start in range(0, clips, batch)}
    return [
        (parts / f"{start:05d}-{end:05d}-{start < rerun:d}-{key}.json", partial(job, start))
        for start, end in ends.items()
    ]


def _call(job: Callable[[], tuple[Measured, Reasons]]) -> tuple[Measured, Reasons]:
    return job()


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Measured, Reasons]]:
    """The parts in order; those that an earlier, interrupted call has written are read."""
    missing = {file: job for file, job in jobs if not file.is_file()}
    made = in_processes(_call, [*missing.values()], workers=workers, start=_threads)
    steps = zip(missing, made, strict=True)
    for file, (part, why) in track(steps, "Explanations", total=len(missing), transient=True):
        scratch = file.with_suffix(".tmp")
        scratch.write_text(json.dumps({"measured": asdict(part), "reasons": why.to_json()}))
        scratch.replace(file)
    for file, _ in jobs:
        values = json.loads(file.read_text())
        yield Measured(**values["measured"]), Reasons.from_json(values["reasons"])


def _key(one: _Fold, job: partial[Any]) -> str:
    """Hash of everything that the values of a part depend on."""
    digest = hashlib.sha256((one.loaded.folder / "model.safetensors").read_bytes())
    asked = job.keywords
    settings = (
        VERSION, one.dataset.fingerprint, asked["methods"], sorted(asked["settings"].items()),
        sorted(_reading(one).items()),
    )  # fmt: skip
    digest.update(repr((*settings, "bf16") if asked["bf16"] else settings).encode())
    return digest.hexdigest()[:12]


def _reading(one: _Fold) -> dict[str, Any]:
    """How clips are read; where from, how fast and beside which splits is all the same."""
    data = asdict(middle_view((one.data or one.loaded.config).data))
    return {k: v for k, v in data.items() if k not in UNRELATED}


def tabulate(made: Measured, methods: Sequence[str]) -> dict[str, Any]:
    """The table as JSON values: summaries, verdicts, ceilings, costs, the values of every clip."""
    rows = _tensors(made.rows)
    curves = {row: torch.tensor(c, dtype=torch.float64) for row, c in made.curves.items()}
    return {
        "clips": len(made.ids),
        "accuracy": sum(made.hits) / max(1, len(made.hits)),
        "rows": _summaries(rows),
        "verdicts": {m: {k: asdict(v) for k, v in judge(rows, m).items()} for m in methods},
        "ceilings": _summaries(_tensors(made.ceilings)),
        # None where no clip has a mask.
        "iou_curve": {
            row: None if bool(c.isnan().all()) else c.nanmean(0).tolist()
            for row, c in curves.items()
        },
        "cost": {
            m: {"passes": sum(c) / len(c), "needed": made.needs[m]} for m, c in made.passes.items()
        },
        "judging": {"passes": made.judging[0], "needed": made.judging[1]},
        "values": {"id": made.ids, "hit": made.hits, "rows": _without_nan(made.rows)},
    }


def _tensors(rows: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Tensor]]:
    return {
        row: {k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()}
        for row, values in rows.items()
    }


def _summaries(rows: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Any]]:
    return {
        row: {k: asdict(s) for k, s in summaries(values).items()} for row, values in rows.items()
    }


def _without_nan(rows: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """The same with None for undefined values, as JSON has no NaN."""
    return {
        row: {k: [None if x != x else round(x, 5) for x in v] for k, v in values.items()}
        for row, values in rows.items()
    }
