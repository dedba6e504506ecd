from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.training.toy_runs import ToyClips, toy_config, toy_loop

from whyact.models.builders import build_model
from whyact.objectives.builders import build_objectives
from whyact.ops.motion import foreground
from whyact.training.token_cache import TokenDecoder, cache_tokens
from whyact.types import Clip, Failure, WhyactError

CPU = torch.device("cpu")


def cached(tmp_path, source, config=None, train=True, moving=False):
    config = config or toy_config(cache_tokens=3)
    model = build_model(config.model, classes=3, scenes=2, seed=config.seed)
    made, grid = cache_tokens(
        config=config, source=source, model=model, root=tmp_path, train=train, device=CPU,
        moving=moving,
    )  # fmt: skip
    return model.eval(), made, grid


def test_cached_tokens_give_the_output_of_the_pixels(tmp_path):
    source = ToyClips(4)
    model, made, grid = cached(tmp_path, source, train=False)
    for index in range(4):
        pixels = source[(index, 0)].video[None].float() / 255
        clip = made[(index, 0)]
        output = TokenDecoder(model, grid)(clip.video[None])
        assert torch.allclose(output.logits, model(pixels).logits, atol=1e-2)
        assert (clip.label, clip.id, clip.nuisance) == (index % 3, f"toy/{index}", index % 2)


def test_several_labels_and_mirrored_views_are_kept(tmp_path):
    source = ToyClips(3)
    source.views = 2
    read = source.__class__.__getitem__

    class Several(ToyClips):
        def __getitem__(self, request):
            clip = read(self, request)
            if isinstance(clip, Failure):
                return clip
            order = torch.tensor([1, 0, 2]) if request[1] else torch.arange(3)
            label = torch.tensor([1.0, 0.0, float(request[0])])
            return replace(clip, label=label, class_order=order)

    source.__class__ = Several
    source.broken = (2,)
    _, made, _ = cached(tmp_path, source, train=False)
    assert made[(0, 0)].label.tolist() == [1, 0, 0] and made[(1, 1)].label.tolist() == [1, 0, 1]
    assert made[(1, 0)].class_order.tolist() == [0, 1, 2]
    assert made[(1, 1)].class_order.tolist() == [1, 0, 2]
    assert isinstance(made[(2, 0)], Failure)


def test_training_draws_among_the_views_by_epoch(tmp_path):
    source = ToyClips(2)
    model, made, _ = cached(tmp_path, source)
    views = [model.encode(source[(0, v)].video[None].float() / 255)[0][0] for v in range(3)]

    def view(epoch):
        gap = [float((made[(0, epoch)].video.float() - v).abs().max()) for v in views]
        assert min(gap) < 1e-2
        return int(np.argmin(gap))

    drawn = [view(epoch) for epoch in range(20)]
    assert set(drawn) == {0, 1, 2}
    assert drawn == [view(epoch) for epoch in range(20)]


def test_a_second_call_computes_nothing(tmp_path):
    source = ToyClips(3)
    _, first, _ = cached(tmp_path, source)
    source.broken = (0, 1, 2)  # would fail if it were read again
    _, second, _ = cached(tmp_path, source)
    assert torch.equal(first.tokens, second.tokens)


@pytest.mark.parametrize("change", ["data", "view", "seed", "weights", "views", "train"])
def test_whatever_changes_the_tokens_makes_another_cache(tmp_path, change):
    source, config, train = ToyClips(2), toy_config(cache_tokens=2), True
    cached(tmp_path, source, config)
    if change == "data":
        source.fingerprint = "other"
    elif change == "view":
        config.data.transform.min_area = 0.9
    elif change in ("seed", "weights"):
        config.seed += 1
    elif change == "views":
        config.training.cache_tokens = 1
    else:
        train = False
    cached(tmp_path, source, config, train)
    assert len(list((tmp_path / "tokens").iterdir())) == 2


def test_a_subset_finds_its_clips_by_name(tmp_path):
    source = ToyClips(6)
    _, made, _ = cached(tmp_path, source, train=False)
    part = ToyClips(6)
    part.ids, part.labels = ["toy/4", "toy/1"], [1, 1]
    sub = made.subset(part)
    assert len(sub) == 2 and sub[(0, 0)].id == "toy/4"
    assert torch.equal(sub[(0, 0)].video, made[(4, 0)].video)
    assert torch.equal(sub[(1, 0)].video, made[(1, 0)].video)


def test_an_unreadable_clip_stays_a_failure(tmp_path):
    _, made, _ = cached(tmp_path, ToyClips(3, broken=(1,)))
    assert isinstance(made[(0, 0)], Clip)
    found = made[(1, 0)]
    assert isinstance(found, Failure) and found.reason.startswith("broken on purpose")
    assert "delete that folder once" in found.reason and str(tmp_path) in found.reason


def test_a_backbone_that_learns_cannot_be_cached(tmp_path):
    with pytest.raises(WhyactError, match=r"needs model\.backbone\.frozen: true"):
        cached(tmp_path, ToyClips(2), toy_config(cache_tokens=2, frozen=False))


def test_the_foreground_is_kept_on_the_token_grid_where_it_is_asked_for(tmp_path):
    source = ToyClips(3)
    _, plain, _ = cached(tmp_path, source)
    _, made, (h, w) = cached(tmp_path, source, moving=True)
    assert plain[(0, 0)].foreground is None
    for view in range(3):
        pixels = source[(1, view)].video[None].float() / 255
        cells = F.avg_pool2d(foreground(pixels)[0], (32 // h, 32 // w)) * 255
        assert (made.foreground[view, 1].float() - cells).abs().max() <= 0.5
    assert made.subset(made.source)[(1, 0)].foreground.shape == (4, h, w)


def test_objectives_that_need_pixels_are_refused():
    config = toy_config({"foreground_paste": 1.0})
    objectives = build_objectives(config.objectives, config.objective_settings)
    with pytest.raises(WhyactError, match=r"training\.cache_tokens .*foreground_paste"):
        objectives.refuse_views("training.cache_tokens trains on stored tokens", "it to 0")


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_modules_train_on_cached_tokens(tmp_path, precision):
    config = toy_config(cache_tokens=2, epochs=12, learning_rate=5e-3, mixed_precision=precision)
    _, made, grid = cached(tmp_path, ToyClips(), config)
    loop = toy_loop(tmp_path / "run", config, made)
    loop.network = TokenDecoder(loop.model, grid)
    loop.run()
    import json

    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").open()]
    assert lines[-1]["train/loss"] < 0.9 * lines[0]["train/loss"]
