"""From words to a specification: a model's classes by index, by name and by free text."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.types import WhyactError

Encoder = Callable[[Sequence[str]], Tensor]
"""Maps n sentences to their embeddings (n, E)."""


class Vocabulary:
    """The classes that can be asked for.

    Free text means the classes whose names are closest to it in the encoder's space: the best one
    and those whose cosine is within ``margin`` of it.

    Args:
        names: of the classes, in label order.
        encoder: of sentences, such as `whyact.models.sentence_encoder.load_encoder`; without one
            only indices and names are understood.
        least: cosine below which text means none of the classes. margin: see above.
    """

    def __init__(
        self, *, names: Sequence[str], encoder: Encoder | None = None, least: float = 0.3,
        margin: float = 0.05,
    ) -> None:  # fmt: skip
        self.names = tuple(names)
        self.encoder, self.least, self.margin = encoder, least, margin
        self._embedded: Tensor | None = None

    def specification(self, wanted: int | str | Sequence[int | str]) -> Tensor:
        """(Y,) of 0 and 1: the classes that one wish is for.

        Args:
            wanted: an index, a name or free text, or several of these.

        Raises:
            WhyactError: an index or a name that is none, or text that is like no class.
        """
        items = [wanted] if isinstance(wanted, int | str) else list(wanted)
        wish = torch.zeros(len(self.names))
        for item in items:
            wish[self._classes(item)] = 1.0
        return wish

    def _classes(self, item: int | str) -> list[int]:
        if isinstance(item, int):
            if not 0 <= item < len(self.names):
                raise WhyactError(
                    f"There is no class {item}; the model has {len(self.names)}, from 0."
                )
            return [item]
        plain = [_plain(name) for name in self.names]
        if item in self.names:
            return [self.names.index(item)]
        if _plain(item) in plain:
            return [plain.index(_plain(item))]
        return self._like(item)

    def _like(self, text: str) -> list[int]:
        if self.encoder is None:
            near = difflib.get_close_matches(_plain(text), map(_plain, self.names), 1, cutoff=0.0)
            raise WhyactError(
                f"The model has no class '{text}'. Did you mean '{near[0]}'? Free text needs a "
                "sentence encoder (whyact.models.sentence_encoder.load_encoder)."
            )
        if self._embedded is None:
            spoken = [name.replace("_", " ") for name in self.names]
            self._embedded = F.normalize(self.encoder(spoken).float(), dim=-1)
        fit = self._embedded @ F.normalize(self.encoder([text]).float(), dim=-1)[0]
        best = float(fit.max())
        if best < self.least:
            raise WhyactError(
                f"'{text}' is like none of the model's classes (least cosine {self.least}); the "
                f"closest is '{self.names[int(fit.argmax())]}' with {best:.2f}."
            )
        return torch.nonzero(fit >= best - self.margin).flatten().tolist()


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
