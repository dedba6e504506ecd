"""Films that a server holds in memory for the pages that opened them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from whyact.data.film import Film
from whyact.types import WhyactError

PAGES = 256
"""Open pages that are known at once; the oldest are forgotten first."""


class FilmStore:
    """Films by page; a page reaches only its own, and those of the server.

    Args:
        megabytes: of decoded frames; beyond, what was not used for longest goes.
    """

    def __init__(self, *, megabytes: float = 1024) -> None:
        self.room = megabytes * 1e6
        self._films: OrderedDict[tuple[str, str], Film] = OrderedDict()
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def page(self) -> str:
        """The secret of a new page."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[token] = None
            while len(self._tokens) > PAGES:
                old, _ = self._tokens.popitem(last=False)
                for key in [k for k in self._films if k[0] == old]:
                    del self._films[key]
        return token

    def knows(self, token: str) -> bool:
        """Whether a secret is that of a page; a page in use is forgotten last."""
        with self._lock:
            if token in self._tokens:
                self._tokens.move_to_end(token)
            return token in self._tokens

    def put(self, token: str, film: Film, name: str = "") -> str:
        """Hold a film for a page, under a name that is returned."""
        name = name or secrets.token_urlsafe(8)
        with self._lock:
            self._films[token, name] = film
            while len(self._films) > 1 and sum(map(_size, self._films.values())) > self.room:
                self._films.popitem(last=False)
        return name

    def get(self, token: str, name: str) -> Film:
        """A film of a page.

        Raises:
            WhyactError: the page has none of that name, or has it no longer.
        """
        with self._lock:
            if (token, name) not in self._films:
                raise WhyactError("This clip is not held, or no longer; open it again.")
            self._films.move_to_end((token, name))
            return self._films[token, name]


def _size(film: Film) -> int:
    return film.frames.nbytes
