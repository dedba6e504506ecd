"""Background robustness from hits that are written by hand."""

import pytest
import torch

from whyact.metrics.background import background_robustness, contrasted_accuracy
from whyact.types import WhyactError


def test_by_hand() -> None:
    hits = {
        "iid": torch.tensor([1.0, 1, 1, 0]), "swap": torch.tensor([1.0, 0]),
        "scuba": torch.tensor([1.0, 1, 0, 0]), "scufo": torch.tensor([0.0, 0, 1, 0]),
    }  # fmt: skip
    found = background_robustness(hits)
    assert found["swap_drop"].mean == pytest.approx(0.25) and found["swap_drop"].clips == 6
    assert found["scuba"].mean == 0.5 and found["scufo"].mean == 0.25
    assert found["contrasted"].mean == 0.5  # the first two are right moving and wrong standing
    assert set(background_robustness({"iid": hits["iid"], "scuba": hits["scuba"]})) == {"scuba"}
    low, high = found["swap_drop"].low, found["swap_drop"].high
    assert low is not None and high is not None and low < 0.25 < high


def test_only_pairs_can_be_contrasted() -> None:
    with pytest.raises(WhyactError, match="got 3 of scuba and 2 of scufo"):
        contrasted_accuracy(torch.ones(3), torch.ones(2))
