"""A sentence encoder from a local folder, for wishes in free text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from whyact.extras import needed
from whyact.models.vocabulary import Encoder
from whyact.types import WhyactError


def load_encoder(folder: str | Path) -> Encoder:
    """Load an encoder in the layout of Sentence-Transformers (Reimers and Gurevych, EMNLP 2019).

    Sentences are the mean over their tokens, or the first token where ``1_Pooling/config.json``
    says so. Nothing is downloaded, and no code of the folder runs.

    Args:
        folder: of a transformer and its tokenizer, as ``save_pretrained`` writes them.

    Raises:
        WhyactError: no such folder, another pooling, or transformers is not installed.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise WhyactError(f"{folder}: no config.json; give the folder of a sentence encoder.")
    library = needed("transformers", "transformers", "A wish in free text")
    first = _first_token(folder / "1_Pooling" / "config.json")
    tokenizer = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = library.AutoModel.from_pretrained(str(folder), local_files_only=True).eval()

    @torch.no_grad()
    def encode(sentences: Sequence[str]) -> Tensor:
        words = tokenizer(list(sentences), padding=True, truncation=True, return_tensors="pt")
        states: Tensor = model(**words).last_hidden_state
        if first:
            return states[:, 0]
        real = words["attention_mask"].unsqueeze(-1).to(states)
        return (states * real).sum(1) / real.sum(1)

    return encode


def _first_token(file: Path) -> bool:
    """Whether a sentence is its first token; the mean where there is no such file."""
    if not file.is_file():
        return False
    asked = json.loads(file.read_text(encoding="utf-8"))
    modes = [name for name, on in asked.items() if name.startswith("pooling_mode_") and on is True]
    if modes not in (["pooling_mode_cls_token"], ["pooling_mode_mean_tokens"]):
        raise WhyactError(f"{file}: only mean or first-token pooling is known, found {modes}.")
    return modes == ["pooling_mode_cls_token"]
