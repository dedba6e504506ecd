"""Do the reasons that a recogniser names change its prediction? Paths, prompts, regions, frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from whyact.explainers.native import explain_output, follow
from whyact.explainers.paths import clip_graph, random_chain, strongest_chain, without_chains
from whyact.metrics.faithfulness import Ends, deletion_insertion
from whyact.metrics.maps import map_similarity
from whyact.metrics.prompts import effective_rank, prompt_alignment, prompt_redundancy
from whyact.metrics.stability import factor_stability, region_agreement
from whyact.metrics.summary import summarise, summarise_difference
from whyact.models.interventions import Intervention, intervened, prompt_bank
from whyact.models.recognizer import ActionRecognizer
from whyact.ops.draw import clip_generators
from whyact.ops.fill import Fill
from whyact.ops.probability import Probabilities, one_of
from whyact.types import ActionOutput, Explanation

DRAWS = 8
"""Random paths a clip, of each kind."""


@dataclass
class Reasons:
    """What was measured of the model's own reasons, clip by clip.

    Attributes:
        values: by name; NaN where undefined. codes: action codes and nuisance codes over time.
        mixtures, content: of the prompts, and mean tokens, for their alignment.
    """

    values: dict[str, list[Tensor]] = field(default_factory=dict)
    codes: dict[str, list[Tensor]] = field(default_factory=dict)
    mixtures: list[Tensor] = field(default_factory=list)
    content: list[Tensor] = field(default_factory=list)

    def add(self, other: Reasons) -> None:
        """Append the clips of another."""
        for mine, theirs in ((self.values, other.values), (self.codes, other.codes)):
            for name, parts in theirs.items():
                mine.setdefault(name, []).extend(parts)
        self.mixtures += other.mixtures
        self.content += other.content

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "values": {k: [p.tolist() for p in v] for k, v in self.values.items()},
            "codes": {k: [p.tolist() for p in v] for k, v in self.codes.items()},
            "mixtures": [m.tolist() for m in self.mixtures],
            "content": [c.tolist() for c in self.content],
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Reasons:
        """What `to_json` gave."""
        return cls(
            values={k: [torch.tensor(p).double() for p in v] for k, v in given["values"].items()},
            codes={k: [torch.tensor(p) for p in v] for k, v in given["codes"].items()},
            mixtures=[torch.tensor(m) for m in given["mixtures"]],
            content=[torch.tensor(c) for c in given["content"]],
        )

    def note(self, **values: Tensor) -> None:
        """Append values (B,) of some clips."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value.double())


@torch.no_grad()
def measure_reasons(
    model: ActionRecognizer, clips: Tensor, mask: Tensor | None, rounds: int, made: Reasons,
    *, steps: int = 4, probabilities: Probabilities = one_of,
) -> None:  # fmt: skip
    """Measure the reasons of clips (B, 3, T, H, W) and append them to ``made``.

    Args:
        model: in evaluation mode. clips: RGB in [0, 1]. mask: (B, T, H, W) of actors, or None.
        rounds: of messages in the clip graph; 0 without one. made: what was measured so far.
        steps: of the deletion and insertion of whole frames. probabilities: of logits.
    """
    tokens, grid = model.encode(clips)
    output = model.trace(tokens, grid)
    explanations = explain_output(output, clips.shape[2:])
    output, targets = output.detach(), output.logits.argmax(1)
    heat = torch.stack([e.heat for e in explanations])
    gaps = [e.extra["completeness_gap"] for e in explanations]
    made.note(completeness_gap=torch.tensor(gaps), constant_share=_constant_share(explanations))
    for name, code in (("action", output.action_code), ("nuisance", output.nuisance_code)):
        made.codes.setdefault(name, []).append(_steps(output, code))
    if rounds:
        generators = clip_generators(clips)
        effects = [
            _path_effects(model, tokens[b : b + 1], output.rows(b, b + 1), rounds, g)
            for b, g in enumerate(generators)
        ]
        strongest, same_end, anywhere = torch.tensor(effects).double().T
        made.note(path=strongest, path_same_end=same_end, path_anywhere=anywhere)
    if output.prompts.shape[2]:
        _prompts(model, tokens, output, targets, heat, made)
    if mask is not None:
        cells = output.assignment.unflatten(-1, grid)
        agreement, fit = region_agreement(cells, mask)
        made.note(region_agreement=agreement, region_fit=fit)
    _frames(model, clips, output, targets, made, steps, probabilities)


def _steps(output: ActionOutput, code: Tensor) -> Tensor:
    """(B, T', 1, C), the mean of a code over the real regions of each step."""
    if not output.node_mask.numel():
        return code.mean(2, keepdim=True)
    real = output.node_mask.unsqueeze(-1)
    return (code * real).sum(2, keepdim=True) / real.sum(2, keepdim=True).clamp_min(1)


def _constant_share(explanations: Sequence[Explanation]) -> Tensor:
    """(B,) in [0, 1]: size of what constants gave, over it and what was followed to cells."""
    constant = torch.tensor([e.extra["constant"] for e in explanations], dtype=torch.float64)
    earned = torch.tensor([e.score - e.bias for e in explanations], dtype=torch.float64)
    return constant.abs() / (constant.abs() + (earned - constant).abs())  # NaN where both are 0


