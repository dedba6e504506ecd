"""Two backbones as one: what each sees, and how they are joined."""

from __future__ import annotations

import pytest
import torch

from whyact.config import Config
from whyact.models.builders import build_model
from whyact.nn.backbone import SmallBackbone
from whyact.nn.two_stream import TwoStreamBackbone
from whyact.ops.motion_field import frame_changes
from whyact.types import WhyactError


def streams(fusion: str) -> TwoStreamBackbone:
    torch.manual_seed(0)
    one, two = SmallBackbone(width=16), SmallBackbone(width=32)
    return TwoStreamBackbone(pixels=one, motion=two, fusion=fusion).eval()


def test_late_fusion_keeps_the_streams_apart() -> None:
    net, video = streams("late"), torch.randn(2, 5, 4, 16, 16)
    maps = net(video)
    assert maps.shape == (2, 48, 4, 2, 2) and net.width == 48
    other = video.clone()
    other[:, 3:] += 1
    changed = net(other)
    assert torch.equal(changed[:, :16], maps[:, :16])
    assert not torch.allclose(changed[:, 16:], maps[:, 16:])


def test_mid_fusion_mixes_them() -> None:
    net, video = streams("mid"), torch.randn(2, 5, 4, 16, 16)
    assert net(video).shape == (2, 16, 4, 2, 2) and net.width == 16
    with pytest.raises(WhyactError, match=r"model\.fusion is 'early'"):
        streams("early")


@pytest.mark.parametrize("fusion", ["late", "mid"])
@pytest.mark.parametrize("kind", ["whyact", "pooled"])
def test_a_model_of_two_streams(fusion: str, kind: str) -> None:
    config = Config().model
    config.fusion, config.type, config.backbone.width = fusion, kind, 16
    model = build_model(config, classes=3, motion="difference").eval()
    video = torch.rand(2, 3, 4, 32, 32)
    output = model(video)
    both = model(torch.cat([video, frame_changes(video)], 1))
    assert torch.allclose(output.logits, both.logits)
    total = output.contributions.sum((1, 2)) + output.bias
    assert torch.allclose(total, output.logits, atol=1e-5)
    output.logits.sum().backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
    flow = build_model(config, classes=3, motion="raft")
    with pytest.raises(WhyactError, match=r"reads motion from 'raft' beside the pixels"):
        flow(video)


def test_a_3d_network_of_two_streams() -> None:
    config = Config().model
    config.fusion, config.type = "late", "cnn3d"
    config.backbone.type, config.backbone.width = "narrow_r3d_18", 8
    model = build_model(config, classes=3, motion="difference").eval()
    assert model(torch.rand(1, 3, 8, 32, 32)).logits.shape == (1, 3)


def test_a_second_stream_needs_both_settings() -> None:
    config = Config().model
    with pytest.raises(WhyactError, match=r"fusion is 'none' and data\.motion\.source 'dis'"):
        build_model(config, classes=3, motion="dis")
    config.fusion = "late"
    with pytest.raises(WhyactError, match=r"a second stream needs both, a single one neither"):
        build_model(config, classes=3)
