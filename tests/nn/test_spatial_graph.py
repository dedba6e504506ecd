"""Regions and edges on inputs whose answers are derived by hand."""

import math

import pytest
import torch

from whyact.nn.region_codes import dynamics, pool
from whyact.nn.spatial_graph import (
    GridSpatialGraph,
    LearnedSpatialGraph,
    RegionAdjacency,
    cell_positions,
)
from whyact.types import WhyactError


def test_cell_positions_are_centres():
    places = cell_positions((2, 4), torch.zeros(()))
    assert places.tolist()[:4] == [[-0.75, -0.5], [-0.25, -0.5], [0.25, -0.5], [0.75, -0.5]]
    assert places[4:, 1].tolist() == [0.5] * 4


def test_pool_is_the_mean_weighted_by_the_assignment():
    assignment = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.25]])
    tokens = torch.tensor([[1.0], [3.0], [9.0]])
    assert torch.allclose(pool(assignment, tokens), torch.tensor([[1.0], [5.0]]))


def test_proximity_follows_the_gaussian_by_hand():
    graph = RegionAdjacency(cues=["proximity"])
    with torch.no_grad():
        graph.log_reach.fill_(0.0)  # reach 1
    position = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    near, far = 1.0, math.exp(-0.5)
    expected = torch.tensor([[near, far], [far, near]]) / (near + far)
    assert torch.allclose(graph(torch.zeros(2, 3), position), expected)


def test_coactivation_ignores_opposite_features():
    graph = RegionAdjacency(cues=["coactivation"])
    regions = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [3.0, 0.0]])
    found = graph(regions, torch.zeros(3, 2))
    assert torch.allclose(found, torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]))


def test_position_tells_left_from_right():
    torch.manual_seed(0)
    graph = RegionAdjacency(cues=["position"])
    position = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
    found = graph(torch.zeros(2, 3), position)
    assert not torch.isclose(found[0, 1], found[1, 0])


def test_cues_add_up():
    both = RegionAdjacency(cues=["coactivation", "proximity"])
    regions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    position = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    # Equal weights: row 0 has 1 + 1 for itself and 0 + 1 for the other.
    assert torch.allclose(both(regions, position), torch.tensor([[2, 1], [1, 2]]) / 3)


