"""Reading and writing the config tree; an unknown name is an error with the nearest one."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from whyact.config import Config
from whyact.types import WhyactError


def names(kind: type = Config, prefix: str = "") -> Iterator[str]:
    """All settings of the tree with dots, groups included: ``model``, ``model.code_width``, …"""
    hints = get_type_hints(kind)
    for f in fields(cast(Any, kind)):
        yield f"{prefix}{f.name}"
        if is_dataclass(hints[f.name]):
            yield from names(cast(type, hints[f.name]), f"{prefix}{f.name}.")


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")


def nearest(name: str, choices: Sequence[str]) -> str:
    """The most similar choice; a name in the wrong group finds the group it belongs to."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.85)
    tail = name.rsplit(".", 1)[-1]
    by_tail = [c for c in choices if c.rsplit(".", 1)[-1] == tail]
    return (close or by_tail or difflib.get_close_matches(name, choices, n=1, cutoff=0.0))[0]


def check_names(used: Sequence[str], where: str) -> None:
    """Fail at the first setting that does not exist.

    Raises:
        WhyactError: names ``where``, the setting and the nearest one that exists.
    """
    known = list(names())
    for name in used:
        if name not in known:
            raise WhyactError(
                f"{where}: there is no setting '{name}'. Did you mean '{nearest(name, known)}'?"
            )


def parser() -> ArgumentParser:
    """A parser of every setting as a flag, ``--model.code_width 64``."""
    made = ArgumentParser(exit_on_error=False, description="Settings")
    made.add_class_arguments(Config, None, fail_untyped=True)
    return made


def load_yaml(path: Path, kind: str) -> Any:
    """What a YAML file holds; ``kind`` names it where it isn't there."""
    if not path.is_file():
        raise WhyactError(f"{path}: no such {kind}.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise WhyactError(f"{path}: not valid YAML: {error}") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The settings of one YAML file, checked for names that do not exist."""
    path = Path(path)
    tree = load_yaml(path, "config file")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise WhyactError(f"{path}: expected settings as 'name: value', got {type(tree).__name__}.")
    tree = nested(tree)
    check_names(list(_flatten(tree)), str(path))
    return tree


def nested(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings with dots in their names as a tree; a group without any setting is left out."""
    tree: dict[str, Any] = {}
    groups = {n.rsplit(".", 1)[0] for n in names() if "." in n}

    def add(items: Mapping[Any, Any], prefix: str) -> None:
        nonlocal tree
        for key, value in items.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping) and value:
                add(value, f"{name}.")
            elif name not in groups or value not in (None, {}):
                inner = value
                for part in reversed(name.split(".")):
                    inner = {part: inner}
                tree = merge(tree, inner)

    add(settings, "")
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the settings of ``over`` on top, group by group."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merge(cast(Any, old), value) if both else value
    return result


def from_dict(tree: Mapping[str, Any], where: str = "config") -> Config:
    """Build the typed tree; missing settings keep their defaults.

    Raises:
        WhyactError: an unknown name, or a value of the wrong type or outside the choices.
    """
    tree = nested(tree)
    check_names(list(_flatten(tree)), where)
    _check_groups(tree, where)
    return _typed(lambda p: p.parse_object(cast(Any, tree)), where)


def _check_groups(tree: Mapping[str, Any], where: str, kind: type = Config, at: str = "") -> None:
    hints = get_type_hints(kind)
    for key, value in tree.items():
        if value is None:
            raise WhyactError(f"{where}: {at}{key}: expected a value, got none.")
        if not is_dataclass(hints[key]):
            continue
        if not isinstance(value, Mapping):
            raise WhyactError(f"{where}: {_no_value(f'{at}{key}', value)}")
        _check_groups(value, where, cast(type, hints[key]), f"{at}{key}.")


def _no_value(group: str, value: object) -> str:
    inside = next(n for n in names() if n.startswith(f"{group}."))
    return f"{group} is a group of settings, such as {inside}; it cannot be '{value}'."


def load_config(
    paths: Sequence[str | Path] = (), flags: Sequence[str] = (), base: Config | None = None
) -> Config:
    """Read configs, each on top of the one before, then flags on top.

    Args:
        paths: YAML files.
        base: what they are put on; the defaults if None.
        flags: ``["--model.code_width", "96"]`` or ``["--model.code_width=96"]``.

    Raises:
        WhyactError: names the file or flag, the value, and the nearest setting or the choices.
    """
    tree: dict[str, Any] = {} if base is None else asdict(base)
    for path in paths:
        tree = merge(tree, read_yaml(path))
    where = " + ".join(map(str, paths)) or "config"
    config = from_dict(tree, where)
    if not flags:
        return config
    used = [f[2:].split("=", 1)[0].removesuffix("+") for f in flags if f.startswith("--")]
    check_names(used, "command line")
    defaults = asdict(config)
    return _typed(lambda p: _with_defaults(p, defaults, list(flags)), "command line")


def _with_defaults(p: ArgumentParser, tree: dict[str, Any], flags: list[str]) -> Namespace:
    p.set_defaults({k: v for k, v in leaves(tree)})
    return p.parse_args(flags)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a tree, with dots in their names, and their values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _typed(parse: Any, where: str) -> Config:
    made = parser()
    try:
        values = made.instantiate(parse(made))
    except ArgumentError as error:
        raise WhyactError(f"{where}: {_readable(str(error))}") from error
    return Config(**{f.name: values[f.name] for f in fields(Config)})


def _readable(text: str) -> str:
    """Jsonargparse's complaint about a value, in words that name the choices."""
    group = re.search(r'Parser key "([\w.]+)":\s+Unable to load config \'(.*?)\'', text, re.DOTALL)
    if group:
        return _no_value(group[1], group[2])
    found = re.search(r'key "([\w.]+)":\s+Expected an? (.+)\. Got value: (.*)', text, re.DOTALL)
    if not found:
        return " ".join(text.split())
    name, kind, value = found[1], found[2], found[3].strip()
    literal = re.search(r"Literal\[(.+?)\]", kind)
    if not literal:
        words = {"<class 'int'>": "a whole number", "<class 'float'>": "a number",
                 "<class 'bool'>": "true or false", "<class 'str'>": "text",
                 "<class 'list'>": "a list in brackets, such as [a, b]"}  # fmt: skip
        return f"{name}: expected {words.get(kind, kind)}, got '{value}'."
    choices = literal[1].replace("'", "").split(", ")
    close = difflib.get_close_matches(value, choices, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{name}: expected one of {', '.join(choices)}; got '{value}'.{hint}"


def to_yaml(config: Config) -> str:
    """The resolved tree as YAML, readable by `load_config`."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def to_json(config: Config) -> str:
    """The resolved tree as one line of JSON."""
    return json.dumps(asdict(config), ensure_ascii=False)


def builtin_config(name: str) -> Path:
    """A config that comes with the package, e.g. ``demo``."""
    here = Path(__file__).resolve().parent
    for folder in (here / "configs", here.parent.parent / "configs"):
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    raise WhyactError(f"{name}.yaml is neither in the checkout's configs/ nor in the installation.")
