"""A weak explanation is called weak; the words follow from the numbers."""

from typing import Any

import pytest
from tests.report.toy_explanation import toy_results, toy_values

from whyact.report.findings import Finding, findings, justification, verdict


def values(native: float | None = 0.5, best: float = 0.2, **changed: Any) -> dict[str, Any]:
    tested = None if native is None else toy_results(native, best)
    return toy_values(results=tested)[0] | changed


def about(name: str, given: dict[str, Any]) -> Finding:
    (found,) = [f for f in findings(given) if f.about == name]
    return found


@pytest.mark.parametrize(
    ("native", "best", "state", "title"),
    [
        (0.5, 0.2, "good", "points at what the model uses"),
        (0.21, 0.2, "bad", "no better than a guess"),
        (0.19, 0.2, "bad", "no better than a guess"),
        (0.1, 0.2, "bad", "no better than a guess"),
        (None, 0.0, "unknown", "Not tested"),
    ],
)
def test_faithful_only_where_every_control_is_beaten(
    native: float | None, best: float, state: str, title: str
) -> None:
    found = about("faithful", values(native, best))
    assert found.state == state and title in found.title
    if native is not None:
        assert ("marks what matters as well" in found.text) == (abs(native - best) < 0.02)
        assert "the centre of the frame" in found.text and f"{native:+.2f}" in found.text
    whole = verdict(values(native, best))
    assert whole.state == state
    assert ("weak" in whole.title) == (state == "bad")


def test_deletion_says_nothing_where_the_probability_does_not_move() -> None:
    given = values()
    for curves in given["tests"]["curves"]:
        curves["deletion"]["native"] = [0.8, 0.8, 0.75]
    found = about("faithful", given)
    assert found.state == "unknown" and "80% for the whole clip and 75% for an empty" in found.text


def test_one_failed_test_makes_the_whole_weak() -> None:
    given = values()
    given["tests"]["stability"]["noise"] = 0.6
    assert verdict(given).title == "A weak explanation" and "unsteady" in verdict(given).text
    assert "60%" in about("steady", given).text
    whole = verdict(values(completeness_gap=2e-4))
    assert whole.state == "bad" and "does not add up" in whole.text
    # Leaning on the background speaks against the model, not against the explanation.
    leaning = values(action_share=0.3, mask="motion")
    assert about("share", leaning).state == "bad" and verdict(leaning).state == "good"
    assert (
        "30%" in about("share", leaning).text
        and "found from motion" in about("share", leaning).text
    )


@pytest.mark.parametrize(
    ("mask", "drops", "said"),
    [
        (None, None, "Not measured."), ("motion", None, "No actor was found."),
        ("motion", {"actor": 0.01, "background": -0.2}, "Filling in neither lowers the logit."),
    ],
)  # fmt: skip
def test_why_there_is_no_share_is_said(
    mask: str | None, drops: dict[str, float] | None, said: str
) -> None:
    found = about("share", values(action_share=None, mask=mask, drops=drops))
    assert (found.state, found.text) == ("unknown", said)


def test_prediction_and_counterfactual_where_they_are_known() -> None:
    assert [f.about for f in findings(values())] == ["faithful", "share", "complete", "steady"]
    assert about("prediction", values(truth="wave")).state == "good"
    wrong = about("prediction", values(truth="kick"))
    assert wrong.state == "bad" and "“kick”" in wrong.text and "“wave”" in wrong.text
    found = {"regions": [0, 1], "prediction": "wave", "becomes": "kick", "exact": True, "area": 0.5}
    assert (
        "Without region 0, 1 (50% of the clip; the smallest"
        in about("counterfactual", values(counterfactual=found)).text
    )
    none = values(counterfactual=found | {"regions": None})
    assert "No set of regions" in about("counterfactual", none).text


def test_justification_is_the_lead_over_the_best_control() -> None:
    assert justification(values(0.5, 0.2)) == pytest.approx(0.3)
    assert justification(values(0.1, 0.2)) == pytest.approx(-0.1)
    assert justification(values(None)) is None
