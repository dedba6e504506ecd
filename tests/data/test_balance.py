"""Groups of label and nuisance are drawn alike, from the data's own scenes or from a table."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from whyact.config import BalanceConfig
from whyact.data.balance import balance_weights, group_weights
from whyact.data.loader import epoch_batches
from whyact.types import Clip, Failure, WhyactError


class Tied:
    """Ten clips: label 0 in scene 0 four times and in scene 1 once, label 1 the other way round."""

    classes, scenes, views, fingerprint = ("a", "b"), ("x", "y"), 1, "tied"
    labels = [0] * 5 + [1] * 5
    nuisance = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]
    groups = ids = [f"clip{i}" for i in range(10)]

    def __len__(self) -> int:
        return 10

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        raise AssertionError("nothing has to be read")


EXPECTED = [0.25] * 4 + [1.0] + [0.25] * 4 + [1.0]


def test_every_clip_weighs_one_over_its_group() -> None:
    assert group_weights(["x", "y", "x", "x"]).tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])
    found = balance_weights(BalanceConfig(column="scene"), Tied())
    assert found is not None and found.tolist() == EXPECTED
    assert balance_weights(BalanceConfig(), Tied()) is None


def test_the_same_actions_in_another_order_are_one_group() -> None:
    several = Tied()
    several.labels = [(0, 1), (1, 0)] * 5
    several.nuisance = [0] * 10
    found = balance_weights(BalanceConfig(column="scene"), several)
    assert found is not None and found.tolist() == pytest.approx([0.1] * 10)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_in_any_order_gives_the_groups(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"codes{suffix}"
    rows = [("another", 3), *reversed(list(zip(Tied.ids, Tied.nuisance, strict=True)))]
    if suffix == ".csv":
        file.write_text("cluster,id\n" + "".join(f"{c},{name}\n" for name, c in rows))
    else:
        names, clusters = zip(*rows, strict=True)
        pq.write_table(pa.table({"id": names, "cluster": clusters}), file)
    found = balance_weights(BalanceConfig(column="cluster", table=str(file)), Tied())
    assert found is not None and found.tolist() == EXPECTED
    with pytest.raises(WhyactError, match=r"has no column 'scene'; it has .*cluster"):
        balance_weights(BalanceConfig(column="scene", table=str(file)), Tied())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match="'camera', but this data set does not know it"):
        balance_weights(BalanceConfig(column="camera"), Tied())
    unknown = Tied()
    unknown.nuisance = [*Tied.nuisance[:9], -1]
    with pytest.raises(WhyactError, match="'scene', but this data set does not know it of every"):
        balance_weights(BalanceConfig(column="scene"), unknown)
    file = tmp_path / "few.csv"
    with pytest.raises(WhyactError, match=r"few\.csv: cannot be read as Parquet or CSV"):
        balance_weights(BalanceConfig(column="c", table=str(file)), Tied())
    file.write_text("id,c\nclip0,1\n")
    with pytest.raises(WhyactError, match="lacks 9 of 10 training clips, such as 'clip1'"):
        balance_weights(BalanceConfig(column="c", table=str(file)), Tied())


def test_an_epoch_draws_groups_alike_and_by_its_seed() -> None:
    weights = torch.tensor(EXPECTED)
    counts: Counter[int] = Counter()
    for epoch in range(400):
        order = {"length": 10, "epoch": epoch, "seed": 5, "batch_size": 5, "weights": weights}
        batches = epoch_batches(**order)  # type: ignore[arg-type]
        assert [len(b) for b in batches] == [5, 5] and batches == epoch_batches(**order)  # type: ignore[arg-type]
        counts.update(i for batch in batches for i, _ in batch)
    # Of 4000 draws a quarter for each group: 1000 of the two rare clips, 250 of the others.
    for i, weight in enumerate(EXPECTED):
        assert counts[i] == pytest.approx(1000 * weight, abs=100)


def test_shards_stay_together_when_clips_are_drawn() -> None:
    blocks = [i // 5 for i in range(40)]
    (batch,) = epoch_batches(
        40, epoch=0, seed=1, batch_size=40, blocks=blocks, weights=torch.ones(40)
    )
    drawn = [blocks[i] for i, _ in batch]
    # Four of the eight shards are read to their end before any of the other four.
    halves = [(set(drawn[:s]), set(drawn[s:])) for s in range(1, 40)]
    assert any(len(a) <= 4 and len(b) <= 4 and not a & b for a, b in halves)
    assert len(set(drawn)) > 4
