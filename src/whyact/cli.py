"""The command line: ``whyact train``, ``evaluate``, ``explain`` and the other commands."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rich
from rich.console import Console

from whyact.cli_ablate import add_ablate_options, run_ablate
from whyact.cli_audit import add_audit_options, run_audit
from whyact.cli_codes import add_codes_options, run_codes
from whyact.cli_data import add_data_options, run_data
from whyact.cli_evaluate import add_compare_options, add_evaluate_options, run_compare, run_evaluate
from whyact.cli_explain import add_explain_options, add_predict_options, run_explain, run_predict
from whyact.cli_figure import add_figure_options, run_figure
from whyact.cli_serve import add_serve_options, run_serve
from whyact.cli_tables import print_record, print_scores
from whyact.config import Config
from whyact.config_io import load_config, names, nearest
from whyact.types import WhyactError

EPILOG = """\
Every setting of the config tree is a flag: --model.spatial_graph.type grid
whyact COMMAND --help lists a command's own options; whyact settings lists the tree."""


def _add_train_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")


def _train(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.train import train

    result = train(config, resume=args.resume)
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        print_scores(result.scores, str(result.folder))
        for split in result.scores:
            print_record(split, result.folder / "evaluation" / split)
    return 0


def _settings(args: argparse.Namespace, config: Config) -> int:
    from whyact.config_io import to_yaml

    print(to_yaml(config), end="")
    return 0


def _add_demo_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("--output", default="runs/demo", help="folder of everything")


def _demo(args: argparse.Namespace, config: Config) -> int:
    from whyact.tasks.demo import demo

    demo(output=args.output, configs=args.config, flags=args.flags)
    return 0


@dataclass(frozen=True)
class Command:
    """What it does in words, what runs it and gives the exit code, and its own options.

    With ``configs`` it takes ``--config``, and every setting as a flag.
    """

    text: str
    run: Callable[[argparse.Namespace, Config], int]
    add_options: Callable[[argparse.ArgumentParser], None] = lambda one: None
    configs: bool = False


COMMANDS = {
    "train": Command("train a recogniser", _train, _add_train_options, True),
    "evaluate": Command(
        "score a checkpoint on its test splits", run_evaluate, add_evaluate_options, True),
    "compare": Command("compare two evaluations clip by clip", run_compare, add_compare_options),
    "predict": Command("name the action in videos", run_predict, add_predict_options),
    "explain": Command(
        "show which regions, frames and prompts decided", run_explain, add_explain_options),
    "ablate": Command(
        "train a grid of settings x seeds and tabulate it", run_ablate, add_ablate_options, True),
    "audit": Command(
        "audit any video model for leaning on the background", run_audit, add_audit_options),
    "codes": Command(
        "show what the codes of models hold, and where they look", run_codes, add_codes_options,
        True),
    "data": Command(
        "check, prepare or shard a data set; generate Backdrop", run_data, add_data_options, True),
    "figure": Command("make a picture for a paper", run_figure, add_figure_options),
    "serve": Command(
        "serve the explanation page with a live model: what if?", run_serve, add_serve_options),
    "settings": Command("list every setting with its default", _settings, configs=True),
    "demo": Command(
        "generate data, train, evaluate and explain, in ten minutes", _demo, _add_demo_options,
        True),
}  # fmt: skip


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of an option that has one and does not say it in words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default in ("", False, None) or action.default == []
        if plain or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of everything, and that of each command by its name."""
    top = argparse.ArgumentParser(
        prog="whyact", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Recognise the action in a video, show why, and test it.",
    )  # fmt: skip
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name, help=command.text, description=command.text, allow_abbrev=False,
            formatter_class=_Help,
        )  # fmt: skip
        # Suppressed, so that it does not undo a --debug before the command.
        one.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if command.configs:
            one.add_argument(
                "--config", action="append", default=[], metavar="FILE",
                help="YAML settings; several are merged, later ones on top",
            )  # fmt: skip
        command.add_options(one)
    return top, commands.choices


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
        return COMMANDS[args.command].run(args, config)
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
