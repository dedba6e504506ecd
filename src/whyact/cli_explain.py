"""The commands ``whyact predict`` and ``whyact explain``."""

from __future__ import annotations

import argparse
import json

from whyact.cli_options import add_threshold, given, refuse
from whyact.config import Config

OF_CLIPS = ("counterfactual", "html", "test_steps")
OF_TIMELINES = ("window", "threshold", "least_score")
"""Options of ``whyact explain`` that need ``--timeline``, and those above that cannot have it."""


def add_predict_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact predict`` takes."""
    _add_inputs(one)
    one.add_argument("--top", type=int, default=5, help="classes to list")


def _add_inputs(one: argparse.ArgumentParser) -> None:
    one.add_argument("checkpoint", help="runs/<name>, or a checkpoint in it")
    one.add_argument("paths", nargs="+", help="video files, folders or globs")
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    one.add_argument(
        "--boxes", default="", metavar="FILE",
        help="table of persons and objects, for a model that reads them; default: the run's own",
    )  # fmt: skip


def run_predict(args: argparse.Namespace, config: Config) -> int:
    """Print a line of JSON a video; 1 where one could not be read."""
    from whyact.tasks.predict import predict

    found = predict(
        args.checkpoint, args.paths, top_k=args.top, boxes=args.boxes, device=args.device
    )
    for one in found:
        print(json.dumps(vars(one), ensure_ascii=False))
    return 1 if any(one.error for one in found) else 0


def add_explain_options(one: argparse.ArgumentParser) -> None:
    """Declare what ``whyact explain`` takes."""
    _add_inputs(one)
    one.add_argument(
        "--action", action="append", metavar="NAME",
        help="class to explain by name or index, or free text with --encoder; once for each of "
        "several; default: the predicted one",
    )  # fmt: skip
    one.add_argument(
        "--encoder", metavar="FOLDER",
        help="sentence encoder, so that --action may be free text",
    )  # fmt: skip
    one.add_argument("--output", default="explanations", help="folder of the results")
    one.add_argument(
        "--counterfactual", action="store_true", default=None,
        help="find the smallest set of regions whose removal changes the prediction",
    )  # fmt: skip
    one.add_argument(
        "--html", action="store_true", default=None,
        help="test each explanation; write a page a clip, and index.html over all",
    )  # fmt: skip
    one.add_argument(
        "--test-steps", type=int, metavar="N",
        help="with --html: steps of the tests, 20 forward passes a clip each, 6 by default; 0 "
        "leaves them out",
    )  # fmt: skip
    one.add_argument(
        "--timeline", action="store_true",
        help="with --action, instead: stream the whole video, say when it happens, write a page",
    )  # fmt: skip
    timeline = one.add_argument_group("with --timeline")
    timeline.add_argument(
        "--window", type=float, metavar="SECONDS",
        help="that the model sees at once; default: as in training",
    )  # fmt: skip
    add_threshold(timeline)
    timeline.add_argument(
        "--least-score", type=float, metavar="PROBABILITY",
        help="of an interval, 0.5 by default: less than that is not found",
    )  # fmt: skip


def run_explain(args: argparse.Namespace, config: Config) -> int:
    """Explain clips, or with ``--timeline`` whole videos; 1 where one could not be read."""
    if args.timeline:
        return _timelines(args)
    refuse(args, OF_TIMELINES, "belongs to --timeline; add --timeline and --action NAME")
    if not args.html:
        refuse(args, ("test_steps",), "is of the tests that pages show; add --html")
    if args.action is None:
        refuse(args, ("encoder",), "reads the text of --action; add it")
    from whyact.tasks.explain import explain

    found = explain(
        args.checkpoint, args.paths, output=args.output, device=args.device, boxes=args.boxes,
        **given(args, ("action", "encoder", *OF_CLIPS)),
    )  # fmt: skip
    for one in found:
        print(one.error or f"{one.source}: {one.page or one.picture}")
        for line in filter(None, (one.when, one.found)):
            print(f"  {line}")
    return 1 if any(one.error for one in found) else 0


def _timelines(args: argparse.Namespace) -> int:
    """Make and print the timeline of every video; one that cannot be read costs no other."""
    from whyact.data.errors import VideoError
    from whyact.report.timeline import words
    from whyact.tasks.explain import unused_stem
    from whyact.tasks.inputs import find_clips
    from whyact.tasks.timeline import timeline

    refuse(args, OF_CLIPS, "is of clips, and --timeline writes a page of its own; call explain "
            "again without --timeline for it")  # fmt: skip
    code, stems = 0, set[str]()
    for path in find_clips(args.paths):
        try:
            found = timeline(
                args.checkpoint, path, args.action or [], output=args.output, device=args.device,
                boxes=args.boxes, stem=unused_stem(path.stem, stems),
                **given(args, ("encoder", *OF_TIMELINES)),
            )  # fmt: skip
        except VideoError as error:
            print(error)
            code = 1
            continue
        print(f"{found.source}: {found.page}")
        for action, intervals in found.intervals.items():
            print(f"  {action}: {', '.join(map(words, intervals)) or 'not found'}")
    return code
