"""The smallest set of regions, on models that read known ones."""

import pytest
import torch
from torch import Tensor

from whyact.explainers.counterfactual import counterfactual, region_masks
from whyact.types import WhyactError


def strips(count: int) -> Tensor:
    """(count, 2, 4, count): region k is column k."""
    masks = torch.zeros(count, 2, 4, count)
    for k in range(count):
        masks[k, ..., k] = 1
    return masks


def votes(weights: list[float], threshold: float):  # type: ignore[no-untyped-def]
    """Class 0 where the weighted whiteness of the columns is above a threshold."""
    w = torch.tensor(weights).float()

    def model(x: Tensor) -> Tensor:
        score = (x.mean((1, 2, 3)) > 0.75).float() @ w
        return torch.stack([score, torch.full_like(score, threshold)], 1)

    return model


def white(count: int) -> Tensor:
    return torch.ones(3, 2, 4, count)


def test_one_region_is_enough() -> None:
    found = counterfactual(votes([3, 1, 1, 1], 3.5), white(4), strips(4), fill="mean")
    assert found.regions == (0,) and found.exact
    assert (found.prediction, found.becomes) == (0, 1)
    assert found.drop == pytest.approx(3) and found.area == pytest.approx(0.25)
    assert found.passes == 1 + 4


def test_the_smallest_set_with_the_largest_drop() -> None:
    # No single column takes the sum of 6 to 2 or less; of the pairs just (0, 1) and no other.
    found = counterfactual(votes([2, 3, 1, 0], 1.5), white(4), strips(4), fill="mean")
    assert found.regions == (0, 1) and found.exact and found.drop == pytest.approx(5)
    assert found.passes == 1 + 4 + 6


def test_a_large_drop_that_changes_nothing_is_no_counterfactual() -> None:
    def model(x: Tensor) -> Tensor:
        first, second = ((x[..., k].mean((1, 2, 3)) > 0.75).float() for k in (0, 1))
        # Without column 0 both classes fall far; without column 1 the first falls a little.
        return torch.stack([10 * first + second, 10 * first + 0.5], 1)

    found = counterfactual(model, white(2), strips(2), fill="mean")
    assert found.regions == (1,) and found.drop == pytest.approx(1)


def test_nothing_changes_it() -> None:
    found = counterfactual(votes([1, 1, 1], -1), white(3), strips(3), fill="mean")
    assert found.regions is None and found.becomes is None and found.exact
    assert found.passes == 1 + 7  # all sets


def test_beyond_the_budget_it_is_greedy_and_says_so() -> None:
    model = votes([5, 4, 3, 2, 1, 0], 3.5)  # sum 15: three regions must go
    found = counterfactual(model, white(6), strips(6), fill="mean", budget=10)
    assert found.regions == (0, 1, 2) and not found.exact
    assert found.passes == 1 + 6 + 5 + 4
    exact = counterfactual(model, white(6), strips(6), fill="mean")
    assert exact.regions == (0, 1, 2) and exact.exact


def test_batch_size_changes_nothing() -> None:
    sizes: list[int] = []
    inner = votes([2, 3, 1, 0], 1.5)

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return inner(x)

    small = counterfactual(model, white(4), strips(4), fill="mean", batch_size=2)
    assert max(sizes) == 2
    assert small == counterfactual(model, white(4), strips(4), fill="mean")


def test_masks_of_regions_add_up() -> None:
    assignment = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0)).softmax(1)
    masks = region_masks(assignment, (4, 8, 8))
    assert masks.shape == (3, 4, 8, 8)
    assert torch.allclose(masks.sum(0), torch.ones(4, 8, 8), atol=1e-5)
    with pytest.raises(WhyactError, match=r"Expected regions \(K, 2, 4, 4\)"):
        counterfactual(votes([1], 0), white(4), masks)


def test_a_greedy_search_gives_up_in_time() -> None:
    model = votes([1.0] * 12, -1)  # nothing changes it
    found = counterfactual(model, white(12), strips(12), fill="mean", budget=20)
    assert found.regions is None and not found.exact
    assert found.passes == 1 + 12 + 11 + 10  # a further round would make more than 40
