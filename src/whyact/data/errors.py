"""The error of everything that reads video."""

from __future__ import annotations

from pathlib import Path

from whyact.types import WhyactError


class VideoError(WhyactError):
    """A video that cannot be read: ``path`` and ``reason``."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = Path(path), reason

    def __reduce__(self) -> tuple[type[VideoError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)  # so that it crosses from a loader process
