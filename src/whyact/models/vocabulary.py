"""From words to a specification: a model's classes by index, by name and by free text."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional as F

from whyact.types import WhyactError

Wanted = int | str | Sequence[int | str]
"""A wish: a class by index, name or free text, or several of these."""
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

    def specification(self, wanted: Wanted) -> Tensor:
        """(Y,) of 0 and 1: the classes that one wish is for.

        Args:
            wanted: an index (in digits too, where no class is called so), a name or free text, or
                several of these.

        Raises:
            WhyactError: an index or a name that is none, text that is like no class, or what is
                neither.
        """
        wish = torch.zeros(len(self.names))
        for item in items(wanted):
            wish[self._classes(item)] = 1.0
        return wish

    def title(self, wanted: Wanted) -> str:
        """A wish as it was asked for, with the names of classes in place of their indices."""
        return " + ".join(
            item if isinstance(item, str) and not self._is_index(item)
            else self.names[self._classes(item)[0]]
            for item in items(wanted)
        )  # fmt: skip

    def _is_index(self, text: str) -> bool:
        return text.isdecimal() and text not in self.names

    def _classes(self, item: int | str) -> list[int]:
        if isinstance(item, str) and self._is_index(item):
            item = int(item)
        if not isinstance(item, str):
            # A flag among flags would be read as class 0 or 1.
            if isinstance(item, bool) or not isinstance(item, Integral):
                raise WhyactError(
                    f"A wish is a class by index, name or free text, or several; got {item!r}."
                )
            if not 0 <= item < len(self.names):
                raise WhyactError(
                    f"There is no class {item}; the model has {len(self.names)}, from 0."
                )
            return [int(item)]
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
                "sentence encoder (--encoder FOLDER, whyact.models.sentence_encoder.load_encoder)."
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


def items(wanted: Wanted) -> list[int | str]:
    """What a wish is made of."""
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        return [wanted]
    return list(wanted)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
