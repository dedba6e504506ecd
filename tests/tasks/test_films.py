"""Films in memory: each page its own, and the longest unused make room."""

import pytest
import torch

from whyact.data.film import Film
from whyact.tasks import films
from whyact.tasks.films import FilmStore
from whyact.types import WhyactError


def film(name: str) -> Film:
    """30 kB of frames."""
    return Film(name, torch.zeros(3, 1, 100, 100, dtype=torch.uint8), torch.zeros(1))


def test_a_page_gets_its_own_films_only() -> None:
    store = FilmStore()
    mine, other = store.page(), store.page()
    assert mine != other and len(mine) >= 32 and store.knows(mine) and not store.knows("guess")
    name = store.put(mine, film("a"))
    assert store.get(mine, name).name == "a"
    for token in (other, "", "guess"):
        with pytest.raises(WhyactError, match="open it again"):
            store.get(token, name)


def test_what_was_not_used_for_longest_goes_first() -> None:
    store = FilmStore(megabytes=0.065)  # two films
    token = store.page()
    a, b = store.put(token, film("a")), store.put(token, film("b"))
    store.get(token, a)
    c = store.put(token, film("c"))
    assert store.get(token, a).name == "a" and store.get(token, c).name == "c"
    with pytest.raises(WhyactError, match="open it again"):
        store.get(token, b)


def test_a_film_larger_than_the_room_is_held_alone() -> None:
    store = FilmStore(megabytes=0.01)
    token = store.page()
    assert store.get(token, store.put(token, film("a"))).name == "a"


def test_old_pages_are_forgotten_with_their_films(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "PAGES", 2)
    store = FilmStore()
    first, second = store.page(), store.page()
    name = store.put(first, film("a"))
    assert store.knows(first)  # in use, so the second is the oldest now
    third = store.page()
    assert store.knows(first) and store.knows(third) and not store.knows(second)
    store.page()
    store.page()
    with pytest.raises(WhyactError, match="open it again"):
        store.get(first, name)
