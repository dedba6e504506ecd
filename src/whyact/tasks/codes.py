"""Look at the codes of trained models: projections, clusters, leakage, and where models look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.progress import track
from torch import Tensor

from whyact.audits.leakage import LEAST
from whyact.config import Config
from whyact.data.builders import build_dataset, middle_view
from whyact.data.loader import at_most, load
from whyact.data.protocol import ClipDataset
from whyact.metrics.disentanglement import Leakage, halves, leakage
from whyact.models.recognizer import VideoModel
from whyact.objectives.foreground import attention_map
from whyact.ops.projection import kmeans, project
from whyact.report.code_figures import draw_attention, draw_codes, draw_leakage
from whyact.training.checkpoint import LoadedModel, check_label_map, load_model
from whyact.training.record import environment, write_json
from whyact.types import Failure, WhyactError


@dataclass(frozen=True)
class Codes:
    """What a model made of n clips.

    Attributes:
        ids: of the clips. label, scene: (n,) int64; a scene is -1 where unknown.
        action, nuisance: (n, C) mean codes over regions and frames; C is 0 for a model without.
        failures: clips that could not be read.
    """

    ids: tuple[str, ...]
    label: Tensor
    scene: Tensor
    action: Tensor
    nuisance: Tensor
    failures: tuple[Failure, ...] = ()


def codes(
    checkpoints: Sequence[str | Path], *, split: str = "", data: Config | None = None,
    clips: int = 600, projection: str = "pca", clusters: int = 0, attention: int = 4,
    form: str = "svg", output: str | Path = "codes", seed: int = 0, device: str = "cpu",
) -> list[Path]:  # fmt: skip
    """Write what the codes of models hold, a folder a model, and one picture of where all look.

    Each folder gets ``codes.parquet`` (a row a clip), ``codes.svg`` (projections of both codes, by
    action and by scene), ``leakage.svg`` (probes beside their floors; only where scenes are
    labelled) and ``codes.json`` (the record). Leakage tells of a model only where action and scene
    are crossed, as in Backdrop's ``probe`` split.

    Args:
        checkpoints: runs or checkpoints. split: of the data; the first of ``data.test`` if empty.
        data: a config whose ``data`` part replaces the first checkpoint's.
        clips: drawn from the split, at most; 0 takes all.
        projection: see `whyact.ops.projection.project`.
        clusters: of the nuisance code (the action code without one), as the column ``cluster``,
            which ``data.balance`` can read; 0 for none.
        attention: clips in ``attention.svg``; 0 writes none.
        form: of the figures: ``svg``, ``pdf`` or ``png``. output: folder.
        seed: of the clips, clusters, probes and UMAP. device: torch device.

    Returns:
        The files and folders that were written.

    Raises:
        WhyactError: no such checkpoint or split, other classes than the data's, several labels,
            models that were trained on clips of different forms.
    """
    models = [load_model(path, device) for path in checkpoints]
    _check_forms(models)
    config = data or models[0].config
    split = split or config.data.test[0]
    dataset = build_dataset(middle_view(config.data), split, train=False, seed=config.seed)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    rows = sorted(order[: at_most(len(dataset), clips)].tolist())
    written = []
    names = _names(models)
    for loaded, name in zip(models, names, strict=True):
        check_label_map(loaded.folder, loaded.classes, dataset.classes)
        found = read_codes(loaded.model, dataset, rows, device=device, workers=config.data.workers)
        folder = Path(output) / name
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, found, dataset, projection, clusters, form, seed)
        record = {
            "checkpoint": str(loaded.folder), "split": split, "fingerprint": dataset.fingerprint,
            "clips": len(found.ids), "failures": {f.id: f.reason for f in found.failures},
            "seed": seed, "projection": projection, "clusters": clusters,
            "leakage": _leakage(folder, found, dataset, form, seed),
            **environment(torch.device(device), []),
        }  # fmt: skip
        write_json(folder / "codes.json", record, indent=1)
        written.append(folder)
    if attention:
        file = Path(output) / f"attention.{form}"
        chosen = order[:attention].tolist()
        written.append(_attention(file, models, names, dataset, chosen, device))
    return written


def _check_forms(models: Sequence[LoadedModel]) -> None:
    """All models are shown the same clips, so they must have been trained on such."""
    forms = [
        {
            "size": m.config.data.transform.size,
            **asdict(replace(m.config.data.clip, tempo_jitter=0.0)),
        }
        for m in models
    ]
    for loaded, form in zip(models, forms, strict=True):
        for name, value in form.items():
            if value != forms[0][name]:
                raise WhyactError(
                    f"{loaded.folder} was trained on clips with {name} {value}, {models[0].folder} "
                    f"with {forms[0][name]}: show them apart, with an --output each."
                )


def _names(models: Sequence[LoadedModel]) -> list[str]:
    """Of the runs, as their configs say, with a number before them where two are the same."""
    names = [m.config.name.replace("/", "-") for m in models]
    same = len(set(names)) < len(names)
    return [f"{i + 1}-{name}" if same else name for i, name in enumerate(names)]


@torch.no_grad()
def read_codes(
    model: VideoModel, dataset: ClipDataset, rows: Sequence[int], *, device: str = "cpu",
    batch_size: int = 16, workers: int = 0,
) -> Codes:  # fmt: skip
    """The mean codes of a data set's clips (their first test view); failures are left out.

    Args:
        model: in evaluation mode. dataset: with one label a clip. rows: of the clips.
    """
    requests = [
        [(i, 0) for i in rows[start : start + batch_size]]
        for start in range(0, len(rows), batch_size)
    ]
    ids: list[str] = []
    parts: list[list[Tensor]] = []
    failures: list[Failure] = []
    batches = load(dataset, requests, workers=workers)
    for batch in track(batches, "Read codes", total=len(requests), transient=True):
        failures += batch.failures
        if not len(batch):
            continue
        if batch.label.ndim != 1:
            raise WhyactError("Codes are shown by action, and these clips have several at once.")
        ready = batch.to(device)
        output = model(ready.streams, **ready.given)
        codes = [output.mean_code(c).cpu() for c in (output.action_code, output.nuisance_code)]
        parts.append([batch.label, batch.nuisance, *codes])
        ids += batch.ids
    if not parts:
        raise WhyactError(f"None of {len(rows)} clips could be read; `whyact data check` says why.")
    label, scene, action, nuisance = (torch.cat(column) for column in zip(*parts, strict=True))
    return Codes(tuple(ids), label, scene, action, nuisance, tuple(failures))


def _write(
    folder: Path, found: Codes, dataset: ClipDataset, projection: str, clusters: int, form: str,
    seed: int,
) -> None:  # fmt: skip
    """The table and the projections."""
    kinds = {"action": found.action, "nuisance": found.nuisance}
    points = {k: project(v, projection, seed) for k, v in kinds.items() if v.shape[1]}
    table: dict[str, Any] = {
        "id": found.ids, "label": found.label.tolist(), "scene": found.scene.tolist(),
        **{f"{k}_code": v.tolist() for k, v in kinds.items()},
        **{f"{k}_x": xy[:, 0].tolist() for k, xy in points.items()},
        **{f"{k}_y": xy[:, 1].tolist() for k, xy in points.items()},
    }  # fmt: skip
    if clusters:
        of = found.nuisance if found.nuisance.shape[1] else found.action
        table["cluster"] = kmeans(of, clusters, seed).tolist()
    pq.write_table(pa.table(table), folder / "codes.parquet")
    colourings: dict[str, tuple[Tensor, Sequence[str]]] = {"action": (found.label, dataset.classes)}
    if dataset.scenes:
        colourings["scene"] = found.scene, dataset.scenes
    draw_codes(folder / f"codes.{form}", points, colourings)


def _leakage(
    folder: Path, found: Codes, dataset: ClipDataset, form: str, seed: int
) -> dict[str, Any] | str:
    """What probes read of each code, or why there are none."""
    known = int(((found.scene >= 0) & (found.label >= 0)).sum())
    if known < LEAST:
        return f"{known} clips have a known scene, and probes need {LEAST}"
    results = probe_codes(found, dataset, seed)
    draw_leakage(folder / f"leakage.{form}", results)
    return {name: value.record() for name, value in results.items()}


def probe_codes(found: Codes, dataset: ClipDataset, seed: int = 0) -> dict[str, Leakage]:
    """What probes read of each code, by question; one half of the clips of every pair trains them.

    Args:
        found: at least `whyact.audits.leakage.LEAST` clips with a known scene and label; others
            are left out. dataset: that they are of. seed: of the halves and the probes.
    """
    known = (found.scene >= 0) & (found.label >= 0)
    factors = {
        "action": (found.label[known], len(dataset.classes)),
        "scene": (found.scene[known], len(dataset.scenes)),
    }
    train, test = halves(factors["action"][0], factors["scene"][0], seed)

    def probed(code: Tensor, factor: str, other: str) -> Leakage:
        code, (values, count), (given, _) = code[known], factors[factor], factors[other]
        return leakage(
            code[train], values[train], given[train], code[test], values[test], given[test],
            classes=count, seed=seed,
        )  # fmt: skip

    results = {"scene in the action code": probed(found.action, "scene", "action")}
    if found.nuisance.shape[1]:
        results |= {
            "action in the nuisance code": probed(found.nuisance, "action", "scene"),
            "scene in the nuisance code": probed(found.nuisance, "scene", "action"),
        }
    return results


@torch.no_grad()
def _attention(
    file: Path, models: Sequence[LoadedModel], names: Sequence[str], dataset: ClipDataset,
    rows: Sequence[int], device: str,
) -> Path:  # fmt: skip
    """Every model's look at the same clips, by one scale.

    It is the density d of the head's attention over that of an even look, shown as (d - 1) / (d +
    1): nothing where a model looks no more than on average, so nothing for one that has no look.
    """
    (batch,) = load(dataset, [[(i, 0) for i in rows]])
    if not len(batch):
        raise WhyactError("None of the clips drawn for --attention could be read; try a --seed.")
    ready = batch.to(device)
    heats = {}
    for loaded, name in zip(models, names, strict=True):
        odds = attention_map(loaded.model(ready.streams, **ready.given), batch.video.shape[2:])
        heats[name] = list((2 * odds - 1).clamp_min(0).cpu())
    known = [*dataset.classes, "unknown"]  # the label -1
    titles = [known[int(label)] for label in batch.label]
    return draw_attention(file, list(batch.video), heats, titles)
