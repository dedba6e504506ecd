"""An actor in front of another clip's background keeps its action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyact.objectives.base import Objective, View
from whyact.objectives.terms import check_share, draw_partners, draw_rows, label_loss
from whyact.ops.camera import moving_camera
from whyact.ops.motion import MAX_AREA, MIN_AREA
from whyact.ops.paste import paste_foreground, remove_actor, rim
from whyact.ops.warp import sample
from whyact.types import ActionOutput, Batch, WhyactError

MASKS = ("motion", "regions", "true")
GAP_WIDTH = 0.05, 0.15
"""Width of a gap, as a share of the frame's."""


def usable_rows(mask: Tensor) -> Tensor:
    """Rows (n,) of masks (B, T, H, W) that are neither nearly empty nor most of the frame."""
    area = mask.mean((1, 2, 3))
    return ((area > MIN_AREA) & (area < MAX_AREA)).nonzero().flatten()


def backgrounds(batch: Batch, mask: Tensor, rows: Tensor, *, known: bool = True) -> Tensor:
    """What is behind the actors of the clips in rows (n,), (n, 3, T, H, W).

    Args:
        mask: (B, T, H, W) of the actors. known: take the batch's own backgrounds where it has any.
    """
    if batch.background is not None and known:
        return batch.background[rows]
    return remove_actor(batch.video[rows], mask[rows], dilation=rim(batch.video))


