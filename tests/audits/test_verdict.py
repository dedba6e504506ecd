"""The rules of a verdict, on summaries made by hand; bounds."""

import pytest
import torch

from whyact.audits.bounds import failed_bounds, parse_bounds
from whyact.audits.verdict import comparable, verdict
from whyact.metrics.summary import Summary
from whyact.types import WhyactError


def summary(mean, half=0.05, clips=100):
    return Summary(mean, mean - half, mean + half, clips, 0)


def found(original=0.9, own=0.8, reliance=0.0, alone=0.1, follows=0.5, clips=100, half=0.05):
    return {
        "original": summary(original, clips=clips), "own_background": summary(own, clips=clips),
        "background_reliance": summary(reliance, half, clips),
        "background_only": summary(alone, clips=clips),
        "follows_background": summary(follows, clips=clips),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({}, "none_found"),
        ({"reliance": 0.04}, "none_found"),  # its interval reaches 0
        ({"reliance": 0.06}, "partly"),
        ({"reliance": 0.34}, "partly"),  # of a skill of 0.7
        ({"reliance": 0.36}, "leans"),
        ({"alone": 0.2}, "partly"),
        ({"alone": 0.52}, "leans"),  # 0.42 of a skill of 0.8
        ({"alone": 0.52, "follows": 0.14}, "none_found"),  # traces of the actor
        ({"original": 0.14}, "no_skill"),
        ({"own": 0.12}, "unclear"),
        ({"own": 0.12, "alone": 0.3}, "partly"),
        ({"own": 0.12, "alone": 0.8, "follows": 0.1}, "unclear"),
        ({"own": 0.12, "alone": 0.8}, "leans"),
        ({"clips": 7}, "unknown"),
        ({"reliance": 0.25, "half": 0.3}, "undecided"),
        ({"reliance": 0.02, "half": 0.3}, "none_found"),  # up to 0.32 of a skill of 0.7
    ],
)
def test_the_rules(given, level):
    assert verdict(found(**given), chance=0.1).level == level


def test_shares_of_the_skill():
    said = verdict(found(reliance=0.35, alone=0.5), chance=0.1)
    assert said.lost == pytest.approx(0.5) and said.alone == pytest.approx(0.5)


def test_without_masks_nothing_is_told():
    none = Summary(None, None, None, 0, 100)
    given = {**found(), "background_reliance": none, "background_only": none,
             "follows_background": none}  # fmt: skip
    assert verdict({**given, "own_background": none}, chance=0.1).level == "unknown"


def test_bounds_that_hold_and_that_do_not():
    bounds = [
        *parse_bounds(["swapped=0.5", "contrasted=0.1"], below=True),
        *parse_bounds(["scuba=0.7"], below=False),
    ]
    means = {"swapped": summary(0.4), "contrasted": Summary(None, None, None, 0, 9),
             "scuba": summary(0.7)}  # fmt: skip
    assert failed_bounds(bounds, means) == [
        "swapped is 0.400 [0.350, 0.450] (100 clips), below its bound 0.5",
        "contrasted is N/A, so its bound 0.1 cannot hold",
    ]
    means["scuba"] = summary(0.71)
    assert "above its bound 0.7" in failed_bounds(bounds, means)[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contrast=0.5", "there is no measure 'contrast'. Did you mean 'contrasted'"),
        ("contrasted", "expected contrasted=NUMBER"),
        ("contrasted=50", "expected contrasted=NUMBER, a share such as 0.5"),
        ("contrasted=nan", "expected contrasted=NUMBER"),
    ],
)
def test_bounds_that_are_none(text, message):
    with pytest.raises(WhyactError, match=message):
        parse_bounds([text], below=True)


def test_clips_without_a_change_count_for_no_verdict():
    nan = float("nan")
    values = {"background_reliance": torch.tensor([0.0, nan, 1.0]),
              "background_only": torch.tensor([1.0, 1.0, nan])}  # fmt: skip
    assert comparable(values).tolist() == [True, False, False]
    nothing = {k: torch.full((3,), nan) for k in values}
    assert comparable(nothing).all()
