"""Measures on resamples: their centre is the measure itself, and pairs share their clips."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional import classification as oracle

from whyact.metrics.bootstrap import draws_of_measures, measures, percentile_interval
from whyact.metrics.comparison import mcnemar, paired_differences
from whyact.metrics.recognition import confusion_matrix, per_class_scores, recognition_scores
from whyact.types import WhyactError


def noise(clips: int = 60, classes: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (clips,), generator=generator)
    logits = torch.randn(clips, classes, generator=generator)
    logits[torch.arange(clips), labels] += 1.5
    return logits, labels


def by_torchmetrics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    classes = logits.shape[1]
    if labels.ndim == 2:
        seen = labels.any(0)
        ranks = logits.unique(return_inverse=True)[1] / logits.numel()
        each = oracle.multilabel_average_precision(
            ranks, labels, num_labels=classes, average="none"
        )
        return {"map": float(each[seen].mean())}
    seen = torch.bincount(labels, minlength=classes) > 0
    accuracy = oracle.multiclass_accuracy(logits, labels, num_classes=classes, average=None)
    f1 = oracle.multiclass_f1_score(logits, labels, num_classes=classes, average=None)
    return {
        "top1": float(oracle.multiclass_accuracy(logits, labels, classes, average="micro")),
        "top5": float(
            oracle.multiclass_accuracy(logits, labels, classes, "micro", top_k=min(5, classes))
        ),
        "mean_class": float(accuracy[seen].mean()),
        "macro_f1": float(f1[seen].mean()),
        "ece": float(oracle.multiclass_calibration_error(logits, labels, classes, n_bins=15)),
    }


def test_intervals_hold_the_measures() -> None:
    logits, labels = noise(classes=20)
    scores = recognition_scores(logits, labels)
    for name in ("top1", "top5", "mean_class", "macro_f1"):
        low, high = scores[f"{name}_interval"]
        assert low < scores[name] < high <= 1
    assert "ece_interval" in scores
    without = recognition_scores(logits, labels, intervals=False)
    assert not any(k.endswith("interval") for k in without)


def test_a_resample_by_hand() -> None:
    """Weights are clips repeated: scores of the repeated clips."""
    logits, labels = noise(clips=9, classes=3)
    drawn = draws_of_measures(logits, labels, draws=7, seed=5)
    generator = torch.Generator().manual_seed(5)
    picks = torch.randint(9, (7, 9), generator=generator)
    for row in range(7):
        again = by_torchmetrics(logits[picks[row]], labels[picks[row]])
        assert again.keys() == drawn.keys()
        for name, value in again.items():
            assert drawn[name][row] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("classes", [3, 20])
def test_measures_are_those_of_torchmetrics(classes: int) -> None:
    logits, labels = noise(classes=classes)
    assert measures(logits, labels) == pytest.approx(by_torchmetrics(logits, labels), abs=1e-6)


@pytest.mark.parametrize("decimals", [0, 6])
def test_a_resample_of_several_labels(decimals: int) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(12, 4, generator=generator).round(decimals=decimals)  # 0: many ties
    labels = (torch.rand(12, 4, generator=generator) > 0.5).long()
    drawn = draws_of_measures(logits, labels, draws=5, seed=2)["map"]
    picks = torch.randint(12, (5, 12), generator=torch.Generator().manual_seed(2))
    for row in range(5):
        again = by_torchmetrics(logits[picks[row]], labels[picks[row]])
        assert drawn[row] == pytest.approx(again["map"], abs=1e-5)


def test_equal_scores_are_one_threshold() -> None:
    # One of four is right at the only threshold that there is, whatever the order of the clips.
    labels = torch.tensor([[1, 0], [0, 1], [0, 0], [0, 0]])
    for turned in (labels, labels.flip(0)):
        found = recognition_scores(torch.zeros(4, 2), turned, intervals=False)
        assert found["map"] == pytest.approx(0.25)


def test_high_scores_are_no_ties() -> None:
    # 20, 30 and 40 are all one to a sigmoid in single precision; their order is right.
    logits = torch.tensor([[40.0, 20.0], [30.0, 30.0], [20.0, 40.0]])
    labels = torch.tensor([[1, 0], [1, 1], [0, 1]])
    assert recognition_scores(logits, labels, intervals=False)["map"] == 1.0


def test_calibration_by_hand() -> None:
    # Four clips at confidence 0.8, of which three are right: a gap of 0.05.
    sure = torch.tensor([[0.8, 0.2]] * 4).log()
    assert measures(sure, torch.tensor([0, 0, 0, 1]))["ece"] == pytest.approx(0.05)
    # Two bins: 0.9 all right (0.1), 0.6 all wrong (0.6), half of the clips each.
    mixed = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
    assert measures(mixed, torch.tensor([0, 1]))["ece"] == pytest.approx(0.35)


def test_per_class_by_hand() -> None:
    logits = torch.tensor([[2.0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 0, 0]])
    rows = per_class_scores(logits, torch.tensor([0, 0, 1, 1]), ("a", "b", "c"))
    assert rows[0] == {"class": "a", "clips": 2, "recall": 1.0, "precision": 2 / 3, "f1": 0.8}
    assert rows[1]["recall"] == 0.5 and rows[1]["precision"] == 1.0
    assert rows[2] == {"class": "c", "clips": 0, "recall": None, "precision": None, "f1": None}
    several = per_class_scores(logits, torch.tensor([[1, 0, 0]] * 4), ("a", "b", "c"))
    assert several[0]["average_precision"] == 1.0 and several[1]["average_precision"] is None


def test_mcnemar_by_hand() -> None:
    labels = torch.zeros(20, dtype=torch.int64)
    right, wrong = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    first = torch.stack([right] * 10 + [wrong] * 10)
    second = torch.stack([right] * 9 + [wrong] + [right] * 8 + [wrong] * 2)
    found = mcnemar(first, second, labels)
    assert (found.only_first, found.only_second) == (1, 8)
    assert found.p == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(first, first, labels).p == 1.0
    many = torch.zeros(6000, dtype=torch.int64)
    a, b = torch.stack([right, wrong] * 3000), torch.stack([wrong, right] * 3000)
    assert mcnemar(a, b, many).p == 1.0
    assert mcnemar(a, torch.stack([right] * 6000), many).p < 1e-300


def test_paired_differences() -> None:
    logits, labels = noise(clips=200)
    better = logits.clone()
    better[torch.arange(200), labels] += 1
    found = paired_differences(logits, better, labels, draws=300)["top1"]
    assert found["difference"] == pytest.approx(found["second"] - found["first"])
    assert 0 < found["interval"][0] <= found["difference"] <= found["interval"][1]
    same = paired_differences(logits, logits, labels, draws=50)
    assert same["top1"]["interval"] == same["mean_class"]["interval"] == [0.0, 0.0]
    with pytest.raises(WhyactError, match=r"no clips to compare"):
        paired_differences(logits[:0], logits[:0], labels[:0])


def test_percentiles() -> None:
    assert percentile_interval(torch.arange(101.0)) == pytest.approx([2.5, 97.5])
    assert percentile_interval(torch.arange(101.0), level=0.5) == pytest.approx([25, 75])


def test_a_confusion_matrix_by_hand_and_of_one_class():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    found = confusion_matrix(logits, torch.tensor([0, 1, 2]))
    assert found.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert confusion_matrix(torch.zeros(2, 1), torch.tensor([0, 0])).tolist() == [[2]]
