import pytest
import torch

from whyact.nn.contracts import Regions, Scores
from whyact.nn.head import AdditiveHead, NuisanceHead
from whyact.types import WhyactError


def scores(head: AdditiveHead, seed: int) -> Scores:
    torch.manual_seed(seed)
    code = torch.ones(2, 3, 4, 8)
    return head(code, torch.zeros(2, 3, 4), torch.zeros_like(code))


def test_noise_is_on_in_training_only_and_keeps_the_sum():
    head = AdditiveHead(code_width=8, classes=3, noise=0.5)
    first, other = scores(head.train(), 0), scores(head, 1)
    assert not torch.allclose(first.logits, other.logits)
    total = first.contributions.sum((1, 2)) + head.bias
    assert torch.allclose(total, first.logits, atol=1e-6)
    assert torch.equal(scores(head.eval(), 0).logits, scores(head, 1).logits)


@pytest.mark.parametrize("given", [{"noise": 0.5}, {"dropout": 0.5}])
def test_wishes_are_scored_in_training_as_the_rest_is(given):
    head = AdditiveHead(code_width=8, classes=3, **given)

    def wished(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        code, ones = torch.ones(2, 3, 1, 4, 8), torch.ones(2, 3, 1, 4)
        guides = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4, 8)
        return head.score_wishes(code, *guides, ones, torch.eye(3)[:1]).logits

    assert not torch.allclose(wished(0), wished(1))
    head.eval()
    assert torch.equal(wished(0), wished(1))


def test_noise_has_the_deviation_asked_for():
    head = AdditiveHead(code_width=1, classes=1, noise=0.5)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.classify.weight.fill_(1)  # the logit is the mean code over regions and frames
    torch.manual_seed(0)
    code = torch.zeros(4000, 2, 2, 1)
    logits = head(code, torch.zeros(4000, 2, 2), torch.zeros_like(code)).logits
    assert logits.std().item() == pytest.approx(0.5 / 2, rel=0.05)  # of four draws
    assert logits.mean().item() == pytest.approx(0, abs=0.02)


def test_negative_noise_is_refused():
    with pytest.raises(WhyactError, match=r"model\.code_noise must be at least 0, got -1"):
        AdditiveHead(code_width=1, classes=1, noise=-1)


def test_a_region_outside_the_part_that_is_read_changes_nothing_whatever_it_holds():
    torch.manual_seed(0)
    head = AdditiveHead(code_width=4, classes=2)
    membership = torch.tensor([0.5, 1.0, 0.0]).expand(1, 2, 3)

    def found(guide):
        code = torch.ones(1, 2, 3, 4, requires_grad=True)
        guides = torch.tensor([0.0, 1.0, guide]).expand(1, 2, 3)
        scores = head(code, guides, torch.zeros_like(code), membership)
        scores.logits.square().sum().backward()
        return scores.contributions, code.grad

    (said, gradient), (other, moved) = found(0.0), found(1e4)
    assert torch.equal(said, other) and torch.equal(gradient, moved)
    assert bool((said[:, :, :2] != 0).all()) and not said[:, :, 2].any()
    nothing = head.weigh(torch.ones(1, 2, 3, 4), torch.full((1, 2, 3), 1e4), torch.zeros(1, 2, 3))
    assert not nothing.any()


def test_the_scene_is_read_from_the_nuisance_code_by_mass_and_by_frame():
    """4 and 8 on a quarter and the rest of the cells are 7, 6 and 12 on halves are 9: 8 a frame."""
    code = torch.tensor([[4.0, 8.0], [6.0, 12.0]]).view(1, 2, 2, 1)
    regions = Regions(
        assignment=torch.zeros(1, 2, 2, 4),
        action_code=100 * code,
        nuisance_code=code,
        action_gate=torch.full((1, 2, 2), 0.5),
        adjacency=torch.zeros(1, 2, 2, 2),
        position=torch.zeros(1, 2, 2, 2),
        mass=torch.tensor([[[0.25, 0.75], [0.5, 0.5]]]),
    )
    head = NuisanceHead(code_width=1, scenes=2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [-2.0]]))
        head.bias.copy_(torch.tensor([0.5, 0.0]))
    assert head(regions).tolist() == [[8.5, -16.0]]
