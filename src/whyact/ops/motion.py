"""Find the actor without labels: what moves after the camera's own motion is taken out.

Two cues. The motion cue is the difference between a frame and the background plate, the median of
the aligned frames (`whyact.ops.plate`). It misses what stands still in most frames, such as the
legs of someone who waves, and it marks uncovered background. The colour cue repairs both: the
colours of the moving pixels against those of the rest of the clip, near the moving pixels, as in
GrabCut (Rother et al., SIGGRAPH 2004), with histograms in place of Gaussian mixtures and local
averages in place of the graph cut. No label and no mask enters; the constants below were chosen on
the masks of 80 generated clips of Backdrop's training split at 8 x 64 x 64 with a content seed that
no published split uses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyact.ops.camera import Camera, camera_motion, chunk_size
from whyact.ops.plate import background_plate
from whyact.ops.warp import box_mean, dilate, erode

_SIDE = 112
"""Larger frames are shrunk by a whole factor, to a short side of at least this."""
_BINS = 16
"""Colour bins a channel."""
MIN_AREA, MAX_AREA = 0.005, 0.6
"""Share of the clip that actors cover; beyond these, what was found is not them."""
_PART = 0.2
"""Where legs that stand still and arms in front of their own colour begin to count."""


def foreground(video: Tensor, camera: Camera | None = None, rounds: int = 2) -> Tensor:
    """Where the actors are, from motion that the camera does not explain.

    Everything that moves counts, so distractors and props that move are found too; small isolated
    ones are suppressed. A clip in which nothing moves gives zeros.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
        camera: from `whyact.ops.camera.camera_motion`; estimated where None.
        rounds: of the colour cue; 0 gives the motion cue alone.

    Returns:
        (B, T, H, W) float in [0, 1], the probability of an actor; above one half is the mask.
    """
    size = chunk_size(video)
    parts = [
        _foreground(
            video[i : i + size], None if camera is None else camera.rows(i, i + size), rounds
        )
        for i in range(0, len(video), size)
    ]
    return torch.cat(parts)


def whole_actors(video: Tensor) -> Tensor:
    """Actors with all their limbs, to cut them out of real clips: (B, T, H, W) bool.

    `foreground` is at its best on the whole mask, which costs thin limbs: an arm of the ground's
    colour, or legs that hardly move. Here they count, and so does whatever moves, whatever its
    colour, with a rim that takes a little of the background along.

    Args:
        video: (B, 3, T, H, W) float in [0, 1].
    """
    found = torch.maximum(foreground(video), foreground(video, rounds=0)) > _PART
    return dilate(found.float(), _radius(0.9, found)) > 0.5


def _foreground(video: Tensor, camera: Camera | None, rounds: int) -> Tensor:
    _, _, t, h, w = video.shape
    factor = max(1, min(h, w) // _SIDE)
    small = video
    if factor > 1:
        small = F.interpolate(video, (t, h // factor, w // factor), mode="area")
    camera = camera_motion(small) if camera is None else camera.scaled(1 / factor)
    frames = small.transpose(1, 2)
    plate = background_plate(small, camera=camera).transpose(1, 2)
    evidence = _motion_evidence(frames, plate)
    seed = _open(evidence, _radius(1, evidence)) * torch.sigmoid(evidence)
    found = _refine(frames, evidence, seed, rounds) if rounds else seed
    # A handful of noisy pixels is no actor, and the colour cue must not grow one from them.
    found = found * (seed.mean((1, 2, 3), keepdim=True) > 5e-4)
    if factor > 1:
        found = F.interpolate(found, (h, w), mode="bilinear", align_corners=False)
    return found


def _radius(at_64: float, maps: Tensor) -> int:
    """A radius given for frames of 64 pixels, scaled to these."""
    return max(1, round(at_64 * min(maps.shape[-2:]) / 64))


def _motion_evidence(frames: Tensor, plate: Tensor) -> Tensor:
    """(B, T, H, W), above zero where a frame differs from the plate by more than its noise."""
    rest = box_mean((frames - plate).abs().amax(2), 1)
    noise = rest.flatten(1)[:, ::7].median(1).values.view(-1, 1, 1, 1)
    threshold = (2 * noise).clamp_min(0.07)
    return (rest / threshold - 1) / 0.2


def _open(evidence: Tensor, radius: int) -> Tensor:
    """1 where evidence is positive over a whole window; drops specks and thin residual edges."""
    return dilate(erode((evidence > 0).to(evidence), radius), radius)


def _refine(frames: Tensor, evidence: Tensor, found: Tensor, rounds: int) -> Tensor:
    """Alternate between learning the actor's colours and finding them near the actor."""
    bins = _color_bins(frames)
    near, tall, wide = (_radius(r, found) for r in (4, 8, 2))
    for _ in range(rounds):
        pooled = found.mean(1, keepdim=True)
        # An actor who stands stays in place; one who walks is near its last place.
        place = 0.4 * pooled + 0.6 * found
        place = box_mean(place, (tall, wide))
        away = (1 - dilate(pooled, near)).clamp_min(0.02).expand_as(found)
        color = _color_evidence(bins, found, away)
        prior = ((place + 0.03) / 0.35).log()
        score = 0.25 * evidence.clamp(-3, 1) + 1.5 * color.clamp(-4, 4) + 0.5 * prior - 1
        found = torch.sigmoid(box_mean(score, _radius(1, score)))
    return found


def _color_bins(frames: Tensor) -> Tensor:
    """(B, T * H * W) int64 colour bin of every pixel of (B, T, 3, H, W)."""
    levels = (frames * _BINS).long().clamp_(0, _BINS - 1)
    return ((levels[:, :, 0] * _BINS + levels[:, :, 1]) * _BINS + levels[:, :, 2]).flatten(1)


def _color_evidence(bins: Tensor, actor: Tensor, background: Tensor) -> Tensor:
    """Log likelihood ratio of each pixel's colour, from histograms under the two weights."""
    b = len(bins)
    count = _BINS**3
    weights = torch.cat([actor.flatten(1), background.flatten(1)])
    table = weights.new_zeros(2 * b, count).scatter_add_(1, bins.repeat(2, 1), weights)
    total = table.sum(1, keepdim=True).clamp_min(1e-6)
    table = _smooth(table.view(2 * b, 1, _BINS, _BINS, _BINS)).view(2 * b, count)
    # Colours never seen count a little for both sides.
    density = (table + 0.1 * total / count) / total
    ratio = (density[:b] / density[b:]).log()
    return ratio.gather(1, bins).view(actor.shape)


def _smooth(table: Tensor) -> Tensor:
    """Share each bin's count with its neighbours: noise and shading move a colour by a bin."""
    for axis in (2, 3, 4):
        padded = table.transpose(axis, 4)
        low = F.pad(padded[..., 1:], (0, 1))
        high = F.pad(padded[..., :-1], (1, 0))
        table = ((padded + 0.25 * (low + high)) / 1.5).transpose(axis, 4)
    return table
