"""Backdrop, the built-in benchmark: figures act before backdrops, with all factors known."""

from whyact.data.backdrop.actions import ACTIONS, FLIP_PAIRS, ORDER_PAIRS
from whyact.data.backdrop.arrays import BackdropDataset, load_backdrop
from whyact.data.backdrop.factors import SPLITS, TEST_SPLITS
from whyact.data.backdrop.generation import BACKDROP_VERSION
from whyact.data.backdrop.render import BackdropSample, generate_clip
from whyact.data.backdrop.scenes import SCENES

__all__ = [
    "ACTIONS", "BACKDROP_VERSION", "FLIP_PAIRS", "ORDER_PAIRS", "SCENES", "SPLITS", "TEST_SPLITS",
    "BackdropDataset", "BackdropSample", "generate_clip", "load_backdrop",
]  # fmt: skip
