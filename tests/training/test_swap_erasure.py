"""Erasing what swapped actors and backgrounds change: on clips whose every pixel is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.toys import toy_output
from torch import Tensor, nn

from whyact.config import Config
from whyact.models.builders import build_model
from whyact.tasks.train import train
from whyact.training.erasure import erase_swaps
from whyact.types import ActionOutput, Batch, WhyactError

SIDE = 16


def batch(count: int, seed: int = 0, soft: bool = False) -> Batch:
    """Each clip: a square of one grey, its actor, before another grey, its background.

    With ``soft`` it is not sure where the actor is, as motion never is.
    """
    g = torch.Generator().manual_seed(seed)
    actor, behind = torch.rand(2, count, 1, 1, 1, 1, generator=g)
    mask = torch.zeros(count, 2, SIDE, SIDE)
    mask[..., 4:12, 4:12] = 1
    background = behind.expand(count, 3, 2, SIDE, SIDE)
    video = torch.where(mask[:, None] > 0, actor, background)
    mask = 0.2 + 0.4 * mask if soft else mask
    return Batch(
        video=video, label=torch.zeros(count, dtype=torch.int64), nuisance=torch.zeros(count),
        ids=tuple(map(str, range(count))), foreground=mask, background=background,
    )  # fmt: skip


class _Greys(nn.Module):
    """Action code: a mixture of the actor's grey and the background's; nuisance code: another."""

    kept: tuple[Tensor, Tensor]

    def erase(self, action: Tensor | None = None, nuisance: Tensor | None = None) -> None:
        if action is not None and nuisance is not None:
            self.kept = action, nuisance

    def forward(self, video: Tensor) -> ActionOutput:
        actor, behind = video[:, 0, 0, 8, 8], video[:, 0, 0, 0, 0]
        code = torch.stack([actor + 0.3 * behind, actor - 0.3 * behind], 1)
        count = len(video)
        return toy_output(
            count, 1, 1, action_code=code.view(count, 1, 1, 2),
            nuisance_code=code.flip(1).view(count, 1, 1, 2),
        )  # fmt: skip


@pytest.mark.parametrize("soft", [False, True])
def test_action_codes_lose_the_background_and_nuisance_codes_the_actor(soft: bool) -> None:
    model = _Greys().train()
    clips = [batch(40, s, soft) for s in range(5)]
    erase_swaps(model, clips, above=0.5)  # type: ignore[arg-type]
    assert model.training
    action, nuisance = model.kept
    actor, behind = torch.tensor([[1.0, 1.0]]), torch.tensor([[0.3, -0.3]])  # what each adds
    torch.testing.assert_close(actor @ action, actor, atol=0.15, rtol=0)
    assert (behind @ action).abs().max() < 0.03
    assert (actor.flip(1) @ nuisance).abs().max() < 0.1
    torch.testing.assert_close(behind.flip(1) @ nuisance, behind.flip(1), atol=0.08, rtol=0)


def test_too_few_actors_are_refused() -> None:
    nobody = batch(8)
    assert nobody.foreground is not None
    nobody.foreground.zero_()
    with pytest.raises(WhyactError, match="needs 4 clips with an actor that moves, but 3 of"):
        erase_swaps(_Greys(), [batch(3), nobody, batch(2)], above=0.5)  # type: ignore[arg-type]


def config(root: Path, output: Path) -> Config:
    made = Config(output=str(output))
    made.data.type, made.data.root, made.data.test = "backdrop", str(root), ["iid"]
    made.data.clip.frames = 4
    made.data.transform.size = made.data.transform.short_side = 32
    made.data.backdrop.clips, made.data.backdrop.eval_clips = 160, 4
    made.model.backbone.type, made.model.backbone.width = "small", 16
    made.training.epochs, made.training.batch_size, made.training.device = 2, 16, "cpu"
    made.training.erase_above = 0.5
    return made


def test_a_training_ends_with_an_erasure_and_baselines_have_none(tmp_path) -> None:
    made = config(tmp_path / "data", tmp_path / "runs")
    run = train(made).folder
    saved = [load_file(run / "checkpoints" / n / "model.safetensors") for n in ("best", "last")]
    for one in saved:
        assert not torch.equal(one["kept_action"], torch.eye(64))
        assert not torch.equal(one["kept_nuisance"], torch.eye(64))
    made.name, made.training.erase_above = "all", 1.0
    without = load_file(train(made).folder / "checkpoints" / "last" / "model.safetensors")
    for name, tensor in without.items():  # training itself goes on with all of the codes
        assert torch.equal(tensor, saved[1][name]) != name.startswith("kept"), name
    made.training.erase_above = 0.5
    made.name, made.model.type = "plain", "pooled"
    assert train(made).folder.is_dir()
    made.name, made.model.type, made.training.cache_tokens = "cached", "whyact", 2
    with pytest.raises(WhyactError, match=r"goes with neither training\.cache_tokens"):
        train(made)


def test_nothing_erased_changes_no_digit_and_zero_stays_zero() -> None:
    model = build_model(config(Path(), Path()).model, classes=3, scenes=2, seed=0).eval()
    x = torch.rand(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        before = model(x)
        model.erase(torch.eye(64), torch.eye(64))
        after = model(x)
    assert torch.equal(before.logits, after.logits)
    model.erase(torch.zeros(64, 64), torch.zeros(64, 64))
    nothing = model(x)
    assert not nothing.action_code.any() and not nothing.nuisance_code.any()
    torch.testing.assert_close(nothing.logits, nothing.bias.expand(2, -1))


def test_clips_without_a_foreground_get_one_and_unreadable_batches_are_left_out() -> None:
    """As those of video files, in which an actor moves before a background that stands."""
    g = torch.Generator().manual_seed(1)
    behind = torch.rand(24, 3, 1, 32, 32, generator=g).expand(-1, -1, 4, -1, -1).clone()
    for t in range(4):
        behind[:, :, t, 2:14, 4 + 5 * t : 12 + 5 * t] = torch.rand(24, 3, 1, 1, generator=g)
    made = replace(batch(24), video=behind, foreground=None, background=None)
    model = _Greys()
    erase_swaps(model, [made, made.rows(torch.arange(0))], above=0.5)  # type: ignore[arg-type]
    with_truth = _Greys()
    mask = torch.zeros(24, 4, 32, 32)
    for t in range(4):
        mask[:, t, 2:14, 4 + 5 * t : 12 + 5 * t] = 1
    erase_swaps(with_truth, [replace(made, foreground=mask)], above=0.5)  # type: ignore[arg-type]
    for found, expected in zip(model.kept, with_truth.kept, strict=True):
        torch.testing.assert_close(found, expected, atol=0.1, rtol=0)
        assert not torch.allclose(found, torch.eye(2), atol=0.1)  # something is erased
