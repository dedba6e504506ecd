"""Finding the right clip by its code: after backgrounds are swapped, and by its prompts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from whyact.objectives.base import Objective, View
from whyact.objectives.codes import first_row, gather_rows, info_nce
from whyact.objectives.terms import UNDEFINED, same_label
from whyact.types import ActionOutput, Batch, WhyactError

TEMPERATURE = 0.1


class SwapContrast(Objective):
    """The action code follows the actor to another background; the nuisance code stays behind.

    `foreground_paste` pastes the actor of clip i before the background of clip j. Among all clips
    of the batch, the pasted clip's action code must find i and not j, and its nuisance code j and
    not i (`whyact.objectives.codes.info_nce`, the mean of both). So the clip that shares only the
    background is a negative for the action, and the other way round. Other clips with the wanted
    clip's own action are left out; scene labels are not looked at, so a scene may meet itself.

    Source: pulling the view with another scene and pushing the view with another motion goes back
    to DSM (Wang et al., AAAI 2021), whose views are disturbed instead of swapped. Pasting, the
    nuisance code's half and the use beside cross-entropy are this project's.

    Args:
        temperature: of the contrast.
    """

    name = "swap_contrast"
    needs_regions = True
    reads = ("foreground_paste",)

    def __init__(self, *, temperature: float = TEMPERATURE) -> None:
        if not temperature > 0:
            raise WhyactError(f"swap_contrast_temperature must be above 0, got {temperature}.")
        self.temperature = temperature

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the pasted clips; 0 where there are none."""
        clip, pasted = outputs["clip"], outputs["foreground_paste.pasted"]
        view = views["foreground_paste.pasted"]
        halves = [
            self._half(
                pasted.mean_code(pasted.action_code), clip.mean_code(clip.action_code),
                view.rows, batch.label,
            ),
            self._half(
                pasted.mean_code(pasted.nuisance_code), clip.mean_code(clip.nuisance_code),
                view.background, torch.full_like(batch.nuisance, UNDEFINED),
            ),
        ]  # fmt: skip
        return torch.stack(halves).mean()

    def _half(self, anchors: Tensor, codes: Tensor, wanted: Tensor, label: Tensor) -> Tensor:
        """One code: of mean codes (B, C), row ``wanted`` (n,) is right for each anchor (n, C)."""
        candidates = gather_rows(codes)
        labels = gather_rows(label.reshape(len(label), -1))
        own = label.reshape(len(label), -1)[wanted]
        positive = wanted + first_row(len(label), label.device)
        left_out = same_label(own, labels) & (own[:, :1] != UNDEFINED)
        left_out[torch.arange(len(positive)), positive] = False
        return info_nce(
            anchors, candidates, positive, temperature=self.temperature,
            left_out=left_out,
        )  # fmt: skip


class SwapConsistency(Objective):
    """The action code stays as it is when the background is swapped, the nuisance code follows it.

    `foreground_paste` pastes the actor of clip i before the background of clip j. The squared
    difference of the pasted clip's mean action code from that of clip i, and of its mean nuisance
    code from that of clip j, over twice the variance of each feature between clips: about 1 for a
    code that holds nothing of what it should hold, 0 for one that holds nothing else. As it is
    relative, feature by feature, a code can't lower it by shrinking.
    """

    name = "swap_consistency"
    needs_regions = True
    reads = ("foreground_paste",)

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over pasted clips, features and the two codes; 0 where there are none."""
        clip, pasted = outputs["clip"], outputs["foreground_paste.pasted"]
        view = views["foreground_paste.pasted"]
        action, nuisance = (
            relative_change(pasted.mean_code(of(pasted)), clip.mean_code(of(clip)), wanted)
            for of, wanted in (
                (lambda o: o.action_code, view.rows), (lambda o: o.nuisance_code, view.background),
            )
        )  # fmt: skip
        return (action + nuisance) / 2


def relative_change(codes: Tensor, origins: Tensor, wanted: Tensor, least: float = 0.0) -> Tensor:
    """Mean squared difference of codes (n, C) from rows ``wanted`` (n,) of ``origins`` (B, C).

    Each feature's is over twice its variance among all of them, those of other processes included
    (so every process must call it, n = 0 gives 0), and ``least`` of the mean variance.
    """
    spread = gather_rows(torch.cat([origins, codes])).var(0, unbiased=False)
    spread = spread + least * spread.mean()
    change = (codes - origins[wanted]).square().sum(0) / max(1, len(codes))
    return (change / (2 * spread + 1e-6)).mean()


class PromptAlignment(Objective):
    """A clip's prompts say which clip they are of: they find its content, and it finds them.

    Prompts (their mean over frames) and content are projected to one space by two linear maps and
    compared over the batch, both ways. Content is the mean backbone token where the head looks, so
    that prompts are asked for the actor rather than the whole scene; it gets no gradient, or it
    would learn to be easy to name. ``log B`` is chance, and all that static prompts can reach.

    Prompts that tell clips apart may do so by the scene: look at the leakage beside it.

    Source: the symmetric loss of CLIP (Radford et al., ICML 2021, section 2.3), which compares
    texts and images; deviation: a fixed temperature.
    """

    name = "prompt_alignment"

    def __init__(self) -> None:
        self.maps: nn.ModuleDict | None = None

    def attach(self, example: ActionOutput) -> nn.Module:
        """Two linear maps."""
        prompts, width = example.prompts.shape[-2:]
        if prompts == 0:
            raise WhyactError(
                "objectives.prompt_alignment needs prompts, but the model has none; take "
                "model.dynamic_prompts.type: generated, or set objectives.prompt_alignment to 0."
            )
        self.maps = nn.ModuleDict(
            {
                "prompts": nn.Linear(prompts * width, width),
                "content": nn.Linear(example.tokens.shape[-1], width),
            }
        )
        return self.maps

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over clips and both ways; 0 for a single clip."""
        assert self.maps is not None, "attach comes first"
        output = outputs["clip"]
        prompts = gather_rows(self.maps["prompts"](output.prompts.mean(1).flatten(1)))
        content = gather_rows(self.maps["content"](attended_token(output).detach()))
        own = torch.arange(len(prompts), device=prompts.device)
        ways = [
            info_nce(first, second, own, temperature=TEMPERATURE)
            for first, second in ((prompts, content), (content, prompts))
        ]
        return torch.stack(ways).mean()


def attended_token(output: ActionOutput) -> Tensor:
    """(B, D), the mean backbone token over a clip, by where the head looks."""
    heat = output.over_cells(output.region_weights)
    return (heat.unsqueeze(-1) * output.tokens).sum((1, 2))
