import torch
from tests.toys import ToyModel
from tests.training.toy_runs import ToyClips

from whyact.metrics.background import background_robustness
from whyact.training.predictions import predict_dataset
from whyact.types import Failure

CPU = torch.device("cpu")


def test_every_clip_is_scored_once_in_order_and_failures_are_counted():
    clips, model = ToyClips(7, broken=(2,)), ToyModel()
    found = predict_dataset(model, clips, device=CPU, batch_size=3)
    assert found.index.tolist() == [0, 1, 3, 4, 5, 6]
    assert found.labels.tolist() == [i % 3 for i in found.index.tolist()]
    assert found.expected == 7 and [f.id for f in found.failures] == ["toy/2"]
    for row, index in zip(found.logits, found.index.tolist(), strict=True):
        alone = model(clips[(index, 0)].video[None].float() / 255).logits[0]
        assert torch.allclose(row, alone, atol=1e-6)


def test_hits_of_two_versions_of_a_set_pair_by_place_where_other_clips_fail_in_each():
    """Without the places, clip 1 of the one would be paired with clip 0 of the other."""
    model = ToyModel()
    first, second = (
        predict_dataset(model, ToyClips(4, broken=(i,)), device=CPU).hits for i in (0, 1)
    )
    assert first.isnan().tolist() == [True, False, False, False]
    assert second.isnan().tolist() == [False, True, False, False]
    assert torch.equal(first[2:], second[2:])
    both = background_robustness({"scuba": first, "scufo": second})["contrasted"]
    assert both.clips == 2 and both.undefined == 2


def test_logits_are_averaged_over_views_even_across_batches():
    clips, model = ToyClips(3), ToyModel()
    clips.views = 2
    found = predict_dataset(model, clips, device=CPU, batch_size=3)
    both = [model(clips[(1, v)].video[None].float() / 255).logits[0] for v in range(2)]
    assert torch.allclose(found.logits[1], (both[0] + both[1]) / 2, atol=1e-6)


def test_the_model_goes_back_to_the_mode_it_was_in():
    model = ToyModel().train()
    predict_dataset(model, ToyClips(2), device=CPU)
    assert model.training


def test_a_set_without_a_readable_clip_gives_no_scores():
    found = predict_dataset(ToyModel(), ToyClips(2, broken=(0, 1)), device=CPU)
    assert found.logits.shape == (0, 3) and len(found.failures) == 2


def test_the_maximum_over_views():
    clips, model = ToyClips(3), ToyModel()
    clips.views = 3
    found = predict_dataset(model, clips, device=CPU, batch_size=4, pooling="max")
    every = [model(clips[(1, v)].video[None].float() / 255).logits[0] for v in range(3)]
    assert torch.allclose(found.logits[1], torch.stack(every).amax(0), atol=1e-6)


class HalfBroken(ToyClips):
    """The second view of clip 1 cannot be read."""

    def __getitem__(self, request):
        return Failure("toy/1", "cut") if request == (1, 1) else super().__getitem__(request)


def test_a_clip_is_decoded_in_all_its_views_or_not_at_all():
    clips = HalfBroken(3)
    clips.views = 2
    found = predict_dataset(ToyModel(), clips, device=CPU, batch_size=4)
    assert found.ids == ("toy/0", "toy/2") and [f.id for f in found.failures] == ["toy/1"]
    assert found.expected == len(found.ids) + len(found.failures)
