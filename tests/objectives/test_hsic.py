"""HSIC against a slow transcription of its definition, on independent and dependent codes."""

import itertools
import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.toys import toy_batch, toy_output
from torch import Tensor

from whyact.objectives.hsic import Hsic
from whyact.ops.independence import (
    gaussian_kernel,
    normalised_hsic,
    permutation_p_value,
    unbiased_hsic,
)
from whyact.types import ActionOutput, WhyactError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def xor_codes(n: int = 128) -> tuple[Tensor, Tensor]:
    """The nuisance bit is the XOR of two action bits: no linear relation, full dependence."""
    bits = torch.randint(0, 2, (n, 2), generator=torch.Generator().manual_seed(3))
    hidden = (bits[:, 0] ^ bits[:, 1]).float()[:, None]
    return bits.float() + 0.05 * normal(n, 2), hidden + 0.05 * normal(n, 1, seed=1)


def test_estimate_is_the_u_statistic() -> None:
    first, second = gaussian_kernel(normal(5, 2)), gaussian_kernel(normal(5, 3, seed=1))
    # HSIC = E[k(1,2) l(1,2)] + E[k(1,2) l(3,4)] - 2 E[k(1,2) l(1,3)] over distinct clips.
    terms = [
        first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
        for i, j, q, r in itertools.permutations(range(5), 4)
    ]
    assert unbiased_hsic(first, second).item() == pytest.approx(
        float(sum(terms)) / len(terms), abs=1e-6
    )


def test_kernel_takes_the_median_distance() -> None:
    kernel = gaussian_kernel(torch.tensor([[0.0], [1.0], [3.0]]))
    # Distances 1, 2, 3; their median 2 is the bandwidth.
    expected = torch.exp(-torch.tensor([1.0, 4.0, 9.0]) / 8)
    assert torch.allclose(torch.stack([kernel[0, 1], kernel[1, 2], kernel[0, 2]]), expected)
    assert kernel.diagonal().tolist() == [1, 1, 1]


def test_equal_codes_score_one_and_scale_does_not_matter() -> None:
    code, other = normal(32, 4), normal(32, 4, seed=1) + normal(32, 4)
    assert normalised_hsic(code, code).item() == pytest.approx(1, abs=1e-4)
    scaled = normalised_hsic(0.01 * code, 100 * other)
    assert scaled.item() == pytest.approx(normalised_hsic(code, other).item(), rel=1e-3)


def test_independent_codes_score_zero_on_average() -> None:
    scores = [
        normalised_hsic(normal(32, 4, seed=s), normal(32, 4, seed=s + 500)) for s in range(60)
    ]
    spread = torch.stack(scores)
    assert spread.mean().abs() < 3 * spread.std() / len(scores) ** 0.5 + 1e-3


def test_xor_is_dependent_although_uncorrelated() -> None:
    action, nuisance = xor_codes()
    linear = torch.corrcoef(torch.cat([action, nuisance], 1).T)[:2, 2]
    assert linear.abs().max() < 0.2
    assert normalised_hsic(action, nuisance) > 0.15
    generator = torch.Generator().manual_seed(0)
    assert permutation_p_value(action, nuisance, 99, generator) == 0.01


def test_p_value_of_independent_codes_is_not_small() -> None:
    generator = torch.Generator().manual_seed(0)
    values = [
        permutation_p_value(normal(24, 2, seed=s), normal(24, 2, seed=s + 99), 39, generator)
        for s in range(20)
    ]
    # Uniform between 0 and 1: the mean of twenty has a standard deviation of 0.065.
    assert 0.3 < sum(values) / 20 < 0.7


def test_loss_reads_the_mean_codes_and_moves_both() -> None:
    output = toy_output(8, width=3)
    loss = Hsic().loss({"clip": output}, toy_batch(8), {})
    expected = normalised_hsic(
        output.mean_code(output.action_code), output.mean_code(output.nuisance_code)
    )
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert output.action_code.grad is not None and output.action_code.grad.abs().sum() > 0
    assert output.nuisance_code.grad is not None and output.nuisance_code.grad.abs().sum() > 0
    assert output.contributions.grad is None


