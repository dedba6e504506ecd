"""The command ``whyact audit``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path

from whyact.cli_options import only_data
from whyact.config import Config
from whyact.config_io import load_config

VERDICT = {"leans": "red", "no_skill": "red", "partly": "yellow", "none_found": "green"}


def add_audit_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact audit`` takes."""
    one.add_argument(
        "model",
        help="runs/<name>, torchvision:NAME, timm:NAME, hf:FOLDER, FILE.pt (TorchScript) or "
        "FILE.onnx",
    )
    one.add_argument(
        "--data", dest="config", action="append", default=[], metavar="CONFIG",
        help="YAML settings of the clips; several are merged. Default: a run's own, and Backdrop "
        "for others",
    )  # fmt: skip
    one.add_argument("--split", default="", help="default: the first of data.test")
    one.add_argument("--clips", type=int, default=200, help="drawn from the split, at most")
    one.add_argument(
        "--seed", type=int, default=0, dest="audit_seed", metavar="N", help="of all that is drawn"
    )
    one.add_argument(
        "--output", default="", metavar="DIR",
        help="of page and record; default: audits/<model>/<split>",
    )  # fmt: skip
    one.add_argument(
        "--masks", default="auto",
        help="given, motion, auto (given, else motion), none, or the TorchScript file of a "
        "segmentation model",
    )  # fmt: skip
    one.add_argument(
        "--explainer", default="occlusion", help="occlusion, integrated_gradients or none"
    )
    one.add_argument("--explained", type=int, default=50, help="clips that it explains")
    one.add_argument("--layer", default="", help="module to read the scene from, e.g. backbone")
    one.add_argument("--class-map", default="", metavar="FILE", help="see whyact evaluate")
    one.add_argument("--fail-below", nargs="+", action="extend", default=[],
                     metavar="MEASURE=NUMBER",
                     help="exit with 1 where a mean is lower, e.g. contrasted=0.5")  # fmt: skip
    one.add_argument("--fail-above", nargs="+", action="extend", default=[],
                     metavar="MEASURE=NUMBER",
                     help="… or higher, e.g. background_reliance=0.2")  # fmt: skip
    one.add_argument("--weights", default="", help="state dict for torchvision and timm models")
    one.add_argument("--frames", type=int, default=0, help="that the model takes; default: its own")
    one.add_argument("--size", type=int, default=0, help="side in pixels; default: its own")
    one.add_argument(
        "--mean", type=float, nargs=3, default=[], help="of red, green and blue that it expects"
    )
    one.add_argument("--std", type=float, nargs=3, default=[], help="see --mean")
    one.add_argument("--batch-size", type=int, default=16, help="clips a forward pass")
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")


def run_audit(args: argparse.Namespace, config: Config) -> int:
    """Run the command; 1 where a bound does not hold."""
    from rich.console import Console

    from whyact.data.builders import build_dataset, middle_view
    from whyact.models.foreign import Wanted
    from whyact.report.audit_page import sentences
    from whyact.tasks.audit import audit
    from whyact.tasks.audited import open_model, own_config

    only_data(args.flags, "whyact audit takes a model as it is and changes data only")
    base = own_config(args.model)
    config = load_config(args.config, args.flags, base=base)
    data = middle_view(config.data)
    split = args.split or config.data.test[0]
    # Made when it is first needed, so that a typo in the model's name costs no data.
    dataset = cache(lambda: build_dataset(data, split, train=False, seed=0))
    wanted = Wanted(
        weights=args.weights, classes=lambda: len(dataset().classes), frames=args.frames,
        size=args.size, mean=tuple(args.mean), std=tuple(args.std), seed=args.audit_seed,
    )  # fmt: skip
    opened = open_model(args.model, wanted, args.device)
    output = args.output or Path("audits") / _folder_name(args.model) / split
    found = audit(
        opened, dataset, clips=args.clips,
        seed=args.audit_seed, masks=args.masks, explainer=args.explainer,
        explained=args.explained, layer=args.layer, class_map=args.class_map,
        fail_below=args.fail_below, fail_above=args.fail_above, output=output,
        source={"type": data.type, "split": split, "config": asdict(data)},
        batch_size=args.batch_size, device=args.device, workers=data.workers,
    )  # fmt: skip
    said = found.record["verdict"]
    Console().print(said["text"], style=VERDICT.get(said["level"]), markup=False)
    print(*sentences(found.record), f"Page and record: {output}", sep="\n")
    for text in found.failed:
        print(f"whyact: bound failed: {text}", file=sys.stderr)
    return 1 if found.failed else 0


def _folder_name(model: str) -> str:
    """A folder for a model's name."""
    name = model.removeprefix("runs/").strip("/.")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
