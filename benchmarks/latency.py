"""What the modules and the explanation cost, as medians of the ratios of rounds in one run.

python benchmarks/latency.py --output docs/results/latency.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from captum.attr import LayerGradCam
from torch import nn
from torchvision.models import video

from whyact.config import BackboneConfig, ModelConfig
from whyact.explainers.native import explain_output
from whyact.models.builders import build_model
from whyact.tasks.ablation.costs import interleaved, ratio
from whyact.tasks.explain import graph_rounds
from whyact.training.record import environment

CLASSES = 400


def _model(kind: str) -> nn.Module:
    backbone = BackboneConfig(type="resnet18", motion="shift")
    return build_model(ModelConfig(type=kind, backbone=backbone), classes=CLASSES).eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON record")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    clip = torch.rand(args.batch, 3, args.frames, args.size, args.size)
    pooled, full = _model("pooled"), _model("whyact")
    network = video.r3d_18(num_classes=CLASSES).eval()
    grad_cam = LayerGradCam(network, network.layer4)
    target = torch.zeros(args.batch, dtype=torch.long)

    def without_gradients(call: Callable[[], object]) -> Callable[[], object]:
        return torch.no_grad()(call)

    seconds = interleaved(
        {
            "resnet18_backbone": without_gradients(lambda: pooled.encode(clip)),
            "resnet18_pooled": without_gradients(lambda: pooled(clip)),
            "resnet18_whyact": without_gradients(lambda: full(clip)),
            "explain_native": without_gradients(
                lambda: explain_output(
                    full(clip, traced=True), clip.shape[2:], path_length=graph_rounds(full)
                )
            ),
            "r3d18": without_gradients(lambda: network(clip)),
            "r3d18_captum_grad_cam": lambda: grad_cam.attribute(clip, target),
        },
        args.rounds,
    )

    def over(above: str, below: str) -> dict[str, float]:
        return ratio(seconds[above], seconds[below])

    record = {
        "shape": [args.batch, 3, args.frames, args.size, args.size],
        "rounds": args.rounds,
        "modules_over_backbone": over("resnet18_whyact", "resnet18_backbone"),
        "modules_over_pooled": over("resnet18_whyact", "resnet18_pooled"),
        "native_explanation_over_forward": over("explain_native", "resnet18_whyact"),
        "captum_grad_cam_over_forward": over("r3d18_captum_grad_cam", "r3d18"),
        "seconds": seconds,
        **environment(torch.device("cpu"), []),
    }
    for name, value in record.items():
        if isinstance(value, dict) and "median" in value:
            low, high = value["lower_quartile"], value["upper_quartile"]
            print(f"{name}: {value['median']:.3f} (quartiles {low:.3f}–{high:.3f})")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
