"""What is erased from a code, by hand."""

import pytest
import torch
from torch import Tensor

from whyact.ops.erasure import erasing


def pairs(scale: tuple[float, ...] = (1.0, 1.0), n: int = 4000) -> tuple[Tensor, Tensor]:
    """Feature 0 is shared by the two of a pair, feature 1 is drawn anew for each."""
    g = torch.Generator().manual_seed(0)
    kept, one, other = torch.randn(3, n, generator=g)
    first, second = torch.stack([kept, one], 1), torch.stack([kept, other], 1)
    return first * torch.tensor(scale), second * torch.tensor(scale)


@pytest.mark.parametrize("scale", [(1.0, 1.0), (10.0, 0.1)])
def test_what_differs_within_pairs_is_erased_whatever_its_size(scale) -> None:
    erase = erasing(*pairs(scale), above=0.5)
    code = torch.tensor([[2.0, 0.0]]) * torch.tensor(scale)
    torch.testing.assert_close(code @ erase, code, atol=0.1 * scale[0], rtol=0)
    noise = torch.tensor([[0.0, 3.0]]) * torch.tensor(scale)
    assert ((noise @ erase) / torch.tensor(scale)).abs().max() < 0.15


def test_mixed_features_are_parted() -> None:
    """Features are a sum and a difference: no single one can be dropped."""
    mix = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    first, second = (x @ mix for x in pairs())
    erase = erasing(first, second, above=0.5)
    after, again = first @ erase, second @ erase
    assert (after - again).abs().max() < 0.4 and after.std(0).min() > 0.9
    torch.testing.assert_close(erase @ erase, erase, atol=1e-4, rtol=0)  # erased is erased


def test_codes_are_rows() -> None:
    """What is kept leans on the feature that is not: the map is oblique, and its sides differ."""
    kept, changing = torch.tensor([[2.0, 2.0], [0.0, 1.0]])
    first, second = (x @ torch.stack([kept, changing]) for x in pairs())
    erase = erasing(first, second, above=0.5)
    assert (changing @ erase).abs().max() < 0.05
    assert ((kept @ erase) / kept - 1).abs().max() < 0.05


def test_the_share_decides() -> None:
    g = torch.Generator().manual_seed(1)
    kept, one, other = torch.randn(3, 4000, 1, generator=g)
    first, second = kept + one, kept + other  # half of the variance is of the pair
    assert erasing(first, second, above=0.6) == pytest.approx(1.0, abs=1e-5)
    assert erasing(first, second, above=0.4) == pytest.approx(0.0, abs=1e-5)


def test_nothing_is_erased_of_codes_that_agree_or_are_constant() -> None:
    first, _ = pairs()
    torch.testing.assert_close(erasing(first, first, above=0.5), torch.eye(2))
    torch.testing.assert_close(erasing(first * 0, first * 0, above=0.5), torch.eye(2))
