"""What nuisances cost: drops of two models on ten clips, by hand."""

import pytest
from benchmarks.drops import markdown, summary


def scores(**right: int) -> dict[str, dict[str, object]]:
    """The first so many of ten clips of each split are right."""
    return {k: {"fingerprint": k, "top1": [int(i < n) for i in range(10)]}
            for k, n in right.items()}  # fmt: skip


def test_drops_and_their_differences_by_hand() -> None:
    """Drops of the first model 1 and 3, mean 2, of the other 4 and 2, mean 3: half of it 1.5."""
    found = summary({
        "full": [scores(iid=9, camera=8, light=6)], "plain": [scores(iid=8, camera=4, light=6)],
    })  # fmt: skip
    mean = {name: {k: e.mean for k, e in one.items()} for name, one in found.items()}
    assert mean["full"]["drop, camera"] == pytest.approx(0.1)
    assert mean["full"]["mean drop"] == pytest.approx(0.2)
    assert mean["plain"]["mean drop"] == pytest.approx(0.3)
    gap = mean["full − plain"]
    assert gap["iid"] == pytest.approx(0.1) and gap["drop, camera"] == pytest.approx(-0.3)
    assert gap["mean drop"] == pytest.approx(-0.1)
    assert gap["mean drop, half"] == pytest.approx(0.05)
    lines = markdown(found).splitlines()
    assert lines[0] == "|  | full | plain | full − plain |"
    assert lines[-1].startswith("| mean drop, half |  |  | 5.0 [")


def test_runs_that_saw_other_clips_are_refused() -> None:
    first, second = scores(iid=9), scores(iid=9)
    second["iid"]["fingerprint"] = "another"
    with pytest.raises(SystemExit, match="saw other clips of 'iid'"):
        summary({"full": [first, second]})
