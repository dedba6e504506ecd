"""Packages that only an extra of the installation brings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from whyact.types import WhyactError


def needed(module: str, extra: str, by: str) -> Any:
    """An optional package.

    Args:
        module: to import. extra: that brings it. by: what needs it, in words.

    Raises:
        WhyactError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise WhyactError(
            f"{by} needs the package {module}: pip install 'whyact[{extra}]'."
        ) from error
