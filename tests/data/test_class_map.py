"""Clips of another set by the model's classes."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.training.toy_runs import ToyClips

from whyact.data.class_map import MappedDataset
from whyact.training.predictions import predict_dataset
from whyact.types import ActionOutput, Clip, Failure


class Pushes(ToyClips):
    """One clip of each class in two views, the second mirrored: left is right there."""

    classes, views = ("push left", "walk", "push right"), 2
    order = torch.tensor([2, 1, 0])

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        index, view = request
        clip = super().__getitem__((index, 0))
        assert isinstance(clip, Clip)
        seen = int(self.order[clip.label]) if view else int(clip.label)
        order = self.order if view else torch.arange(3)
        return replace(clip, video=torch.full_like(clip.video, 50 * seen), class_order=order)


class Sees(torch.nn.Module):
    """Knows what a view shows; its own classes are ``right``, ``none`` and ``left``."""

    def forward(self, video: torch.Tensor) -> ActionOutput:
        shown = (video.float().mean((1, 2, 3, 4)) * 255 / 50).round().long()
        own = torch.tensor([2, 1, 0])[shown]
        return type("Output", (), {"logits": 9.0 * torch.eye(3)[own]})()


def test_mirrored_views_are_read_in_the_order_of_the_model_s_classes() -> None:
    table = {"push left": "left", "push right": "right"}
    mapped = MappedDataset(Pushes(3), table=table, model_classes=("right", "none", "left"))
    columns = mapped.columns

    class Chosen(Sees):
        def forward(self, video: torch.Tensor) -> ActionOutput:
            made = super().forward(video)
            made.logits = made.logits[:, columns]
            return made

    found = predict_dataset(Chosen(), mapped, device=torch.device("cpu"))
    assert mapped.classes == ("right", "left") and found.labels.tolist() == [1, 0]
    assert found.logits.tolist() == [[0, 9], [9, 0]]
