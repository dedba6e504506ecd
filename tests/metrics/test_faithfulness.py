"""Deletion and insertion on a model that reads one tube."""

import pytest
import torch
from torch import Tensor

from whyact.metrics.faithfulness import Ends, deletion_insertion, tube_ranks
from whyact.ops.fill import Fill
from whyact.types import WhyactError

TUBE = (2, 4, 4)


def clip(count: int = 1) -> Tensor:
    """(B, 3, 4, 8, 8): black, with one white tube, the first of eight."""
    x = torch.zeros(count, 3, 4, 8, 8)
    x[:, :, :2, :4, :4] = 1
    return x


def white(x: Tensor) -> Tensor:
    """Class 0: how white the first tube is; class 1: the rest."""
    share = x[:, :, :2, :4, :4].mean((1, 2, 3, 4))
    return torch.stack([share, 1 - share], 1)


def curves(heat: Tensor, x: Tensor | None = None, **settings: int) -> Tensor:
    """(B, 2): deletion and insertion area with the mean colour as fill-in."""
    x = clip() if x is None else x
    targets = torch.zeros(len(x), dtype=torch.int64)
    options = {"steps": 8, **settings}
    _, mean = deletion_insertion(white, x, heat, targets, fills=("blur", "mean"), tube=TUBE,
                                 **options)  # type: ignore[arg-type]  # fmt: skip
    return torch.stack([mean.deletion_auc, mean.insertion_auc], 1)


def test_perfect_and_inverted_maps_by_hand() -> None:
    heat = clip()[:, 0]
    grey = (0.485 + 0.456 + 0.406) / 3
    # Perfect: deletion drops to grey with the first of 8 tubes and stays; the first of 8 intervals
    # is a slope. Insertion jumps from grey to 1 with the first.
    deletion = ((1 + grey) / 2 + 7 * grey) / 8
    insertion = ((1 + grey) / 2 + 7) / 8
    assert curves(heat)[0].tolist() == pytest.approx([deletion, insertion], abs=1e-6)
    # Inverted: the tube goes last and comes last.
    assert curves(1 - heat)[0].tolist() == pytest.approx([insertion, deletion], abs=1e-6)


def test_curve_and_fractions() -> None:
    found = deletion_insertion(
        white, clip(), clip()[:, 0], torch.tensor([0]), fills=("mean", "blur"), tube=TUBE, steps=4
    )
    assert [c.fill for c in found] == ["mean", "blur"]
    assert found[0].fractions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    grey = (0.485 + 0.456 + 0.406) / 3
    assert found[0].deletion[0].tolist() == pytest.approx([1, grey, grey, grey, grey], abs=1e-6)
    assert found[0].insertion[0].tolist() == pytest.approx([grey, 1, 1, 1, 1], abs=1e-6)


def test_a_constant_map_deletes_in_random_order() -> None:
    """In raster order it would delete the white tube first and look like a perfect map."""
    flat = torch.ones(1, 4, 8, 8)
    places = [int(tube_ranks(flat, TUBE, clip(), seed)[0, 0, 0, 0]) for seed in range(200)]
    assert set(places) == set(range(8))
    assert sum(places) / 200 == pytest.approx(3.5, abs=0.5)
    means = torch.cat([curves(flat, seed=seed) for seed in range(40)])
    perfect, inverted = curves(clip()[:, 0])[0], curves(1 - clip()[:, 0])[0]
    assert float(means[:, 0].mean()) == pytest.approx(float(perfect[0] + inverted[0]) / 2, abs=0.05)


def test_ranks_are_a_permutation_and_follow_the_heat() -> None:
    heat = torch.rand(3, 5, 9, 10, generator=torch.Generator().manual_seed(0))
    ranks = tube_ranks(heat, TUBE, heat[:, None])
    assert ranks.shape == (3, 3, 3, 3)  # cut tubes at the far ends
    for r in ranks:
        assert sorted(r.flatten().tolist()) == list(range(27))
    # The mean of a cut tube is over its own pixels: the last frame is alone in its tubes.
    heat = torch.zeros(1, 5, 8, 8)
    heat[:, 4, :4, :4] = 1.0
    heat[:, :2, :4, :4] = 0.6
    ranks = tube_ranks(heat, TUBE, heat[:, None])
    assert ranks[0, 2, 0, 0] == 0 and ranks[0, 0, 0, 0] == 1


