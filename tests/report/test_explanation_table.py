"""The table as text: every row, arrows, N/A with counts, and where controls were not beaten."""

from whyact.report.explanation_table import markdown


def table() -> dict:
    def cell(mean: float | None, missing: int = 0) -> dict:
        low = None if mean is None else mean - 0.1
        high = None if mean is None else mean + 0.1
        return {"mean": mean, "low": low, "high": high, "clips": 5 - missing, "undefined": missing}

    rows = {
        name: {"energy": cell(None, 5), "deletion_blur": cell(value, 1), "sensitivity": cell(0.5)}
        for name, value in (("random", 0.5), ("native", 0.25), ("native_blurred", 0.2))
    }
    verdict = {"not_beaten": ["random"], "worse_than_blurred": True, "undefined": False}
    nothing = {"not_beaten": [], "worse_than_blurred": False, "undefined": True}
    return {
        "clips": 5, "accuracy": 0.8, "rows": rows, "ceilings": {"native": {"energy": cell(0.6)}},
        "verdicts": {"native": {"deletion_blur": verdict, "energy": nothing}},
        "cost": {"native": {"passes": 1.0, "needed": 1}},
        "judging": {"passes": 38.0, "needed": 38.0},
        "reasons": {"path": cell(0.01), "prompt_bank": {"prompts": 16, "effective_rank": 15.4}},
    }  # fmt: skip


def test_what_it_says() -> None:
    told = markdown(table())
    assert "5 clips" in told and "80.0%" in told
    assert "energy pointing above chance ↑ (5 clips)" in told
    assert "deletion AUC, blur ↓ (5 clips)" in told
    assert "| native | method | N/A (5) |" in told
    assert "| native | method | 0.250 [0.150, 0.350], 1 N/A |" in told
    assert "| random | control |" in told and "| native_blurred | blurred copy |" in told
    assert "| the mask on native's grid | ceiling | 0.600 [0.500, 0.700] |" in told
    assert "**native** (1 metrics): deletion AUC, blur: random, its blurred copy (better)" in told
    assert "| native | 1.0 | 1 | 1.00 |" in told
    assert "effective rank of the 16 prompts" in told and "15.4" in told


def test_the_true_mask_is_not_asked_to_explain_again() -> None:
    values = table()
    values["rows"]["actor_mask"] = {"deletion_blur": values["rows"]["random"]["deletion_blur"]}
    told = markdown(values)
    assert "| actor_mask | truth | N/A |" in told and "(5 clips)" in told


def test_a_method_that_was_not_judged_beats_nobody() -> None:
    values = table()
    for verdict in values["verdicts"]["native"].values():
        verdict |= {"not_beaten": [], "worse_than_blurred": False, "undefined": True}
    told = markdown(values)
    assert "**native** (0 metrics): not judged, as that takes 8 clips." in told
    assert "beats all four" not in told


def test_a_method_that_beats_all_is_said_to() -> None:
    values = table()
    values["verdicts"]["native"]["deletion_blur"] = {
        "not_beaten": [], "worse_than_blurred": False, "undefined": False,
    }  # fmt: skip
    del values["reasons"]
    told = markdown(values)
    assert "beats all four, and is not worse than its blurred copy" in told
    assert "own reasons" not in told