def test_the_grid_twin_has_fixed_blocks_and_no_edges():
    twin = GridSpatialGraph(token_width=4, code_width=64, regions=8)
    regions = twin(torch.rand(1, 2, 32, 4), (4, 8))
    owner = regions.assignment[0, 0].argmax(0).view(4, 8)
    assert owner[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert owner[3].tolist() == [4, 4, 5, 5, 6, 6, 7, 7]
    assert regions.adjacency.abs().sum() == 0
    with pytest.raises(WhyactError, match="cannot hold 2 x 4 blocks"):
        twin(torch.rand(1, 2, 3, 4), (1, 3))


def test_dynamics_by_hand():
    regions = torch.tensor([1.0, 4.0, 1.0]).view(1, 3, 1, 1)
    rise, fall, distance = dynamics(regions).view(3, 3).T.tolist()
    assert rise == [0, 3, 0] and fall == [0, 0, 3] and distance == [1, 2, 1]


def test_dynamics_over_longer_lags_by_hand():
    regions = torch.tensor([1.0, 4.0, 2.0, 0.0]).view(1, 4, 1, 1)
    found = dynamics(regions, (1, 2, 9)).view(4, 7).T.tolist()
    assert found[:2] == [[0, 3, 0, 0], [0, 0, 2, 2]]
    assert found[2:4] == [[0, 0, 1, 0], [0, 0, 0, 4]]
    assert found[4:6] == [[0] * 4] * 2, "no frame is that far back"
    assert torch.equal(dynamics(regions), dynamics(regions, (1, 2))[..., [0, 1, 4]])


def test_lags_are_at_least_one():
    with pytest.raises(WhyactError, match=r"lags is \[0, 2\]"):
        GridSpatialGraph(token_width=8, dynamics="frame", lags=(0, 2))


@pytest.mark.parametrize("kind", ["region", "frame", "shared"])
def test_dynamics_tell_a_clip_from_its_reverse_and_none_do_not(kind):
    tokens = torch.randn(1, 4, 16, 8, generator=torch.Generator().manual_seed(0))
    for motion, sees in ((kind, True), ("none", False)):
        graph = GridSpatialGraph(token_width=8, regions=4, dynamics=motion).eval()
        ahead, back = (graph(t, (4, 4)).action_code.mean((1, 2)) for t in (tokens, tokens.flip(1)))
        assert torch.allclose(ahead, back, atol=1e-5) != sees


def test_the_nuisance_code_sees_no_dynamics():
    tokens = torch.randn(1, 4, 16, 8, generator=torch.Generator().manual_seed(0))
    graph = GridSpatialGraph(token_width=8, regions=4, dynamics="frame").eval()
    changed = tokens.clone()
    changed[:, 2:] = 0
    first, second = graph(tokens, (4, 4)), graph(changed, (4, 4))
    assert torch.equal(first.nuisance_code[:, :2], second.nuisance_code[:, :2])
    assert not torch.equal(first.action_code[:, :2], second.action_code[:, :2])


def test_unknown_dynamics_list_the_choices():
    with pytest.raises(WhyactError, match=r"dynamics 'all'; choose from .*'region'"):
        GridSpatialGraph(token_width=8, dynamics="all")


def test_compact_regions_of_equal_cells_are_the_blocks_around_their_homes():
    torch.manual_seed(0)
    graph = LearnedSpatialGraph(token_width=3, code_width=8, regions=4, compact=1)
    with torch.no_grad():
        graph.place.weight.zero_()
    tokens = torch.ones(1, 2, 16, 3)
    found = graph(tokens, (4, 4))
    assert found.assignment.argmax(2)[0, 0].view(4, 4).tolist() == [
        [0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3],
    ]  # fmt: skip
    assert torch.allclose(found.position[0, 0].sign(), graph.homes.sign())


def by_hand(queries, **settings):
    """Cells of two features are what their tokens are, wherever they lie; queries stay as given."""
    graph = LearnedSpatialGraph(token_width=2, code_width=2, **settings)
    with torch.no_grad():
        graph.place.weight.zero_()
        graph.place.bias.zero_()
        graph.refine[1].weight.zero_()
        graph.refine[1].bias.zero_()
        graph.queries.copy_(torch.tensor(queries))
        graph.embed.weight.copy_(torch.eye(2))
        graph.embed.bias.zero_()
    return graph


def test_the_temperature_divides_what_cells_and_queries_have_in_common():
    graph = by_hand([[1.0, -1.0], [-1.0, 1.0]], regions=2, temperature=2.0)
    torch.nn.init.zeros_(graph.log_scale)
    share = graph(torch.tensor([1.0, 0.0]).view(1, 1, 1, 2), (1, 1)).assignment
    # Normalised, the token is (1, -1): its cosines are 1 and -1, half of them 1 apart.
    torch.testing.assert_close(share[0, 0, 0, 0], torch.tensor(1.0).sigmoid())


def test_queries_are_refined_by_what_they_gathered_in_all_frames():
    """The faint cell of frame 0 is nearer to the second query at first, 0.8 to 0.6.

    By (7, 6) of frame 1 the first query becomes (8, 6), of whose direction it has 0.96.
    """
    graph = by_hand([[1.0, 0.0], [0.0, 1.0]], regions=2, temperature=0.01)
    graph.norm, graph.refine = torch.nn.Identity(), torch.nn.Identity()
    tokens = torch.tensor([[0.06, 0.08], [7.0, 6.0]]).view(1, 2, 1, 2)
    assert graph(tokens, (1, 1)).assignment.argmax(2).flatten().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [("addition", [[36.0, 0.0], [0.0, 72.0]]), ("attention", [[21.0, 30.0], [15.0, 42.0]])],
)
def test_codes_read_regions_and_the_mean_of_their_cells_with_what_fusion_adds(fusion, expected):
    """Cells 2 and 4 are a region of 3, 6 another. Both count twice, as regions and as their cells.

    To these come 10 times each one's own region, or where all keys are alike their mean (1.5, 3).
    """
    graph = by_hand(
        [[1.0, 0.0], [0.0, 1.0]], regions=2, layers=0, fusion=fusion, gate=False, temperature=0.01
    )
    graph.norm, graph.codes.norm = torch.nn.Identity(), torch.nn.Identity()
    with torch.no_grad():
        graph.fuse_value.weight.copy_(10 * torch.eye(2))
        graph.codes.action.weight.copy_(torch.eye(2))
        graph.codes.action.bias.zero_()
        if fusion == "attention":
            graph.fuse_key.weight.zero_()
    tokens = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 6.0]]).view(1, 1, 3, 2)
    torch.testing.assert_close(graph(tokens, (1, 3)).action_code[0, 0], torch.tensor(expected))


def test_two_actors_that_look_alike_are_two_compact_regions_and_the_scene_is_in_others():
    graph = by_hand([[1.0, -1.0], [-1.0, 1.0]], regions=4, compact=2)  # actor, scene
    tokens = torch.tensor([0.0, 1.0]).expand(1, 1, 8, 2).clone()
    tokens[0, 0, [1, 6]] = torch.tensor([1.0, 0.0])  # two alike, one near each home
    share = graph(tokens, (1, 8)).assignment[0, 0]
    assert share[:, [1, 6, 0, 7]].argmax(0).tolist() == [0, 2, 1, 3]
    assert share[0, 1] > 0.99 and share[2, 6] > 0.99


def test_regions_that_do_not_fill_their_homes_are_refused():
    with pytest.raises(WhyactError, match=r"compact is 3.*divide model.spatial_graph.regions, 8"):
        LearnedSpatialGraph(token_width=2, regions=8, compact=3)
