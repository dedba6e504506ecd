"""The command line: ``whyact train``, ``evaluate``, ``explain`` and the other commands."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import rich
from rich.console import Console

from whyact.cli_ablate import add_ablate_options, run_ablate
from whyact.cli_asking import add_asking_options, run_measures, run_timelines
from whyact.cli_audit import add_audit_options, run_audit
from whyact.cli_codes import add_codes_options, run_codes
from whyact.cli_data import add_data_options, run_data
from whyact.cli_figure import add_figure_options, run_figure
from whyact.cli_serve import add_serve_options, run_serve
from whyact.cli_tables import print_comparison, print_record, print_scores
from whyact.config import Config
from whyact.config_io import load_config, names, nearest
from whyact.types import WhyactError

EPILOG = """\
Every setting of the config tree is a flag: --model.spatial_graph.type grid
whyact COMMAND --help lists a command's own options; whyact settings lists the tree."""


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    top = argparse.ArgumentParser(
        prog="whyact", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Recognise the action in a video, show why, and prove it.",
    )  # fmt: skip
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made: dict[str, argparse.ArgumentParser] = {}

    def add(name: str, text: str, configs: bool = False) -> argparse.ArgumentParser:
        made[name] = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        # Suppressed, so that it does not undo a --debug before the command.
        made[name].add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if configs:
            made[name].add_argument(
                "--config", action="append", default=[], metavar="FILE",
                help="YAML settings; several are merged, later ones on top",
            )  # fmt: skip
        return made[name]

    add("train", "train a recogniser", True).add_argument(
        "--resume", action="store_true", help="go on from the run's last checkpoint"
    )
    one = add("evaluate", "score a checkpoint on its test splits", True)
    one.add_argument("checkpoint", nargs="?", default="", help="runs/<name>, or a checkpoint in it")
    one.add_argument("--splits", nargs="+", default=[], help="default: data.test of the config")
    one.add_argument("--output", default="", help="folder of the record")
    one.add_argument(
        "--class-map", default="", metavar="FILE",
        help="rows 'class of the data,class of the model', for a set with other classes",
    )  # fmt: skip
    one.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    one.add_argument(
        "--explain", default="", metavar="METHOD[,METHOD…]",
        help="measure explanations instead: native, grad_cam, occlusion, …",
    )  # fmt: skip
    one.add_argument("--clips", type=int, default=200, help="to explain, of each split")
    one.add_argument(
        "--rerun", type=int, default=50, help="of these, for metrics that explain again"
    )
    one.add_argument("--workers", type=int, default=1, help="processes that explain")
    one.add_argument(
        "--metric-steps", type=int, default=8, metavar="N",
        help="of deletion and insertion, with 4 N parts of infidelity; below 8 ROAD takes one "
        "share of the clip, below 4 none; for slow models",
    )  # fmt: skip
    one.add_argument(
        "--bf16", action="store_true", help="explain with the backbone in bf16: faster, rounded"
    )
    one = add("compare", "compare two evaluations clip by clip")
    one.add_argument("first", help="folder of a split's evaluation, e.g. runs/a/evaluation/test")
    one.add_argument("second", help="the other one; differences are second minus first")
    one.add_argument("--output", default="", metavar="FILE", help="JSON to write")
    for name, text in (("predict", "name the action in videos"), ("explain", "show why")):
        one = add(name, text)
        one.add_argument("checkpoint", help="runs/<name>, or a checkpoint in it")
        one.add_argument("paths", nargs="+", help="video files, folders or globs")
        one.add_argument("--device", default="cpu")
    made["predict"].add_argument("--top", type=int, default=5, help="classes to list")
    made["explain"].add_argument(
        "--action", default="", help="class to explain; default: predicted"
    )
    made["explain"].add_argument("--output", default="explanations", help="folder of the results")
    made["explain"].add_argument(
        "--counterfactual", action="store_true",
        help="find the smallest set of regions whose removal changes the prediction",
    )  # fmt: skip
    made["explain"].add_argument(
        "--html", action="store_true",
        help="test each explanation; write a page a clip, and index.html over all",
    )  # fmt: skip
    made["explain"].add_argument(
        "--test-steps", type=int, default=6, metavar="N",
        help="with --html: steps of the tests, 20 forward passes a clip each; 0 leaves them out",
    )  # fmt: skip
    add_asking_options(made["evaluate"], made["explain"])
    add_ablate_options(add("ablate", "train a grid of settings x seeds and tabulate it", True))
    add_audit_options(add("audit", "audit any video model for leaning on the background"))
    add_codes_options(add("codes", "show what the codes of models hold, and where they look", True))
    add_data_options(add("data", "check, prepare or shard a data set; generate Backdrop", True))
    add_figure_options(add("figure", "make a picture for a paper"))
    add_serve_options(add("serve", "open the explanation page with a live model: what if?"))
    add("settings", "list every setting with its default", True)
    add("demo", "generate data, train, evaluate and explain, in ten minutes", True)
    made["demo"].add_argument("--output", default="runs/demo")
    return top, made


