"""What the tests of an explanation say, in words; a weak explanation is called weak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["good", "bad", "unknown", "info"]

TIE = 0.02
"""Two maps of one clip whose insertion-minus-deletion differs by less are called equal."""
UNSTEADY = 0.5
"""A map that noise changes by more than half of itself is called unsteady."""
NAMES: Mapping[str, str] = {
    "native": "this explanation", "random": "random maps",
    "centre_prior": "the centre of the frame", "motion_magnitude": "motion alone",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One sentence or two on one property.

    Attributes:
        about: ``prediction``, ``faithful``, ``share``, ``complete``, ``steady``, or
            ``counterfactual``.
        state: whether it speaks for the explanation (for ``prediction`` and ``share``: for the
            model). title, text: for people.
    """

    about: str
    state: State
    title: str
    text: str


def findings(values: Mapping[str, Any]) -> list[Finding]:
    """What is to be said of an explanation, from its JSON values (`whyact.report.schema`)."""
    found = [_faithful(values), _share(values), _complete(values), _steady(values)]
    return [*_prediction(values), *found, *_counterfactual(values)]


def verdict(values: Mapping[str, Any]) -> Finding:
    """The explanation as a whole: it fails if any test of the explanation itself fails."""
    own = [f for f in findings(values) if f.about in ("faithful", "complete", "steady")]
    failed = [f.title.lower() for f in own if f.state == "bad"]
    if failed:
        return Finding(
            "verdict", "bad", "A weak explanation", f"Its tests say: {'; '.join(failed)}."
        )
    if own[0].state == "unknown":
        return Finding("verdict", "unknown", own[0].title, own[0].text)
    left = [f.title for f in own if f.state == "unknown"]
    return Finding(
        "verdict", "good", "It holds up in its tests",
        " ".join(["It beats maps that know nothing of the model.", *(f"{t}." for t in left)]),
    )  # fmt: skip


def justification(values: Mapping[str, Any]) -> float | None:
    """By how much the map beats the best control, in insertion minus deletion; None untested."""
    tests = values["tests"]
    if tests is None:
        return None
    own = tests["gap"][values["method"]]
    best: float = max(v for k, v in tests["gap"].items() if k != values["method"])
    return own - best


def _prediction(values: Mapping[str, Any]) -> list[Finding]:
    best = values["predicted"][0]
    if values["truth"] is None:
        return []
    if best["class"] != values["truth"]:
        return [Finding(
            "prediction", "bad", "The prediction is wrong",
            f"The clip shows “{values['truth']}”; the model says “{best['class']}” "
            f"({best['probability']:.0%}).",
        )]  # fmt: skip
    return [Finding("prediction", "good", "The prediction is right", f"“{best['class']}”, "
                    f"{best['probability']:.0%}.")]  # fmt: skip


def _faithful(values: Mapping[str, Any]) -> Finding:
    tests = values["tests"]
    if tests is None:
        return Finding(
            "faithful", "unknown", "Not tested",
            f"Deletion and insertion were not run for “{values['class']}”.",
        )  # fmt: skip
    gaps, method = tests["gap"], values["method"]
    rival = max((k for k in gaps if k != method), key=lambda k: gaps[k])
    numbers = f"({gaps[method]:+.2f} against {gaps[rival]:+.2f}, insertion minus deletion)"
    curves = tests["curves"]
    whole = max(c["deletion"][method][0] for c in curves)
    empty = min(c["deletion"][method][-1] for c in curves)
    if whole - empty < 0.1:
        return Finding(
            "faithful", "unknown", "Deletion cannot tell here",
            f"The probability of “{values['class']}” is {whole:.0%} for the whole clip and "
            f"{empty:.0%} for an empty one, so taking parts away shows little.",
        )  # fmt: skip
    if gaps[method] - gaps[rival] > TIE:
        return Finding(
            "faithful", "good", "It points at what the model uses",
            f"Taking away what it marks hurts, and keeping it helps, by more together than for any "
            f"control; the best of them is {NAMES[rival]} {numbers}.",
        )  # fmt: skip
    how = "better" if gaps[rival] - gaps[method] > TIE else "as well"
    return Finding(
        "faithful", "bad", "It is no better than a guess",
        f"A map that knows nothing of the model, {NAMES[rival]}, marks what matters {how} "
        f"{numbers}. Do not read the heat map as the reason.",
    )  # fmt: skip


def _share(values: Mapping[str, Any]) -> Finding:
    share = values["action_share"]
    if share is None:
        return Finding(
            "share", "unknown", "Actor or scene: not known",
            f"{without_share(values['mask'], values['drops'])}.",
        )  # fmt: skip
    how = "its true outline" if values["mask"] == "given" else "an outline found from motion"
    if share < 0.5:
        return Finding(
            "share", "bad", "It leans on the background",
            f"Filling in the background costs more of the logit than filling in the actor: the "
            f"actor's share is {share:.0%} (by {how}).",
        )  # fmt: skip
    return Finding(
        "share", "good", "It rests on the actor",
        f"Of the logit that is lost by filling in the actor or the background, {share:.0%} is lost "
        f"with the actor (by {how}).",
    )  # fmt: skip


def without_share(mask: str | None, drops: Mapping[str, float] | None) -> str:
    """Why there is no share of the actor.

    Args:
        mask: where the actor's outline came from. drops: of the logit. Both are None where there
            are none.
    """
    if mask is None:
        return "Not measured"
    return "No actor was found" if drops is None else "Filling in neither lowers the logit"


def _complete(values: Mapping[str, Any]) -> Finding:
    gap = values["completeness_gap"]
    if gap is None:
        return Finding("complete", "unknown", "It does not claim to add up", "The method is not "
                       "additive.")  # fmt: skip
    of = "" if abs(values["logit"]) <= 1 else " of it"
    text = (
        f"All contributions and the bias sum to {values['logit']:+.3f}; off by {gap:.0e}{of} at "
        "most."
    )
    if gap > 1e-4:  # the native explanation fails before; others may not
        return Finding("complete", "bad", "It does not add up", text)
    return Finding("complete", "good", "It adds up to the logit", text)


def _steady(values: Mapping[str, Any]) -> Finding:
    tests = values["tests"]
    if tests is None or tests["stability"]["noise"] is None:
        return Finding("steady", "unknown", "Stability not tested", "There is no number for it.")
    noise, flow = tests["stability"]["noise"], tests["stability"]["flow"]
    moves = "" if flow is None else f" Along the motion it correlates with itself at {flow:.2f}."
    text = f"Noise that can hardly be seen changes the map by {noise:.0%} at most.{moves}"
    if noise > UNSTEADY:
        return Finding("steady", "bad", "It is unsteady", text)
    return Finding("steady", "good", "It is steady", text)


def _counterfactual(values: Mapping[str, Any]) -> list[Finding]:
    found = values["counterfactual"]
    if found is None:
        return []
    if found["regions"] is None:
        text = f"No set of regions was found without which it is not “{found['prediction']}”."
        return [Finding("counterfactual", "info", "What would change its mind", text)]
    names = ", ".join(str(k) for k in found["regions"])
    smallest = "the smallest such set" if found["exact"] else "found greedily"
    text = (
        f"Without region {names} ({found['area']:.0%} of the clip; {smallest}) it would say "
        f"“{found['becomes']}”."
    )
    return [Finding("counterfactual", "info", "What would change its mind", text)]
