"""What a live page asks, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from whyact.data.builders import middle_view, transforms
from whyact.data.film import Film, Limits, read_film
from whyact.report.explanation_page import clip_data, explanation_page, live_page
from whyact.tasks.films import FilmStore
from whyact.tasks.what_if import Changes, what_if
from whyact.tasks.what_if_json import read_changes
from whyact.training.checkpoint import LoadedModel
from whyact.types import WhyactError

SERVER = ""
"""Whose the films are that were named on the command line: every page's."""


class Answers:
    """What a live page can ask.

    Args:
        loaded: the model. limits: of films. store: where films are held.
        clips: files that every page offers.
    """

    def __init__(
        self, *, loaded: LoadedModel, limits: Limits, store: FilmStore, clips: Sequence[Path] = ()
    ) -> None:
        self.loaded, self.limits, self.store = loaded, limits, store
        self.transform = _transform(loaded)
        self.offered = {f"clip-{i}": path for i, path in enumerate(clips)}
        self.first = self.explained(SERVER, "clip-0") if clips else []
        self.seconds = self.film(SERVER, "clip-0").seconds if clips else 0.0

    def page(self) -> str:
        """A new page, with a secret of its own."""
        return live_page(self.first, {
            "token": self.store.page(),
            "model": self.loaded.config.name,
            "clips": [{"id": k, "name": p.name} for k, p in self.offered.items()],
            "seconds": self.seconds,
            "limits": {"bytes": self.limits.bytes, "seconds": self.limits.seconds},
        })  # fmt: skip

    def upload(self, token: str, name: str, data: bytes) -> dict[str, Any]:
        """Open a film for a page and explain it."""
        film = read_film(data, name, self.transform, self.limits)
        found = what_if(self.loaded, film, Changes())  # a film that cannot be explained isn't held
        clip = {"id": self.store.put(token, film), "name": name}
        return {"opened": clip, "seconds": film.seconds, **clip_data(found)}

    def what_if(self, token: str, asked: Any) -> dict[str, Any]:
        """Explain a clip under changes: ``{"clip": id, "changes": {...}, "class": name}``."""
        clip, changes, target = self._asked(token, asked)
        data = clip_data(self.explained(token, clip, changes, target), changes.in_words())
        return {**data, "seconds": self.film(token, asked["clip"]).seconds}

    def saved(self, token: str, asked: Any) -> str:
        """The same as a static page, which says what was changed."""
        clip, changes, target = self._asked(token, asked)
        found = self.explained(token, clip, changes, target)
        return explanation_page(found, changed=changes.in_words())

    def explained(
        self, token: str, clip: str, changes: Changes | None = None, target: int | None = None
    ) -> list[dict[str, Any]]:
        """JSON values of a film of a page; arguments as of `whyact.tasks.what_if.what_if`."""
        return what_if(self.loaded, self.film(token, clip), changes or Changes(), target)

    def film(self, token: str, clip: str) -> Film:
        """A film of a page or of the server.

        Raises:
            WhyactError: there is none of that name.
        """
        if clip not in self.offered:
            return self.store.get(token, clip)
        try:
            return self.store.get(SERVER, clip)
        except WhyactError:  # not read yet, or gone to make room
            path = self.offered[clip]
            film = read_film(_bytes(path), path.name, self.transform, self.limits)
            self.store.put(SERVER, film, clip)
            return film

    def _asked(self, token: str, asked: Any) -> tuple[str, Changes, int | None]:
        if not isinstance(asked, dict) or set(asked) - {"clip", "changes", "class"}:
            raise WhyactError("Expected an object with 'clip', and perhaps 'changes' and 'class'.")
        clip, name = asked.get("clip"), asked.get("class")
        if not isinstance(clip, str):
            raise WhyactError("'clip' must be the name of a clip.")
        if name is not None and name not in self.loaded.classes:
            raise WhyactError("The model has no such class.")
        changes = read_changes(
            asked.get("changes", {}), self.loaded.config.data.clip.frames,
            lambda donor: self.film(token, donor),
        )  # fmt: skip
        return clip, changes, None if name is None else self.loaded.classes.index(name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WhyactError(
            f"{path.name}: cannot be read: {error.strerror}. whyact serve takes video files."
        ) from error


def _transform(loaded: LoadedModel) -> Callable[[Tensor], Tensor]:
    """Frames (3, n, H, W) to the size of the model, as for the middle view of a test clip."""
    _, middle = transforms(middle_view(loaded.config.data), loaded.classes)
    return lambda frames: middle(frames, None)[0]
