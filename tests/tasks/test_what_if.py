"""Changed clips and a changed model: what is cut, hidden, pasted and switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.live_server import untrained

from whyact.config import ClipConfig
from whyact.data.film import Film
from whyact.tasks.what_if import Box, Changes, Node, cut, edited, what_if
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.types import WhyactError

CLIP = ClipConfig(frames=4, sampling="segment")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(untrained(tmp_path_factory.mktemp("what-if")))


def film(frames: int = 8, size: int = 32, seed: int = 0) -> Film:
    """Noise before which a bright square moves to the right; a frame a second."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 60, (3, 1, size, size), generator=generator, dtype=torch.uint8)
    video = video.expand(-1, frames, -1, -1).clone()
    for t in range(frames):
        video[:, t, 10:22, 2 * t : 2 * t + 10] = 230
    return Film("noise", video, torch.arange(frames, dtype=torch.float64))


def test_a_trimmed_clip_is_sampled_from_what_is_left() -> None:
    """Four parts of eight seconds give seconds 1, 3, 5, 7; of seconds 2 to 5, every one."""
    one = film()
    video, times = cut(one, CLIP)
    assert times.tolist() == [1, 3, 5, 7] and torch.equal(video, one.frames[:, [1, 3, 5, 7]])
    assert cut(one, CLIP, (2.0, 5.0))[1].tolist() == [2, 3, 4, 5]
    assert cut(one, CLIP, (6.0, 6.0))[1].tolist() == [6, 6, 6, 6]
    with pytest.raises(WhyactError, match="no frame between 8"):
        cut(one, CLIP, (8.5, 9.0))


def test_a_box_hides_its_pixels_in_its_frames_and_no_others() -> None:
    clip = torch.rand(1, 3, 4, 8, 8)
    box = Box(left=0.25, top=0.5, right=0.75, bottom=1.0, first=1, last=2)
    made = edited(clip, CLIP, Changes(boxes=(box,), fill="mean"))
    thin = Box(left=0.99, top=0.5, right=1.0, bottom=0.51, first=0, last=0)
    hidden = edited(clip, CLIP, Changes(boxes=(thin,), fill="mean")) != clip
    assert hidden.any(1).nonzero().tolist() == [[0, 0, 4, 7]]  # one pixel at least
    inside = torch.zeros(4, 8, 8, dtype=torch.bool)
    inside[1:3, 4:8, 2:6] = True
    assert torch.equal(made[0, :, ~inside], clip[0, :, ~inside])
    grey = torch.tensor([0.485, 0.456, 0.406])[:, None].expand(-1, int(inside.sum()))
    assert torch.allclose(made[0, :, inside], grey)


def test_the_mover_is_pasted_before_another_clips_background() -> None:
    donor = film(seed=1)
    clip = cut(film(), CLIP)[0][None] / 255
    made = edited(clip, CLIP, Changes(background="swapped", donor=donor))
    corner = (slice(None), slice(None), slice(None), slice(26, 32), slice(26, 32))
    lent = (donor.frames[:, :4].float() / 255)[None]
    assert torch.allclose(made[corner], lent[corner], atol=0.02)
    square = made[0, :, 1, 14:18, 9:13]  # frame 1 is second 3: the square begins at column 6
    assert float(square.mean()) > 0.8
    with pytest.raises(WhyactError, match="Choose the clip"):
        edited(clip, CLIP, Changes(background="swapped"))
    still = torch.full_like(clip, 0.5)
    with pytest.raises(WhyactError, match="Nothing was found that moves"):
        edited(still, CLIP, Changes(background="scuba"))


def logit(loaded: LoadedModel, **changes: Any) -> float:
    found: float = what_if(loaded, film(), Changes(**changes), target=0)[0]["logit"]
    return found


def test_prompts_keep_their_numbers_when_others_are_off(loaded: LoadedModel) -> None:
    whole = what_if(loaded, film(), Changes(), target=0)[0]
    changed = what_if(loaded, film(), Changes(prompts_off=frozenset({0})), target=0)[0]
    before, after = (torch.tensor(v["prompt_weights"]) for v in (whole, changed))
    assert torch.equal(after[:, 1], before[:, 1]) and not after[:, 0].any()
    assert changed["logit"] != whole["logit"]
    assert {n["index"] for n in nodes(changed) if n["node"] == "prompt"} <= {1}
    none = what_if(loaded, film(), Changes(prompts_off=frozenset({0, 1})), target=0)[0]
    assert not torch.tensor(none["prompt_weights"]).any()
    assert not [n for n in nodes(none) if n["node"] == "prompt"]


def nodes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [step[end] for step in values["path"] for end in ("from", "to")]


def test_an_edge_that_is_off_leaves_the_path(loaded: LoadedModel) -> None:
    whole = what_if(loaded, film(), Changes(), target=0)[0]
    ends = [whole["path"][-1][k] for k in ("from", "to")]
    sender, receiver = (Node(n["step"], n["node"], n["index"]) for n in ends)
    changed = what_if(loaded, film(), Changes(edges_off=((sender, receiver),)), target=0)[0]
    assert changed["logit"] != whole["logit"]
    assert all([s["from"], s["to"]] != ends for s in changed["path"])
    assert logit(loaded) == whole["logit"]  # the model is as it was


def test_an_edge_of_a_prompt_that_is_off_is_gone_already(loaded: LoadedModel) -> None:
    edge = (Node(0, "prompt", 0), Node(0, "region", 0))
    off = frozenset({0})
    assert logit(loaded, prompts_off=off) == logit(loaded, prompts_off=off, edges_off=(edge,))
    assert logit(loaded) != logit(loaded, edges_off=(edge,))


def test_a_model_without_prompts_and_edges_says_so(tmp_path: Path) -> None:
    plain = load_model(untrained(tmp_path, model__type="pooled"))
    assert what_if(plain, film(), Changes(boxes=(Box(0, 0, 1, 1, 0, 3),)))
    with pytest.raises(WhyactError, match="neither prompts nor edges"):
        what_if(plain, film(), Changes(prompts_off=frozenset({0})))


def test_several_threads_change_one_model_at_once(loaded: LoadedModel) -> None:
    from concurrent.futures import ThreadPoolExecutor

    asked = [Changes(), Changes(prompts_off=frozenset({0})), Changes(prompts_off=frozenset({1}))]
    alone = [what_if(loaded, film(), c)[0]["logit"] for c in asked]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda c: what_if(loaded, film(), c)[0]["logit"], asked * 4))
    # Libraries that other tests load may change the last bit in the main thread.
    assert together == pytest.approx(alone * 4, rel=1e-6)
    assert len({round(logit, 5) for logit in alone}) == 3
