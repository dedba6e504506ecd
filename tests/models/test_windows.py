"""Windows over long videos."""

from typing import Literal

import pytest
import torch
from tests.nn.test_graph_split import Y, clips, model
from tests.toys import toy_output
from torch import Tensor

from whyact.config import DynamicPromptsConfig
from whyact.models.recognizer import VideoModel
from whyact.models.windows import video_evidence, window_starts, wish_evidence
from whyact.nn.backbone import BlindBackbone
from whyact.nn.contracts import WishScores
from whyact.types import WhyactError


class _TwoSteps(VideoModel):
    """Two steps of three classes: (6, 0, 0) and (1, 2, 3); asked by class, one more each."""

    can_be_asked = True
    logits = torch.tensor([[6.0, 0, 0], [1, 2, 3]])

    def __init__(self) -> None:
        super().__init__(backbone=BlindBackbone(width=4))

    def decode(self, tokens, grid, specification=None, boxes=None):  # type: ignore[no-untyped-def]
        bias = torch.zeros(3)
        return toy_output(
            1, frames=2, regions=1, bias=bias, contributions=self.logits[None, :, None] / 2
        )

    def score_wishes(self, tokens, grid, wished, boxes=None):  # type: ignore[no-untyped-def]
        frames = wished[None] @ (self.logits + 1).T
        return WishScores(frames.mean(2), frames)


def test_evidence_is_the_frame_logits_less_what_all_classes_share() -> None:
    model, clip = _TwoSteps(), torch.rand(3, 2, 8, 8)
    found, probability = wish_evidence(model, clip, torch.eye(3), softmax=True)
    assert found.tolist() == [[4, -2, -2], [-1, 0, 1]]
    # The clip's own logits are (3.5, 1, 1.5), and the mean over time has the same softmax.
    own = torch.tensor([3.5, 1, 1.5]).softmax(0)
    assert torch.allclose(probability, own)
    assert torch.allclose(found.mean(0).softmax(0), own)
    each, probability = wish_evidence(model, clip, torch.eye(3), softmax=False)
    assert each.tolist() == [[7, 1, 1], [2, 3, 4]]
    assert torch.allclose(probability, torch.tensor([4.5, 2, 2.5]).sigmoid())


@pytest.mark.parametrize("prompts", ["generated", "none"])
def test_a_model_that_was_never_asked_is_read_without_a_wish(prompts: Literal["generated", "none"]):
    made, clip = model("none", dynamic_prompts=DynamicPromptsConfig(type=prompts)), clips(1)
    found, probability = wish_evidence(made, clip[0], torch.eye(Y), softmax=False)
    output = made(clip)
    assert torch.allclose(found, output.frame_logits[0], atol=1e-6)
    assert torch.allclose(probability, output.logits[0].sigmoid(), atol=1e-6)
    several, _ = wish_evidence(made, clip[0], torch.tensor([[1.0, 1, 0]]), softmax=False)
    first = output.logits[0, :2].argmax()
    assert torch.allclose(several[:, 0], output.frame_logits[0, :, first], atol=1e-6)


def test_of_several_wished_classes_the_best_speaks_and_all_count() -> None:
    wished = torch.tensor([[0.0, 1, 1], [1, 0, 0]])
    found, probability = wish_evidence(_TwoSteps(), torch.rand(3, 2, 8, 8), wished, softmax=True)
    assert found.tolist() == [[-2, 4], [1, -1]]
    own = torch.tensor([3.5, 1, 1.5]).softmax(0)
    assert torch.allclose(probability, torch.stack([own[1] + own[2], own[0]]))


def test_windows_cover_the_video_and_end_with_it() -> None:
    assert window_starts(10, 4, 2) == [0, 2, 4, 6]
    assert window_starts(9, 4, 4) == [0, 4, 5]
    assert window_starts(3, 4, 2) == [0] and window_starts(4, 4, 2) == [0]
    with pytest.raises(WhyactError, match="4 frames cannot move by 5"):
        window_starts(10, 4, 5)


def test_a_frame_gets_the_mean_of_the_windows_that_see_it() -> None:
    seen: list[tuple[int, int]] = []

    def score(start: int, stop: int) -> Tensor:
        """Two time steps, each the mean of its half of the window; and the window's start."""
        seen.append((start, stop))
        frames = torch.arange(start, stop).float()
        halves = torch.stack([h.mean() for h in frames.chunk(2)])
        return torch.stack([halves, frames[:1].expand(2)], 1)

    found = video_evidence(score, length=8, window=4)
    assert seen == [(0, 4), (2, 6), (4, 8)]
    assert found[:, 0].tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5]
    assert found[:, 1].tolist() == [0, 0, 1, 1, 3, 3, 4, 4]