def test_cost_and_independence_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 4, 8, 8, generator=generator)
    heat = torch.rand(3, 4, 8, 8, generator=generator)
    targets = torch.tensor([0, 1, 0])
    sizes: list[int] = []

    def counted(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return white(batch)

    def run(batch_size: int, rows: slice) -> list[Tensor]:
        found = deletion_insertion(
            counted, x[rows], heat[rows], targets[rows], fills=("blur", "mean", "noise", "frame"),
            tube=TUBE, steps=4, batch_size=batch_size,
        )  # fmt: skip
        return [c.deletion for c in found] + [c.insertion for c in found]

    large = run(64, slice(None))
    assert sum(sizes) == 4 * 3 * 2 * 4 and max(sizes) == 3 * 2 * 4
    sizes.clear()
    small = run(5, slice(None))
    assert max(sizes) == 5
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(large, small, strict=True))
    alone = run(64, slice(1, 2))
    assert all(torch.allclose(a[1:2], b, atol=1e-6) for a, b in zip(large, alone, strict=True))


def test_what_is_inserted_is_the_clip_itself() -> None:
    x = torch.rand(1, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []

    def keep(batch: Tensor) -> Tensor:
        seen.append(batch)
        return white(batch)

    deletion_insertion(keep, x, x[:, 0], torch.tensor([0]), tube=TUBE, steps=2)
    half = seen[0]  # deletion of 0, 8 and 4 of 8 tubes, insertion of 4, with blur
    assert len(half) == 4
    assert torch.equal(half[0], x[0])
    changed = (half[2] != x[0]).any(0), (half[3] != x[0]).any(0)
    assert bool((changed[0] ^ changed[1]).all())  # each tube is in one of the two
    assert bool((half[1] != x[0]).any(0).all())


def test_errors() -> None:
    x, heat, targets = clip(), clip()[:, 0], torch.tensor([0])
    with pytest.raises(WhyactError, match="at least two fill-ins"):
        deletion_insertion(white, x, heat, targets, fills=("mean",))
    with pytest.raises(WhyactError, match="at least two fill-ins"):
        deletion_insertion(white, x, heat, targets, fills=("mean", "mean"))
    with pytest.raises(WhyactError, match=r"number of tubes \(8\), got 9"):
        deletion_insertion(white, x, heat, targets, tube=TUBE, steps=9)
    with pytest.raises(WhyactError, match="do not belong together"):
        deletion_insertion(white, x, heat[:, :2], targets, tube=TUBE)
    with pytest.raises(WhyactError, match="Unknown fill-in 'black'"):
        deletion_insertion(white, x, heat, targets, tube=TUBE, steps=2, fills=("mean", "black"))  # type: ignore[arg-type]


def test_maps_of_the_same_clips_share_the_whole_and_the_empty_clip() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, 3, 8, 16, 16, generator=generator)
    heats = torch.rand(2, 2, 8, 16, 16, generator=generator)
    seen: list[int] = []

    def score(clips: Tensor) -> Tensor:
        seen.append(len(clips))
        return clips.mean((2, 3, 4)).softmax(1)

    ends: dict[Fill, Ends] = {}
    for heat in heats:
        alone = deletion_insertion(score, x, heat, torch.tensor([0, 2]), tube=TUBE, steps=3)
        seen.clear()
        shared = deletion_insertion(
            score, x, heat, torch.tensor([0, 2]), tube=TUBE, steps=3, ends=ends
        )
        for one, other in zip(alone, shared, strict=True):
            torch.testing.assert_close(one.deletion, other.deletion)
            torch.testing.assert_close(one.insertion, other.insertion)
    assert sum(seen) == 2 * 2 * (3 - 1) * 2  # clips, fill-ins, steps between the ends, curves


def test_ties_of_each_clip_are_broken_by_itself() -> None:
    """One order for all would be luck that no interval over clips knows of."""
    clips = torch.rand(12, 3, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    ranks = tube_ranks(torch.ones(12, 4, 8, 8), TUBE, clips)
    assert len({tuple(r.flatten().tolist()) for r in ranks}) > 9
    assert torch.equal(ranks[5:6], tube_ranks(torch.ones(1, 4, 8, 8), TUBE, clips[5:6]))


def test_tubes_longer_than_the_clip_are_cut_to_it() -> None:
    x = torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = deletion_insertion(white, x, x[:, 0], torch.tensor([0]), tube=(2, 4, 4), steps=4)
    assert found[0].deletion.shape == (1, 5)
