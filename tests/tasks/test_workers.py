"""Loader processes help, and change nothing: not a weight, not a partner of a pasted view."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.tasks.tiny import same_weights, tiny_config, tiny_flags, write_folder

from whyact.tasks.train import train

SETTINGS = {
    "objectives": {"cross_entropy": 1.0, "background_mix": 0.5, "foreground_paste": 1.0},
    "data__motion__source": "difference",
    "model__fusion": "late",
    "data__transform": {"short_side": 36, "size": 32, "flip": 0.5, "color_jitter": 0.3},
    "data__clip": {"frames": 4, "sampling": "dense", "stride": 2, "tempo_jitter": 0.3},
    "training__epochs": 1,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


def test_a_run_with_four_loader_processes_ends_with_the_same_weights(
    root: Path, tmp_path: Path
) -> None:
    """Frames, crops, flips, colours, motion, and whose actor is pasted where, all at once."""
    alone = train(tiny_config(root, tmp_path / "0", data__workers=0, **SETTINGS)).folder
    helped = train(tiny_config(root, tmp_path / "4", data__workers=4, **SETTINGS)).folder
    assert same_weights(weights(alone), weights(helped))


@pytest.mark.slow
def test_two_training_processes_agree_whatever_their_loader_processes(
    root: Path, tmp_path: Path
) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    for workers in (0, 2):
        flags = tiny_flags(root, tmp_path / str(workers), data__workers=workers, **SETTINGS)
        flags += ["--training.batch_size", "4"]
        done = subprocess.run(
            [sys.executable, *launch, "-m", "whyact.cli", "train", *flags],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    (one,), (two,) = ((tmp_path / name).glob("*/checkpoints") for name in ("0", "2"))
    assert same_weights(weights(one.parent), weights(two.parent))
