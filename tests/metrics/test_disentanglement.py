"""Probes and kernels on codes whose leaks are planted."""

import pytest
import torch
from torch import Tensor

from whyact.metrics.disentanglement import Leakage, dependence, halves, leakage, train_probe
from whyact.types import WhyactError

CLASSES = 4


def factors(n: int, seed: int, correlation: float = 0.0) -> tuple[Tensor, Tensor]:
    """Action and nuisance; the nuisance is the action's own with the given probability."""
    generator = torch.Generator().manual_seed(seed)
    action = torch.randint(CLASSES, (n,), generator=generator)
    free = torch.randint(CLASSES, (n,), generator=generator)
    tied = torch.rand(n, generator=generator) < correlation
    return action, torch.where(tied, action, free)


def noise(n: int, width: int, seed: int) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def one_hot(labels: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(labels, CLASSES).float()


def measure(make, correlation: float = 0.0) -> Leakage:  # type: ignore[no-untyped-def]
    """Leakage of the nuisance from the code ``make(action, nuisance, seed)``."""
    (a, z), (ta, tz) = factors(400, 0, correlation), factors(300, 1, correlation)
    return leakage(
        make(a, z, 2), z, a, make(ta, tz, 3), tz, ta,
        classes=CLASSES, hidden=32, steps=150, permutations=2,
    )  # fmt: skip


def test_a_clean_code_is_at_the_floor() -> None:
    found = measure(lambda a, z, s: one_hot(a) + 0.1 * noise(len(a), CLASSES, s))
    assert found.linear.mean is not None and found.mlp.mean is not None
    assert found.linear.mean < 0.25 + 0.09 and found.mlp.mean < 0.25 + 0.09
    for floor in (found.majority, found.permuted, found.correlation):
        assert floor == pytest.approx(0.25, abs=0.08)
    assert found.floor == max(found.majority, found.permuted, found.correlation, 1 / CLASSES)
    assert (found.linear.clips, found.classes) == (300, CLASSES)


def test_both_halves_have_as_many_of_every_pair() -> None:
    first = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1, 1, 1])
    second = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 1, 1])
    train, test = halves(first, second, seed=3)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(10))
    for rows in (train, test):
        pairs = sorted(zip(first[rows].tolist(), second[rows].tolist(), strict=True))
        assert pairs == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 1)]
    assert any(not torch.equal(train, halves(first, second, seed=s)[0]) for s in range(3))


def test_a_perfect_code_is_not_below_chance_on_crossed_halves() -> None:
    a, z = (x.flatten().repeat(4) for x in torch.meshgrid(*[torch.arange(CLASSES)] * 2))
    train, test = halves(a, z)
    code = one_hot(a) + 0.05 * noise(len(a), CLASSES, 0)
    found = leakage(
        code[train], z[train], a[train], code[test], z[test], a[test], classes=CLASSES, steps=150
    )
    assert found.linear.mean == pytest.approx(1 / CLASSES, abs=0.07)


def test_a_leak_is_read() -> None:
    found = measure(lambda a, z, s: one_hot(z) + 0.1 * noise(len(z), CLASSES, s))
    assert found.linear.mean == 1 and found.mlp.mean == 1
    assert found.permuted == pytest.approx(0.25, abs=0.08)


def test_correlated_data_leak_through_a_perfect_code() -> None:
    """With 0.6 the action alone gives the nuisance away in 0.6 + 0.4 / 4 of the clips."""
    found = measure(lambda a, z, s: one_hot(a), correlation=0.6)
    assert found.correlation == pytest.approx(0.7, abs=0.06)
    assert found.linear.mean == pytest.approx(found.correlation, abs=0.02)
    assert found.floor == found.correlation > found.majority + 0.3


def test_the_guess_from_the_other_factor_falls_back_on_the_commonest_label() -> None:
    """Value 0 has both labels alike, 1 has label 1 only, and 2 is new: 1 is the guess for all."""
    labels, other = torch.tensor([0, 0, 1, 1] + [1] * 6), torch.tensor([0] * 4 + [1] * 6)
    found = leakage(
        noise(10, 2, 0), labels, other,
        noise(4, 2, 1), torch.tensor([1, 1, 1, 0]), torch.tensor([0, 2, 2, 2]),
        classes=2, hidden=2, steps=1, permutations=1,
    )  # fmt: skip
    assert found.correlation == 0.75


def test_an_xor_leak_passes_the_linear_probe_and_not_the_mlp() -> None:
    def xor(a: Tensor, z: Tensor, seed: int) -> Tensor:
        key = torch.randint(2, (len(z), 2), generator=torch.Generator().manual_seed(seed))
        bits = torch.stack([z // 2, z % 2], 1)
        return torch.cat([key, key ^ bits], 1).float() * 2 - 1

    found = measure(xor)
    assert found.linear.mean is not None and found.linear.mean < 0.4
    assert found.mlp.mean is not None and found.mlp.mean > 0.98


def test_constant_and_broken_codes() -> None:
    found = measure(lambda a, z, s: torch.ones(len(a), 3))
    assert found.linear.mean == pytest.approx(found.majority, abs=0.08)
    with pytest.raises(WhyactError, match="no finite numbers"):
        measure(lambda a, z, s: torch.full((len(a), 3), float("nan")))


def test_probes_are_reproducible_and_leave_the_global_generator_alone() -> None:
    codes, labels = noise(50, 3, 0), factors(50, 0)[0]
    state = torch.get_rng_state()
    first = train_probe(codes, labels, classes=CLASSES, hidden=8, steps=20)
    assert torch.equal(torch.get_rng_state(), state)
    second = train_probe(codes, labels, classes=CLASSES, hidden=8, steps=20)
    assert torch.equal(first(codes), second(codes))
    other = train_probe(codes, labels, classes=CLASSES, hidden=8, steps=20, seed=1)
    assert not torch.equal(first(codes), other(codes))
    with pytest.raises(WhyactError, match="at least ten clips"):
        train_probe(codes[:5], labels[:5], classes=CLASSES)


def test_a_scaled_code_leaks_as_much() -> None:
    """A code that hides by shrinking is standardised first."""
    z = factors(300, 0)[1]
    code = 1e-4 * one_hot(z) + 5
    probe = train_probe(code, z, classes=CLASSES, steps=100)
    assert float((probe(code).argmax(1) == z).float().mean()) == 1


def test_dependence() -> None:
    action, nuisance = noise(60, 3, 0), noise(60, 3, 1)
    apart = dependence(action, nuisance, permutations=60)
    same = dependence(action, action, permutations=60)
    assert apart.p_value is not None and apart.p_value > 0.05
    assert same.p_value == pytest.approx(1 / 61) and same.hsic == pytest.approx(1)
    few = dependence(action[:3], nuisance[:3])
    assert (few.hsic, few.p_value, few.clips) == (None, None, 3)
    assert dependence(action, nuisance[:, :0]).hsic is None


@pytest.mark.parametrize("each", [1, 3])
def test_odd_pairs_leave_every_scene_in_both_halves(each: int) -> None:
    """Taken in turn, ten scenes once with each of eight actions would train on every other one."""
    action = torch.arange(8).repeat_interleave(10).repeat(each)
    scene = torch.arange(10).repeat(8 * each)
    train, test = halves(action, scene)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(80 * each))
    for factor, values in ((action, 8), (scene, 10)):
        counts = [factor[half].bincount(minlength=values) for half in (train, test)]
        assert (counts[0] - counts[1]).abs().max() <= 1
