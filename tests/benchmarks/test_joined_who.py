"""The study of clips joined side by side: protocols, their means, and the recipe of the blind."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import joined_who
import pytest
import torch
from joined_who import KINDS, PROTOCOLS, by_seed, measures, precisions, protocols, summed, trained
from tests.nn.test_graph_split import Y, clips, model
from torch import Tensor

from whyact.config import Config
from whyact.training.checkpoint import LoadedModel

NAMES = [p.name for p in PROTOCOLS]


def row(actions: list[int], scores: list[float], moves: float | None = None) -> dict[str, Any]:
    return {"id": "a+b", "actions": actions, "scores": {"no_prompt": scores}, "moves": moves}


def test_measures_are_means_of_what_is_known_and_precision_over_classes() -> None:
    rows = [row([0, 1], [2.0, 0.0, 1.0], 1.0), row([0, 2], [1.0, 1.0, 0.0]), row([1, 2], [0, 2, 2])]
    # Class 0 is ranked right, class 1 at ranks 1 and 3, class 2 at ranks 1 and 3.
    expected = {"map of no_prompt": (1 + 5 / 6 + 5 / 6) / 3, "moves": 1.0}
    assert measures(rows) == pytest.approx(expected)


def test_the_same_scores_for_all_pairs_have_the_share_of_the_class() -> None:
    rows = [row([0, 1], [0.5, 0.5, 0.5], 0.0), row([0, 2], [0.5, 0.5, 0.5], 1.0)]
    found = measures(rows)
    assert found == pytest.approx({"map of no_prompt": (1 + 0.5 + 0.5) / 3, "moves": 0.5})


def test_high_scores_keep_their_order_and_equal_ones_their_tie() -> None:
    rows = [row([0], [40.0, -1.2345]), row([1], [39.0, -1.2345]), row([1], [38.0, -1.2345])] * 3
    assert precisions(rows) == pytest.approx({"map of no_prompt": (1 + 2 / 3) / 2})


def test_folds_are_picked_for_each_seed() -> None:
    good, bad = row([0], [1.0, 0.0], 1.0), row([0], [0.0, 0.0], 0.0)
    folds = [[[good], [bad]], [[bad], [bad]]]
    found = [each["moves"] for each in by_seed(folds, [0, 0, 1])]
    assert found == pytest.approx([2 / 3, 0.0])


def test_asking_gains_what_each_protocol_has_above_the_twin() -> None:
    asked = [{f"map of {n}": 0.5 + k / 10 for k, n in enumerate(NAMES)}] * 2
    twin = [{"map of no_prompt": 0.4, "map of label_free": 0.9}, {"map of no_prompt": 0.6,
            "map of label_free": 0.9}]  # fmt: skip
    found = summed({"asked": asked, "twin": twin})
    gains = [found[f"asked over twin map of {n}"] for n in NAMES]
    assert found["twin map of no_prompt"] == pytest.approx(0.5)
    assert gains == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert not [n for n in summed({"asked": asked}) if "over" in n]


def loaded(kind: str) -> tuple[LoadedModel, Tensor, tuple[int, int]]:
    config = Config()
    config.model.specification.type, config.objectives.binary_cross_entropy = kind, 1.0
    made = LoadedModel(model(kind), config, tuple("abcdefgh"[:Y]), (), Path())
    with torch.no_grad():
        tokens, grid = made.model.encode(clips())
    return made, tokens[:1], grid


@torch.no_grad()
def test_a_pair_is_scored_under_its_own_labels_with_the_video_and_without() -> None:
    made, tokens, grid = loaded("split")
    first, other = (protocols(made, tokens, grid, actions) for actions in ([0, 2], [1, 2]))
    assert list(first) == [*NAMES, *(f"{n} without video" for n in NAMES)]
    assert [n for n in first if first[n] != other[n]] == ["oracle", "oracle without video"]
    wish = torch.zeros(1, Y)
    wish[0, [0, 2]] = 1.0
    for name, seen in (("oracle", tokens), ("oracle without video", torch.zeros_like(tokens))):
        expected = made.model.decode(seen, grid, wish).logits[0]
        torch.testing.assert_close(torch.tensor(first[name]), expected, atol=1e-4, rtol=0)
    near = tokens + 1e-7 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0))
    assert protocols(made, near, grid, [0, 2]) == first  # noise ranks nothing


@torch.no_grad()
def test_a_model_that_is_never_asked_has_no_leak() -> None:
    made, tokens, grid = loaded("none")
    found = protocols(made, tokens, grid, [0, 2])
    assert list(found) == ["no_prompt", "label_free"] and found["no_prompt"] == found["label_free"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_blind_model_starts_from_nothing_and_is_trained_as_the_asked_one(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Config] = []
    monkeypatch.setattr(joined_who, "train", lambda config, resume: made.append(config))
    args = Namespace(runs=str(tmp_path), shared="start", data="data", threads=1, epochs=3)
    folder = trained(args, kind, 7, 4)
    (config,) = made
    assert Path(config.output) / config.name == folder
    assert (config.seed, config.data.fold, config.training.epochs) == (7, 4, 3)
    assert config.training.start == ("" if kind == "blind" else "start/fold_4")
    assert (config.model.backbone.type == "blind") == (kind == "blind")
    assert (config.objectives.specification > 0) == (kind != "twin")
    (folder / "result.json").parent.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    trained(args, kind, 7, 4)
    assert len(made) == 1
