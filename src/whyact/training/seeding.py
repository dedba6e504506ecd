"""One master seed, and streams derived from it by name."""

from __future__ import annotations

import os
import random
import zlib

import numpy as np
import torch


def derive(seed: int, *names: object) -> int:
    """A seed in [0, 2^32) for one purpose: a hash of the master seed and the names."""
    return zlib.crc32("/".join(map(str, (seed, *names))).encode())


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch of this process.

    The loop calls this at the start of every step with a seed derived from the step, so resuming a
    run needs no stored generator state.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def set_determinism(on: bool) -> list[str]:
    """Ask torch and cuDNN for deterministic algorithms.

    Returns:
        What stays nondeterministic, in words, for the run's record.
    """
    if on:  # cuBLAS reads this when CUDA starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = not on
    torch.backends.cudnn.deterministic = on
    torch.use_deterministic_algorithms(on, warn_only=True)
    if not on:
        return ["training.deterministic is off"]
    if torch.cuda.is_available():
        return ["CUDA kernels without a deterministic version (torch warns when one runs)"]
    return []
