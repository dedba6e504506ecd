"""Hashes of the contents of clips."""

from __future__ import annotations

import hashlib
from pathlib import Path

from whyact.data.frame_folder import frame_files
from whyact.types import WhyactError


def content_hash(path: Path) -> str:
    """SHA-256 over a clip's bytes; for a folder, over those of its frames in their order."""
    digest = hashlib.sha256()
    try:
        for file in frame_files(path) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    except (OSError, WhyactError) as error:
        return f"unreadable: {type(error).__name__}"
    return digest.hexdigest()
