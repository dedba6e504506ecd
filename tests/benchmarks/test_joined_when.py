"""The study of clips joined end to end: what its means over runs and folds are."""

import pytest
import torch
from joined_shared import mean_of, over_folds
from joined_when import timed

from whyact.tasks.localise import METHODS, Localised
from whyact.types import Interval

TRUTH = [Interval(action=0, start=0, stop=4), Interval(action=1, start=4, stop=8)]


def fold(name: str, *, right: bool) -> Localised:
    """One clip of two actions: the model finds them, or has them the wrong way round."""
    made = Localised(ids=[name], truth=[TRUTH])
    for method in METHODS:
        swapped = not right or method != "model"
        order = [1, 0] if swapped else [0, 1]
        made.found[method] = [
            [Interval(action=a, start=t.start, stop=t.stop, score=1.0)
             for a, t in zip(order, TRUTH, strict=True)]
        ]  # fmt: skip
        made.evidence[method] = [torch.eye(2)[order].repeat_interleave(4, 0)]
    return made


def test_means_are_over_runs_and_the_lead_over_baselines() -> None:
    right = [fold("a", right=True), fold("b", right=True)]
    wrong = [fold("a", right=False), fold("b", right=False)]
    found = timed([right, wrong], draws=20)
    assert found["clips"] == 2
    assert found["scores"]["model map@0.5"]["mean"] == pytest.approx(0.5)  # of 1 and 0
    assert found["scores"]["model over motion map@0.5"]["mean"] == pytest.approx(0.5)
    assert [run["model"]["map@0.5"] for run in found["each"]] == [1, 0]
    assert found["each"][1]["model"] == found["each"][1]["motion"]


def test_intervals_are_over_folds() -> None:
    values = [0.0, 0.0, 1.0, 1.0]
    found = over_folds(lambda picks: {"x": sum(values[k] for k in picks) / 4}, 4, draws=500)["x"]
    assert found["mean"] == 0.5 and found["low"] == pytest.approx(0.0, abs=0.26)
    assert found["low"] < 0.5 < found["high"]
    assert mean_of([{"x": 1.0, "y": 0.0}, {"x": 0.0, "y": 0.5}]) == {"x": 0.5, "y": 0.25}
