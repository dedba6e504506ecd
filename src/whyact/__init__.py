"""Video action recognition that shows why, and tests it.

The public API: one function for each command, loaded when first used, and the types they give.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whyact.config import Config
    from whyact.config_io import load_config
    from whyact.tasks.ablate import ablate
    from whyact.tasks.audit import audit
    from whyact.tasks.check import check_data
    from whyact.tasks.codes import codes
    from whyact.tasks.compare import compare
    from whyact.tasks.data import shard_data, write_backdrop
    from whyact.tasks.demo import demo
    from whyact.tasks.evaluate import evaluate
    from whyact.tasks.explain import explain
    from whyact.tasks.figure import figure
    from whyact.tasks.localise import localise
    from whyact.tasks.named import measure_named
    from whyact.tasks.predict import predict
    from whyact.tasks.prepare import prepare_data
    from whyact.tasks.serve import serve
    from whyact.tasks.timeline import timeline
    from whyact.tasks.train import train
    from whyact.training.checkpoint import load_model
    from whyact.types import ActionOutput, Batch, Clip, Explanation, WhyactError

__version__ = "0.1.0"

_HOME = {
    "Config": "config", "load_config": "config_io", "load_model": "training.checkpoint",
    "ActionOutput": "types", "Batch": "types", "Clip": "types", "Explanation": "types",
    "WhyactError": "types", "ablate": "tasks.ablate", "audit": "tasks.audit", "demo": "tasks.demo",
    "evaluate": "tasks.evaluate", "explain": "tasks.explain", "predict": "tasks.predict",
    "localise": "tasks.localise", "measure_named": "tasks.named", "timeline": "tasks.timeline",
    "train": "tasks.train", "write_backdrop": "tasks.data", "shard_data": "tasks.data",
    "check_data": "tasks.check", "codes": "tasks.codes", "compare": "tasks.compare",
    "prepare_data": "tasks.prepare", "figure": "tasks.figure", "serve": "tasks.serve",
}  # fmt: skip

__all__ = [
    "ActionOutput", "Batch", "Clip", "Config", "Explanation", "WhyactError", "ablate", "audit",
    "check_data", "codes", "compare", "demo", "evaluate", "explain", "figure", "load_config",
    "load_model", "localise", "measure_named", "predict", "prepare_data", "serve", "shard_data",
    "timeline", "train", "write_backdrop",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'whyact' has no attribute '{name}'")
    return getattr(import_module(f"whyact.{_HOME[name]}"), name)
