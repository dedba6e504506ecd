"""Motion in the features, and the contract of backbones from other packages."""

import av
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from whyact.nn.backbone import SmallBackbone, TemporalShift, with_differences
from whyact.nn.narrow_r3d import narrow_r3d_18
from whyact.nn.pretrained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    efficientnet_lite0,
    torchvision_backbone,
)
from whyact.types import WhyactError


def test_temporal_shift_by_hand():
    x = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]).view(3, 4, 1, 1)
    shifted = TemporalShift(share=0.25)(x, 3).view(3, 4).tolist()
    assert shifted == [[5, 0, 3, 4], [9, 2, 7, 8], [0, 6, 11, 12]]


def test_differences_by_hand():
    x = torch.tensor([1.0, 4.0, 9.0]).view(1, 1, 3, 1, 1)
    assert with_differences(x).view(2, 3).tolist() == [[1, 4, 9], [0, 3, 5]]


@pytest.mark.parametrize("motion", ["none", "difference", "shift"])
@pytest.mark.parametrize("kind", ["small", "resnet18"])
def test_a_token_sees_as_far_as_the_backbone_says(kind: str, motion: str) -> None:
    torch.manual_seed(0)
    small = kind == "small"
    network = (
        SmallBackbone(width=16, motion=motion, top_down=True)
        if small
        else torchvision_backbone(name=kind, motion=motion)
    ).eval()
    assert network.reach == {"none": 0, "difference": 1, "shift": 3 if small else 8}[motion]
    video = torch.rand(1, 3, 20, 32, 32)
    changed = video.clone()
    changed[:, :, 10] = torch.rand(3, 32, 32)
    with torch.no_grad():
        gap = (network(video) - network(changed)).abs().amax((0, 1, 3, 4))
    seen = [t for t in range(20) if gap[t] > 0]
    # A difference looks back only, so a change is seen later only.
    assert seen[-1] == 10 + network.reach
    assert seen[0] == (10 if motion == "difference" else 10 - network.reach)


def test_the_grid_is_fine_enough_for_an_outline():
    features = SmallBackbone(width=16)(torch.rand(1, 3, 2, 112, 112))
    assert features.shape == (1, 16, 2, 14, 14)


def test_top_down_tokens_are_twice_as_fine_and_read_both_stages() -> None:
    torch.manual_seed(0)
    network = SmallBackbone(width=16, top_down=True).eval()
    video = torch.rand(1, 3, 2, 64, 64)
    with torch.no_grad():
        fine = network(video)
        coarse = SmallBackbone(width=16)(video)
        network.lateral.weight.zero_()
        network.lateral.bias.zero_()
        deep = network(video)  # the enlarged last stage alone
    assert fine.shape == (1, 16, 2, 16, 16) and coarse.shape == (1, 16, 2, 8, 8)
    assert not torch.allclose(fine, deep)
    assert deep.abs().max() > 0


@pytest.mark.parametrize("motion", ["shift", "difference"])
def test_motion_is_seen_and_none_does_not_see_it(motion):
    video = torch.rand(1, 3, 4, 32, 32)
    backwards = video.flip(2)
    seeing = SmallBackbone(width=16, motion=motion).eval()
    blind = SmallBackbone(width=16, motion="none").eval()
    assert not torch.allclose(seeing(video).mean(2), seeing(backwards).mean(2), atol=1e-5)
    assert torch.allclose(blind(video).mean(2), blind(backwards).mean(2), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "motion", "grid"),
    [("resnet18", "shift", (2, 2)), ("mobilenet_v3_small", "difference", (2, 2))],
)
def test_image_networks_run_per_frame(name, motion, grid):
    backbone = torchvision_backbone(name=name, motion=motion).eval()
    features = backbone(torch.rand(1, 3, 3, 64, 64))
    assert features.shape == (1, backbone.width, 3, *grid)


FAMILIES = {
    "alexnet": 256, "densenet121": 1024, "googlenet": 1024, "inception_v3": 2048,
    "maxvit_t": 512, "mnasnet0_5": 1280, "regnet_x_400mf": 400, "shufflenet_v2_x0_5": 1024,
    "squeezenet1_0": 512, "swin_t": 768, "vit_b_32": 768,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_map_of_every_family_of_image_networks_is_found(name):
    backbone = torchvision_backbone(name=name).eval()
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 1, 224, 224))
    assert features.shape[:3] == (1, FAMILIES[name], 1) and backbone.width == FAMILIES[name]
    assert min(features.shape[3:]) >= 5


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(WhyactError, match=r"'resnet18' has no layer 'layer9'"):
        torchvision_backbone(name="resnet18", layer="layer9")


def test_video_networks_report_their_width_and_time():
    backbone = torchvision_backbone(name="r3d_18").eval()
    assert backbone(torch.rand(1, 3, 8, 32, 32)).shape == (1, backbone.width, 1, 2, 2)


