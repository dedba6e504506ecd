"""What an audit does to clips: one function a change, by name.

Sources: human-only and background-only clips, HAT (Chung et al., NeurIPS 2022), with a fill of one
colour and a plate of the other frames in place of a trained inpainter; SCUBA with sinusoidal
backgrounds, SCUFO and contrasted accuracy (Li et al., ICCV 2023). ``own_background`` is the control
of all pasting: the same cut and seam, but the clip's own background.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from whyact.ops.fill import fill_region
from whyact.ops.paste import paste_foreground, remove_actor, rim
from whyact.ops.static import static_clip


@dataclass(frozen=True)
class Scene:
    """What the changes work on.

    Attributes:
        clips, donors: (B, 3, T, H, W) in [0, 1], the audited clips and those that lend backgrounds.
        masks, donor_masks: (B, T, H, W) in {0, 1}, true on the actors.
        seeds: (B,) int64, of everything that is drawn for a clip.
    """

    clips: Tensor
    masks: Tensor
    donors: Tensor
    donor_masks: Tensor
    seeds: Tensor


@dataclass(frozen=True)
class Change:
    """A change of clips.

    Attributes:
        make: the clips (B, 3, T, H, W) of a `Scene`. text: what it leaves, for people.
        needs: ``mask`` or ``donor`` (which includes the mask), else empty.
    """

    make: Callable[[Scene], Tensor]
    text: str
    needs: str = ""


def _pasted(scene: Scene, background: Tensor) -> Tensor:
    """The actors before (B, 3, T, H, W); small clips keep hard edges, or thin limbs would fade."""
    seam = min(scene.clips.shape[-2:]) // 112
    return paste_foreground(scene.clips, scene.masks, background, feather=seam)


def empty(clips: Tensor, masks: Tensor) -> Tensor:
    """The clips without their actors."""
    return remove_actor(clips, masks, dilation=rim(clips))


def stripes(scene: Scene) -> Tensor:
    """(B, 3, T, H, W): still sinusoidal stripes, a colour pair, direction and width for each clip.

    Source: the sinusoidal backgrounds of SCUBA; two to eight periods a frame.
    """
    _, _, t, h, w = scene.clips.shape
    y, x = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1, w), indexing="ij")
    made = []
    for seed in scene.seeds.tolist():
        draw = torch.rand(9, generator=torch.Generator().manual_seed(seed))
        angle, phase, periods = math.pi * draw[0], 2 * math.pi * draw[1], 2 + 6 * draw[2]
        wave = (2 * math.pi * periods * (x * angle.cos() + y * angle.sin()) + phase).sin() / 2 + 0.5
        made.append(torch.lerp(draw[3:6, None, None], draw[6:9, None, None], wave))
    return torch.stack(made)[:, :, None].expand(-1, -1, t, -1, -1).to(scene.clips)


def _scuba(scene: Scene) -> Tensor:
    return _pasted(scene, stripes(scene))


def _middle(clips: Tensor) -> Tensor:
    return static_clip(clips, torch.full((len(clips),), clips.shape[2] // 2))


def _shuffled(scene: Scene) -> Tensor:
    """Frames in a random order, which is neither the clip's own nor its reverse where T > 2."""
    length = scene.clips.shape[2]
    made = []
    for clip, seed in zip(scene.clips, scene.seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(length, generator=generator)
        while length > 2 and len(order.diff().unique()) == 1:
            order = torch.randperm(length, generator=generator)
        made.append(clip[:, order])
    return torch.stack(made)


CHANGES: dict[str, Change] = {
    "original": Change(lambda s: s.clips, "the clip as it is"),
    "human_only": Change(
        lambda s: fill_region(s.clips, 1 - s.masks, "mean"),
        "the actor before one colour", "mask",
    ),
    "background_only": Change(
        lambda s: empty(s.clips, s.masks), "the background, the actor filled in", "mask"
    ),
    "own_background": Change(
        lambda s: _pasted(s, empty(s.clips, s.masks)),
        "control: the actor cut out and pasted back", "mask",
    ),
    "swapped": Change(
        lambda s: _pasted(s, empty(s.donors, s.donor_masks)),
        "the actor before the background of another action's clip", "donor",
    ),
    "scuba": Change(_scuba, "the actor before coloured stripes", "mask"),
    "scufo": Change(
        lambda s: _middle(_scuba(s)), "the middle frame of that, standing still", "mask"
    ),
    "shuffled": Change(_shuffled, "the frames in random order"),
    "reversed": Change(lambda s: s.clips.flip(2), "the frames backwards"),
    "static": Change(lambda s: _middle(s.clips), "the middle frame, standing still"),
}  # fmt: skip