def test_descending_makes_codes_independent() -> None:
    action, nuisance = xor_codes(64)
    mixing = torch.eye(2).requires_grad_()
    before = normalised_hsic(action @ mixing, nuisance).item()
    for _ in range(30):
        (slope,) = torch.autograd.grad(normalised_hsic(action @ mixing, nuisance), mixing)
        mixing = (mixing - 0.5 * slope).detach().requires_grad_()
    assert normalised_hsic(action @ mixing, nuisance).item() < 0.5 * before


def test_pasted_clips_are_read_where_there_are_enough() -> None:
    clip = toy_output(8, seed=1)
    for count, expected in ((5, "pasted"), (3, "clip")):
        outputs = {"clip": clip, "foreground_paste.pasted": toy_output(count, seed=2)}
        read = outputs["foreground_paste.pasted"] if expected == "pasted" else clip
        value = normalised_hsic(
            read.mean_code(read.action_code), read.mean_code(read.nuisance_code)
        )
        assert Hsic().loss(outputs, toy_batch(8), {}).item() == pytest.approx(value.item())


@pytest.mark.parametrize("output", [toy_output(3), toy_output(8, width=0)])
def test_too_few_clips_or_no_code_is_a_zero_that_can_be_trained_on(output: ActionOutput) -> None:
    loss = Hsic().loss({"clip": output}, toy_batch(len(output.logits)), {})
    loss.backward()
    assert loss.item() == 0


def test_equal_codes_of_all_clips_have_finite_gradients() -> None:
    code = torch.ones(6, 2, 2, 3).requires_grad_()
    loss = Hsic().loss({"clip": toy_output(6, frames=2, action_code=code)}, toy_batch(6), {})
    loss.backward()
    assert loss.isfinite() and code.grad is not None and code.grad.isfinite().all()


def test_p_value_is_logged_only_when_asked() -> None:
    outputs, generator = {"clip": toy_output(6)}, torch.Generator().manual_seed(0)
    assert Hsic().measures(outputs, toy_batch(6), {}, generator) == {}
    logged = Hsic(permutations=9).measures(outputs, toy_batch(6), {}, generator)
    assert 0.1 <= float(logged["hsic_p"]) <= 1
    with pytest.raises(WhyactError, match="hsic_permutations must be at least 0"):
        Hsic(permutations=-1)


def _codes(weight: Tensor, rows: slice) -> ActionOutput:
    inputs = normal(10, 4, seed=7)
    code = (inputs @ weight)[rows, None, None]
    other = (inputs.square() @ weight)[rows, None, None]
    return toy_output(len(code), frames=1, regions=1, action_code=code, nuisance_code=other)


def _worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    weight = normal(4, 3, seed=8).requires_grad_()
    rows = slice(0, 6) if rank == 0 else slice(6, 10)  # unequal on purpose
    loss = Hsic().loss({"clip": _codes(weight, rows)}, toy_batch(4), {})
    loss.backward()
    gradient = weight.grad.clone() / 2
    dist.all_reduce(gradient)  # the mean over processes, as distributed training takes it
    torch.save((loss.detach(), gradient), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: os.PathLike[str]) -> None:
    weight = normal(4, 3, seed=8).requires_grad_()
    whole = Hsic().loss({"clip": _codes(weight, slice(0, 10))}, toy_batch(10), {})
    whole.backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    for rank in range(2):
        loss, gradient = torch.load(f"{tmp_path}/{rank}.pt", weights_only=True)
        assert loss.item() == pytest.approx(whole.item(), abs=1e-6)
        assert weight.grad is not None
        assert torch.allclose(gradient, weight.grad, atol=1e-6)