def _path_effects(
    model: ActionRecognizer, tokens: Tensor, one: ActionOutput, rounds: int, g: torch.Generator
) -> list[float]:
    """Absolute change of the logit without the strongest path, and without random ones (means).

    Random paths of the same length end in the same region, or in any region of any frame.
    """
    target = int(one.logits.argmax())
    contributions = one.contributions[0, :, :, target]
    weights = clip_graph(one)
    steps, regions = contributions.shape
    width = regions + one.prompts.shape[2]
    t, k = divmod(int(contributions.argmax()), regions)
    end = t * width + k
    chains = [strongest_chain(weights, end, rounds)]
    chains += [random_chain(weights, end, rounds, g) for _ in range(DRAWS)]
    for _ in range(DRAWS):
        at = int(torch.randint(steps * regions, (), generator=g))
        chains.append(random_chain(weights, at // regions * width + at % regions, rounds, g))
    cut = intervened(model, Intervention(keep=without_chains(one, chains)))
    without = cut.decode(tokens.expand(len(chains), -1, -1, -1), one.grid)
    change = (without.logits[:, target] - one.logits[0, target]).abs()
    parts = change.split([1, DRAWS, DRAWS])
    return [float(part.mean()) for part in parts]


def _prompts(
    model: ActionRecognizer, tokens: Tensor, output: ActionOutput, targets: Tensor, heat: Tensor,
    made: Reasons,
) -> None:  # fmt: skip
    made.note(prompt_redundancy=prompt_redundancy(output.prompts))
    made.mixtures.append(output.prompt_weights.mean(1).flatten(1))
    made.content.append(tokens.mean((1, 2)))
    drop = similarity = torch.full((len(tokens),), torch.nan)
    if len(tokens) > 1:  # else there is no other clip to take prompts from
        donor = torch.arange(len(tokens)).roll(1)
        swapped = intervened(model, Intervention(donor=donor)).trace(tokens, output.grid)
        other = follow(swapped, targets).heat(heat.shape[1:])
        drop = (output.logits - swapped.detach().logits).gather(1, targets[:, None])[:, 0]
        similarity = map_similarity(heat, other)
    made.note(prompt_swap_drop=drop, prompt_swap_similarity=similarity)


def _frames(
    model: ActionRecognizer, clips: Tensor, output: ActionOutput, targets: Tensor, made: Reasons,
    steps: int, probabilities: Probabilities,
) -> None:  # fmt: skip
    """Deletion and insertion of whole frames, by the evidence of each."""
    t, h, w = clips.shape[2:]
    pick = targets[:, None, None].expand(-1, output.frame_logits.shape[1], 1)
    evidence = output.frame_logits.gather(2, pick)[..., 0]
    evidence = torch.nn.functional.interpolate(evidence[:, None], t, mode="linear")[:, 0]
    evidence = evidence - evidence.amin(1, keepdim=True)
    maps = evidence[:, :, None, None].expand(-1, -1, h, w)
    random = torch.stack([torch.rand(t, generator=g) for g in clip_generators(clips, 1)])
    controls = random[:, :, None, None].expand(-1, -1, h, w)
    ends: dict[Fill, Ends] = {}
    for name, heat in (("frames", maps), ("random_frames", controls)):
        curves = deletion_insertion(
            lambda x: probabilities(model(x).logits), clips, heat.contiguous(), targets,
            fills=("blur", "mean"), tube=(1, h, w), steps=min(steps, t), batch_size=16, ends=ends,
        )  # fmt: skip
        gap = torch.stack([c.insertion_auc - c.deletion_auc for c in curves]).mean(0)
        made.note(**{name: gap})


def summarise_reasons(model: ActionRecognizer, found_by: Sequence[Reasons]) -> dict[str, Any]:
    """The numbers with intervals and counts, as JSON values.

    Args:
        model: one of those that were measured. found_by: what each model gave; codes and prompts
            of different models have nothing in common, so they are compared within one.
    """
    made = Reasons()
    for each in found_by:
        made.add(each)
    values = {name: torch.cat(parts) for name, parts in made.values.items()}
    for name in made.codes:
        codes = [torch.cat(each.codes[name]) for each in found_by if name in each.codes]
        if codes[0].shape[-1]:
            values[f"{name}_code_stability"] = torch.cat([factor_stability(c) for c in codes])
    found: dict[str, Any] = {name: asdict(summarise(v)) for name, v in values.items()}
    for a, b in (
        ("path", "path_same_end"), ("path", "path_anywhere"), ("frames", "random_frames"),
    ):  # fmt: skip
        if a in values:
            found[f"{a}_minus_{b}"] = asdict(summarise_difference(values[a], values[b]))
    bank = prompt_bank(model)
    if bank is not None and len(found_by) == 1:
        found["prompt_bank"] = {"effective_rank": effective_rank(bank), "prompts": len(bank)}
    if len(found_by) == 1 and sum(len(m) for m in made.mixtures) >= 8:
        aligned = prompt_alignment(torch.cat(made.mixtures), torch.cat(made.content))
        found["prompt_alignment"] = {
            "rank": asdict(summarise(aligned.rank)), "found": asdict(summarise(aligned.found)),
            "information": aligned.information, "candidates": aligned.candidates,
        }  # fmt: skip
    return found
