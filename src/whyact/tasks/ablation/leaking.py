"""What probes read of a trained variant's codes, clip by clip for the ablation's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyact.audits.leakage import LEAST
from whyact.data.builders import build_dataset, middle_view
from whyact.tasks.codes import probe_codes, read_codes
from whyact.training.checkpoint import load_model
from whyact.types import WhyactError

NAMES = {
    "scene in the action code": "scene_in_action",
    "action in the nuisance code": "action_in_nuisance",
    "scene in the nuisance code": "scene_in_nuisance",
}
"""Questions of `whyact.tasks.codes.probe_codes` and what their measures begin with."""
VERSION = 2
"""Of what is probed and kept: raised where it comes out otherwise than before."""


def is_current(record: Mapping[str, Any], split: str) -> bool:
    """Whether a record is what `leak_run` would make of this split now."""
    return (record.get("version"), record["split"]) == (VERSION, split)


def leak_run(run: Path, *, split: str) -> dict[str, Any]:
    """Probe the codes of all clips of a split, whose actions and scenes are crossed, on a CPU.

    Args:
        run: folder. split: of the run's data.

    Returns:
        ``version``, ``split``, ``fingerprint`` of the data, ``ids`` of the clips that the probes
        were tested on and ``rows``: under ``probes``, by question and probe, 1 where the probe was
        right and 0 elsewhere; under ``floors`` the floor of each question.

    Raises:
        WhyactError: no such run or split, or too few clips whose scene is known.
    """
    loaded = load_model(run)
    data = middle_view(loaded.config.data)
    dataset = build_dataset(data, split, train=False, seed=loaded.config.seed)
    found = read_codes(loaded.model, dataset, range(len(dataset)))
    known = int((found.scene >= 0).sum())
    if known < LEAST:
        raise WhyactError(
            f"probe: {known} clips of '{split}' have a known scene, and probes need {LEAST}; take "
            "another split, or leave 'probe:' out of the grid."
        )
    results = probe_codes(found, dataset)
    rows = {
        f"{NAMES[question]}_{probe}": [int(hit) for hit in hits.tolist()]
        for question, leak in results.items()
        for probe, hits in leak.hits.items()
    }
    count = len(next(iter(rows.values())))
    return {
        "version": VERSION, "split": split, "fingerprint": dataset.fingerprint,
        "ids": [str(i) for i in range(count)], "rows": {"probes": rows},
        "floors": {NAMES[q]: leak.floor for q, leak in results.items()},
    }  # fmt: skip