def test_weights_load_from_a_file_and_wrong_ones_are_refused(tmp_path):
    import torchvision

    torch.manual_seed(5)
    network = torchvision.models.resnet18(num_classes=7)
    torch.save(network.state_dict(), tmp_path / "r18.pt")
    save_file(network.state_dict(), tmp_path / "r18.safetensors")
    video = torch.rand(1, 3, 1, 64, 64)
    outputs = [
        torchvision_backbone(name="resnet18", weights=str(tmp_path / f)).eval()(video)
        for f in ("r18.pt", "r18.safetensors")
    ]
    expected = torch.nn.Sequential(*list(network.eval().children())[:-2])(video[:, :, 0])
    for found in outputs:
        assert torch.allclose(found[:, :, 0], expected, atol=1e-5)
    with pytest.raises(WhyactError, match="state dict of another network"):
        torchvision_backbone(name="mobilenet_v3_small", weights=str(tmp_path / "r18.pt"))
    with pytest.raises(WhyactError, match="no such weight file"):
        torchvision_backbone(name="resnet18", weights=str(tmp_path / "none.pt"))


def test_only_the_classifier_of_weights_may_have_another_shape(tmp_path):
    network = resnet18(num_classes=7)  # another classifier
    torch.save(network.state_dict(), tmp_path / "head.pt")
    torchvision_backbone(name="resnet18", weights=str(tmp_path / "head.pt"))
    stem = {**network.state_dict(), "conv1.weight": torch.zeros(64, 1, 7, 7)}
    torch.save(stem, tmp_path / "stem.pt")
    with pytest.raises(WhyactError, match=r"have another shape, e\.g\. 'conv1\.weight'"):
        torchvision_backbone(name="resnet18", weights=str(tmp_path / "stem.pt"))


def test_googlenet_has_no_block_to_shift():
    with pytest.raises(WhyactError, match="needs residual blocks, which 'googlenet' has not"):
        torchvision_backbone(name="googlenet", motion="shift")


def test_efficientnet_lite0_reads_pixels_as_its_weights_were_trained(shared_data):
    """On real frames the first layers' outputs have about the variance that training stored."""
    pytest.importorskip("efficientnet_lite_pytorch")
    made = efficientnet_lite0(weights="default").eval()
    frames = []
    for file in sorted(shared_data.glob("clips/*.mp4")):
        with av.open(str(file)) as film:
            frames.append(next(film.decode(video=0)).to_ndarray(format="rgb24"))
    images = [torch.from_numpy(f[:224, :224]).permute(2, 0, 1) / 255 for f in frames]
    convolution, norm = made.features[0], made.features[1]

    def gap(mean, std):
        seen = (torch.stack(images) - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
            3, 1, 1
        )
        found = convolution(seen).var((0, 2, 3))
        return float((found / norm.running_var).log().median().abs())

    with torch.no_grad():
        assert gap(made.mean, made.std) < 0.7 * gap(IMAGENET_MEAN, IMAGENET_STD)


def test_efficientnet_lite0_cuts_at_a_block_and_refuses_shift():
    pytest.importorskip("efficientnet_lite_pytorch")
    cut = efficientnet_lite0(layer="blocks.10").eval()
    assert cut(torch.rand(1, 3, 2, 64, 64)).shape == (1, 112, 2, 4, 4)
    with pytest.raises(WhyactError, match=r"has no layer 'blocks.99'"):
        efficientnet_lite0(layer="blocks.99")
    with pytest.raises(WhyactError, match="difference or none"):
        efficientnet_lite0(motion="shift")


def test_the_narrow_r3d_at_full_width_is_torchvisions() -> None:
    torch.manual_seed(0)
    whole = torchvision_backbone(name="r3d_18").eval()
    narrow = narrow_r3d_18(width=512).eval()
    assert narrow.width == 512 and (narrow.mean, narrow.std) == (whole.mean, whole.std)
    values = [v for k, v in whole.state_dict().items() if not k.endswith("num_batches_tracked")]
    own = {k: v for k, v in narrow.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert [v.shape for v in own.values()] == [v.shape for v in values]
    narrow.load_state_dict(dict(zip(own, values, strict=True)), strict=False)
    video = torch.rand(1, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(narrow(video), whole(video))


def test_the_narrow_r3d_is_narrow() -> None:
    features = narrow_r3d_18(width=20)(torch.rand(2, 3, 8, 32, 32))
    assert features.shape == (2, 20, 1, 2, 2)
    with pytest.raises(WhyactError, match=r"narrow_r3d_18 is at least 8, got 7"):
        narrow_r3d_18(width=7)


def test_3d_convolutions_train_in_full_precision_on_a_cpu() -> None:
    """Else bf16 gives NaN for 32 to 32 channels at 2x6x6 where memory is not clean."""
    network = narrow_r3d_18(width=64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.rand(2, 3, 8, 48, 48)).dtype == torch.float32
        with torch.no_grad():
            assert network(torch.rand(2, 3, 8, 48, 48)).dtype == torch.bfloat16
