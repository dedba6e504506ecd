"""Two models whose answers are known by construction, and the numbers they must get."""

import pytest
import torch
from tests.audits.toys import ActorReader, BackgroundReader, ToyClips
from torch import nn

from whyact.audits.attribution import background_heat, build_explainer, deletion, disagreement
from whyact.audits.changes import CHANGES
from whyact.audits.clips import collect
from whyact.audits.leakage import find_layer, pooled, scene_leakage
from whyact.audits.measure import Answers, ask, summaries, values
from whyact.audits.verdict import majority_rate, verdict
from whyact.types import WhyactError


@pytest.fixture(scope="module")
def clips():
    return collect(ToyClips(40))


@pytest.fixture(scope="module")
def found(clips):
    """Values of every measure, by model."""
    made = {}
    for model in (BackgroundReader(), ActorReader()):
        answers = ask(model, clips)
        made[type(model).__name__] = (values(answers, clips), answers)
    return made


def means(found, model):
    return {name: one.mean for name, one in summaries(found[model][0]).items()}


def test_a_model_that_reads_the_background(found):
    mean = means(found, "BackgroundReader")
    whole = ("original", "background_only", "own_background", "shuffled", "reversed", "static")
    assert [mean[name] for name in whole] == [1.0] * 6
    # Two classes: the donor's background always names the other one. A fill of one colour is red.
    assert (mean["swapped"], mean["follows_background"], mean["background_reliance"]) == (0, 1, 1)
    assert mean["human_only"] == 0.5
    assert (mean["order_use"], mean["motion_use"], mean["contrasted"]) == (0, 0, 0)


def test_a_model_that_reads_the_actor(found):
    mean = means(found, "ActorReader")
    whole = ("original", "human_only", "own_background", "swapped")
    assert [mean[name] for name in whole] == [1.0] * 4
    assert (mean["background_reliance"], mean["follows_background"]) == (0, 0)
    assert mean["reversed"] == 0  # backwards it goes the other way
    # Without a square, and with one that stands still, the logits are equal: class 0.
    assert (mean["background_only"], mean["static"], mean["contrasted"]) == (0.5, 0.5, 0.5)


def test_the_verdicts_tell_them_apart(found, clips):
    chance = majority_rate(clips.labels)
    assert chance == 0.5
    said = {m: verdict(summaries(found[m][0]), chance) for m in found}
    assert said["BackgroundReader"].level == "leans" and said["BackgroundReader"].lost == 1
    assert said["ActorReader"].level == "none_found" and said["ActorReader"].lost == 0


def test_attribution_and_deletion_agree_on_them(found, clips):
    for name, model, sign in (
        ("BackgroundReader", BackgroundReader(), 1), ("ActorReader", ActorReader(), -1),
    ):  # fmt: skip
        answers = found[name][1]
        heat = background_heat(
            build_explainer("occlusion", model, (6, 24, 24)), clips, answers.target, count=8
        )
        assert (~heat.isnan()).sum() == 8 and (sign * heat[~heat.isnan()] > 0).all()
        share = deletion(answers)["background_share"]
        told = disagreement(heat, share)
        assert (told[~told.isnan()] == 0).float().mean() > 0.85


def test_what_pasting_costs_is_not_put_on_the_background(clips):
    right = torch.nn.functional.one_hot(clips.labels, 2).double()
    logits = dict.fromkeys(CHANGES, right)
    # Cut out and pasted, the clips are wrong before any background.
    logits |= {"own_background": 1 - right, "swapped": 1 - right}
    one = summaries(values(Answers(logits), clips))
    assert one["background_reliance"].mean == 0 and one["paste_cost"].mean == 1
    assert one["follows_background"].mean == 1  # of two classes, the wrong one is the donor's


def test_disagreement_by_hand():
    nan = float("nan")
    heat = torch.tensor([0.1, -0.1, 0.1, -0.1, nan, 0.1])
    share = torch.tensor([0.9, 0.1, 0.2, 0.8, 0.9, nan])
    assert disagreement(heat, share)[:4].tolist() == [0, 0, 1, 1]
    assert bool(disagreement(heat, share)[4:].isnan().all())


def test_without_masks_their_measures_are_not_defined():
    clips = collect(ToyClips(4), masks="none")
    one = summaries(values(ask(BackgroundReader(), clips), clips))
    for name in ("swapped", "human_only", "background_reliance", "contrasted"):
        assert one[name].mean is None and one[name].undefined == 4
    assert one["original"].mean == 1.0 and one["reversed"].clips == 4


def test_the_scene_is_read_from_the_layer_that_holds_it(clips):
    reader, actor = BackgroundReader(), ActorReader()
    leak = scene_leakage(reader, find_layer(reader, "colour"), clips)
    # The donor is of the other class, so the action leaves two of four scenes.
    assert leak.linear.mean > 0.85 and leak.correlation < 0.7 and leak.linear.clips == 20
    clean = scene_leakage(actor, find_layer(actor, "direction"), clips)
    assert clean.linear.mean < 0.75


def test_layers_that_cannot_be_read(clips):
    with pytest.raises(WhyactError, match=r"no layer 'color'. Did you mean 'colour'"):
        find_layer(BackgroundReader(), "color")
    with pytest.raises(WhyactError, match="layers need a PyTorch module"):
        find_layer(None, "colour")
    few = collect(ToyClips(10))
    model = BackgroundReader()
    assert scene_leakage(model, model.colour, few) == "10 clips can be swapped, and probes need 40"


class TimeFirst(nn.Module):
    """A layer whose output is (T, B, C), of 20 frames for any number of clips."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, clips):
        return self.layer(clips.mean((3, 4)).permute(2, 0, 1)).mean(0)[:, :2]


class TimeOutside(TimeFirst):
    """Codes of (T * B, C), frame by frame: as many as (B * T, C) has."""

    def forward(self, clips):
        frames = clips.mean((3, 4)).permute(2, 0, 1)
        return self.layer(frames.flatten(0, 1)).unflatten(0, (-1, len(clips))).mean(0)[:, :2]


@pytest.mark.parametrize("kind", [TimeFirst, TimeOutside])
def test_layers_with_other_axes_are_told(clips, kind):
    model = kind()
    assert scene_leakage(model, model.layer, clips).endswith("perhaps time comes first")
    with pytest.raises(WhyactError, match="channels seem to be the last axis"):
        pooled(torch.zeros(2, 4, 7, 7, 96), 2)


def test_codes_of_all_layouts():
    value = torch.arange(8.0).view(2, 4)  # two clips, four channels
    maps = value.view(2, 4, 1, 1, 1).expand(2, 4, 3, 2, 2)
    assert torch.equal(pooled(maps, 2), value) and torch.equal(pooled(value, 2), value)
    assert torch.equal(pooled((value[:, None].expand(2, 5, 4),), 2), value)
    frames = maps.transpose(1, 2).flatten(0, 1)  # (B * T, C, h, w)
    assert torch.equal(pooled(frames, 2), value)
    with pytest.raises(WhyactError, match="The layer gives str for 2 clips"):
        pooled("x", 2)


def test_outputs_that_are_none(clips):
    with pytest.raises(WhyactError, match="gives 3 logits, the data has 2 classes"):
        ask(lambda x: torch.zeros(len(x), 3), clips)
    with pytest.raises(WhyactError, match="no finite numbers"):
        ask(lambda x: torch.full((len(x), 2), float("nan")), clips)
    with pytest.raises(WhyactError, match="Unknown explainer 'lime'; an audit offers"):
        build_explainer("lime", BackgroundReader(), (6, 24, 24))