class ForegroundPaste(Objective):
    """Cross-entropy on clips whose actor stands in front of another clip's background.

    Source: FAME (Ding et al., CVPR 2022), see `whyact.ops.paste.paste_foreground`. The background
    comes from a clip with another label where there is one, and its own actor is removed. A clip
    whose mask is nearly empty or covers most of the frame is neither pasted nor pasted on.

    Args:
        share: of the batch that gets a pasted view.
        mask: ``motion`` reads `Batch.foreground` (label-free). ``regions`` is a blend of it with
            the model's own attention (`Batch.attention`), which can find the parts of an actor that
            stand still and drop what moves but does not matter; while the model looks everywhere
            alike, it is the motion's mask. ``true`` reads `Batch.mask`, which is an upper bound and
            needs data with masks.
        blend: share of the attention in ``regions``, in [0, 1]. Above one half, a part that never
            moves is pasted if it is looked at enough, and what moves is left if it isn't.
        smoothing: label smoothing.
        gaps: share of the pasted actors that the new background covers in one or two upright
            stripes, `GAP_WIDTH` of the frame wide each: an actor half hidden does the same.
        tempo: actors move up to this many times as fast or as slow, drawn log-uniformly; a slow one
            shows a part of its clip, a fast one stands still when it has done. 1 is off. Both are
            this project's; the action code learns to stand them with `swap_consistency`.
        camera: pasted clips are seen by a camera that pans by up to this share of the frame either
            way, and zooms by up to half of it, while they last; the background's mirror image
            continues it beyond the border. 0 is off. Parts of a pixel soften pasted clips a little.
        ramp: share of the training over which gaps, tempo and camera come in, at first for no
            actor, then for all; 0 has them from the start. Where actors are disturbed before the
            model has found them, how long that takes varies with the seed, up to most of the
            training.
    """

    name = "foreground_paste"

    def __init__(
        self, *, share: float = 0.5, mask: str = "motion", blend: float = 0.6,
        smoothing: float = 0.0, gaps: float = 0.0, tempo: float = 1.0, camera: float = 0.0,
        ramp: float = 0.0,
    ) -> None:  # fmt: skip
        if not tempo >= 1:
            raise WhyactError(f"foreground_paste_tempo must be at least 1, got {tempo}.")
        for setting, value in (("gaps", gaps), ("camera", camera), ("ramp", ramp)):
            if not 0 <= value <= 1:
                raise WhyactError(f"foreground_paste_{setting} must be in [0, 1], got {value}.")
        check_share(self.name, share)
        if mask not in MASKS:
            raise WhyactError(f"Unknown foreground_paste_mask '{mask}'; choose from {list(MASKS)}.")
        if not 0 <= blend <= 1:
            raise WhyactError(f"foreground_paste_blend must be in [0, 1], got {blend}.")
        self.share, self.mask, self.blend, self.smoothing = share, mask, blend, smoothing
        self.gaps, self.tempo, self.camera, self.ramp = gaps, tempo, camera, ramp
        self.needs_foreground = mask != "true"
        self.needs_attention = mask == "regions"

    def views(self, batch: Batch, generator: torch.Generator) -> dict[str, View]:
        """``pasted``: label and mask of the actor's clip, scene of the background's clip.

        Its foreground is what was pasted.
        """
        mask = self._masks(batch)
        usable = usable_rows(mask).cpu()
        wanted = len(draw_rows(len(batch), self.share, generator))
        order = torch.randperm(len(usable), generator=generator)
        rows = usable[order[:wanted]] if len(usable) > 1 else usable[:0]
        partners = draw_partners(rows, usable, batch.label.cpu(), generator)
        rows, partners = rows.to(batch.video.device), partners.to(batch.video.device)
        kept = batch.rows(rows)
        if len(rows) == 0:
            return {"pasted": View(kept, rows, partners)}
        behind = backgrounds(batch, mask, partners, known=self.mask == "motion")
        kept, actor = self._disturbed(kept, mask[rows], generator)
        if self.camera:
            kept, actor, behind = self._moved(kept, actor, behind, generator)
        video = paste_foreground(kept.video, actor, behind)
        # What is not pasted is the other scene, whatever the soft map says of it.
        known = None if kept.foreground is None else actor.to(kept.foreground)
        pasted = replace(kept, video=video, foreground=known, nuisance=batch.nuisance[partners])
        return {"pasted": View(pasted, rows, partners)}

    def _disturbed(
        self, batch: Batch, actor: Tensor, generator: torch.Generator
    ) -> tuple[Batch, Tensor]:
        """Clips and actor masks (n, T, H, W) at another tempo, and with gaps in all masks."""
        count, frames, _, width = actor.shape
        share = self._ramped(batch)
        if self.tempo > 1:
            speed = self.tempo ** (2 * torch.rand(count, 1, generator=generator) - 1)
            if share < 1:
                speed[torch.rand(count, generator=generator) >= share] = 1.0
            start = torch.rand(count, 1, generator=generator) * (1 - speed).clamp_min(0)
            times = (start * (frames - 1) + speed * torch.arange(frames)).round().long()
            at = torch.arange(count)[:, None], times.clamp(max=frames - 1)
            batch = replace(
                batch, video=batch.video.transpose(1, 2)[at].transpose(1, 2), **_known(batch, at)
            )
            actor = actor[at]
        if self.gaps:
            centre, wide, draw = torch.rand(3, count, 2, 1, generator=generator)
            wide = GAP_WIDTH[0] + wide * (GAP_WIDTH[1] - GAP_WIDTH[0])
            # One or two stripes, or none.
            gaps = share * self.gaps
            wide = wide * torch.stack([draw[:, 0] < gaps, draw[:, 0] < gaps / 2], 1)
            place = (torch.arange(width) + 0.5) / width
            left = ((place - (0.25 + 0.5 * centre)).abs() > wide / 2).all(1)[:, None, None]
            left = left.to(actor.device)
            actor = actor * left
            batch = replace(batch, **{k: v * left.to(v) for k, v in _known(batch).items()})
        return batch, actor

    def _moved(
        self, batch: Batch, actor: Tensor, behind: Tensor, generator: torch.Generator
    ) -> tuple[Batch, Tensor, Tensor]:
        """Clips, all masks of their actors, and backgrounds, as a camera that moves sees them.

        What is mirrored at the border is background alone: half an actor upside down is nobody.
        """
        count, frames, *size = actor.shape
        reach = self.camera * (2 * torch.rand(count, 3, generator=generator) - 1)
        reach[torch.rand(count, generator=generator) >= self._ramped(batch)] = 0.0
        reach = reach.to(behind)
        grid = moving_camera(reach[:, :2], reach[:, 2] / 2, frames, (size[0], size[1]))

        def moved(clips: Tensor, padding: str = "zeros") -> Tensor:
            images = sample(clips.transpose(1, 2).flatten(0, 1), grid, padding)
            return images.unflatten(0, (count, frames)).transpose(1, 2)

        masks = {"actor": actor, **_known(batch)}
        masks = {k: moved(v[:, None].to(grid))[:, 0] for k, v in masks.items()}
        if batch.mask is not None:
            masks["mask"] = (masks["mask"] > 0.5).to(batch.mask.dtype)
        actor = (masks.pop("actor") > 0.5).to(actor)
        return replace(batch, video=moved(batch.video), **masks), actor, moved(behind, "reflection")

    def _ramped(self, batch: Batch) -> float:
        """Share of the actors that are disturbed at this point of the training."""
        return min(1.0, batch.progress / self.ramp) if self.ramp else 1.0

    def loss(
        self, outputs: Mapping[str, ActionOutput], batch: Batch, views: Mapping[str, View]
    ) -> Tensor:
        """Mean over the pasted clips."""
        return label_loss(outputs["pasted"].logits, views["pasted"].batch.label, self.smoothing)

    def _masks(self, batch: Batch) -> Tensor:
        mask = batch.mask if self.mask == "true" else batch.foreground
        if mask is None and self.mask == "true":
            raise WhyactError(
                "foreground_paste_mask: true needs a mask of every clip, but some clips of this "
                f"data set have none (batch of '{batch.ids[0]}'). "
                "Use foreground_paste_mask: motion."
            )
        if mask is None or (self.needs_attention and batch.attention is None):
            raise WhyactError(
                "foreground_paste needs Batch.foreground, and Batch.attention for the mask "
                "'regions'; call ObjectiveSet.prepare(batch, model) before."
            )
        if self.needs_attention and batch.attention is not None:
            mask = (1 - self.blend) * mask + self.blend * batch.attention
        # Hard: a half-pasted pixel would show both scenes.
        return (mask > 0.5).to(batch.video)


def _known(batch: Batch, at: Any = ...) -> dict[str, Any]:
    """What a batch knows of where actors are, (n, T, H, W) each, at an index."""
    names = ("mask", "foreground", "attention")
    return {k: v[at] for k in names if (v := getattr(batch, k)) is not None}