def _train(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.train import train

    result = train(config, resume=args.resume)
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        print_scores(result.scores, str(result.folder))
        for split in result.scores:
            print_record(split, result.folder / "evaluation" / split)
    return 0


def _evaluate(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.evaluate import evaluate
    from whyact.tasks.folds import fold_runs
    from whyact.training.checkpoint import find_checkpoint, read_metadata

    other = [f for f in args.flags if f.startswith("--") and not f.startswith("--data.")]
    if args.checkpoint and other:
        raise WhyactError(
            f"{other[0]}: a trained model keeps its settings; whyact evaluate changes data only."
        )
    target = args.checkpoint or f"{config.output}/{config.name}"
    trained, _, _ = read_metadata(find_checkpoint(next(iter(fold_runs(target)), target)))
    asked = load_config(args.config, args.flags, base=trained)
    if args.localise or args.named:
        return run_measures(args, target, asked)
    if args.explain:
        return _evaluate_explanations(args, target, asked)
    scores = evaluate(
        target, splits=args.splits, data=asked, output=args.output, class_map=args.class_map,
        device=args.device,
    )  # fmt: skip
    print_scores(scores, target)
    folder = Path(args.output or f"{target}/evaluation")
    for split in scores:
        print_record(split, folder / split)
    return 0


def _compare(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.compare import compare

    found = compare(args.first, args.second, output=args.output)
    print_comparison(found)
    return 0


def _evaluate_explanations(args: argparse.Namespace, target: str, data: Config | None) -> int:
    from whyact.report.explanation_table import markdown
    from whyact.tasks.explanations import measure_explanations

    n = args.metric_steps
    settings = {} if n == 8 else {"steps": n, "parts": 4 * n}
    if n < 8:
        settings["fractions"] = (0.5,) if n >= 4 else ()
    for split in args.splits or [""]:
        folder = f"{args.output}/{split}" if args.output and len(args.splits) > 1 else args.output
        table = measure_explanations(
            target, args.explain.split(","), split=split, clips=args.clips, rerun=args.rerun,
            data=data, output=folder, workers=args.workers, settings=settings, bf16=args.bf16,
        )  # fmt: skip
        print(markdown(table))
    return 0


def _predict(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.predict import predict

    found = predict(args.checkpoint, args.paths, top_k=args.top, device=args.device)
    for one in found:
        print(json.dumps(vars(one), ensure_ascii=False))
    return 1 if any(one.error for one in found) else 0


def _explain(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.explain import explain

    if args.timeline:
        return run_timelines(args)
    found = explain(
        args.checkpoint, args.paths, action=args.action or None, output=args.output,
        device=args.device, counterfactual=args.counterfactual, html=args.html,
        test_steps=args.test_steps,
    )  # fmt: skip
    for one in found:
        print(one.error or f"{one.source}: {one.page or one.picture}")
        if one.found:
            print(f"  {one.found}")
    return 1 if any(one.error for one in found) else 0


def _settings(args: argparse.Namespace, config: Config) -> int:
    from whyact.config_io import to_yaml

    print(to_yaml(config), end="")
    return 0


def _demo(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.demo import demo

    demo(output=args.output, configs=args.config, flags=args.flags)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, Config], int]] = {
    "train": _train, "evaluate": _evaluate, "predict": _predict, "explain": _explain,
    "compare": _compare, "ablate": run_ablate, "data": run_data, "settings": _settings,
    "demo": _demo, "figure": run_figure, "audit": run_audit, "codes": run_codes,
    "serve": run_serve,
}  # fmt: skip


def _split_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and flags of settings with their values.

    argparse would take the value of an option that it does not know for an argument of its own.
    """
    rest, settings = [], []
    words = iter(argv)
    known = set(names())
    for word in words:
        name = word.split("=", 1)[0]
        if "." in name and name[2:].removesuffix("+") in known and name.startswith("--"):
            settings += [word] if "=" in word else [word, *itertools.islice(words, 1)]
        else:
            rest.append(word)
    return rest, settings


def _check_flags(parser: argparse.ArgumentParser, flags: Sequence[str], configs: bool) -> None:
    own = [o for a in parser._actions for o in a.option_strings if o.startswith("--")]
    for flag in flags:
        name = flag.split("=", 1)[0]
        if not flag.startswith("--") or (configs and "." in name):
            continue
        known = [f"--{n}" for n in names()] if configs else []
        if name not in known:
            raise WhyactError(
                f"There is no option '{name}'. Did you mean '{nearest(name, own + known)}'?"
            )
    if flags and not configs:
        raise WhyactError(f"Did not understand '{' '.join(flags)}'; see whyact --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 some inputs failed, 2 an error of use."""
    rich.reconfigure(stderr=True)  # progress bars leave the output to results
    top, commands = _parser()
    given, settings = _split_settings(sys.argv[1:] if argv is None else argv)
    args, flags = top.parse_known_args(given)
    args.flags = flags = [*settings, *flags]
    try:
        configs = hasattr(args, "config")
        _check_flags(commands[args.command], flags, configs)
        paths = [*getattr(args, "configs", []), *args.config] if configs else []
        config = load_config(paths, flags) if configs and args.command != "demo" else Config()
        return COMMANDS[args.command](args, config)
    except WhyactError as error:
        if args.debug:
            raise
        Console(stderr=True).print(
            f"whyact: {error}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        print("whyact: interrupted; go on with --resume where there is a run.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
