"""From factors to pixels and masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from whyact.data.backdrop.actions import (
    ACTIONS,
    MOTIONS,
    PERIODIC,
    TRAVEL,
    Body,
    Pose,
    Style,
    acting_limbs,
    draw_body,
    idle,
    other_side,
    segments,
)
from whyact.data.backdrop.factors import (
    NOISE_SCENE,
    UNTRIMMED_LENGTH,
    Actor,
    Factors,
    check_sizes,
    draw_factors,
    kind_of,
)
from whyact.data.backdrop.scenes import paint, paint_noise

SUPERSAMPLE = 2
PLATE = 1.9
"""Side of the painted scene in frames, so that the camera never leaves it."""
DARK = (22, 20, 26)

Image8 = NDArray[np.uint8]
Color = tuple[int, int, int]
Part = tuple[str, list[float], float]
"""(limb, line x0 y0 x1 y1, width) in supersampled pixels."""


@dataclass(frozen=True)
class BackdropSample:
    """One generated clip with its truth.

    Attributes:
        video: (T, H, W, 3) uint8 RGB.
        mask: (T, H, W) uint8; bit i is set where actor i covers most of the pixel and no occluder
            hides it, bit 4 + i where its acting limbs do.
        factors: everything that was drawn.
        boxes: (actors, T, 4) float32, tight boxes (x0, y0, x1, y1) in pixels; NaN where hidden.
    """

    video: Image8
    mask: Image8
    factors: Factors
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class _Camera:
    """Where the frame lies on the plate: box (x0, y0, side) in frames of size one."""

    x: float
    y: float
    side: float


def _cameras(factors: Factors, frames: int, rng: np.random.Generator) -> list[_Camera]:
    t = np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)
    shake = rng.normal(0, 1, (frames, 2)) * factors.shake
    middle = (PLATE - 1) / 2
    cameras = []
    for i in range(frames):
        side = 1.0 + factors.zoom * t[i]
        x = middle + factors.pan[0] * t[i] + shake[i, 0] + (1 - side) / 2
        y = middle + factors.pan[1] * t[i] + shake[i, 1] + (1 - side) / 2
        cameras.append(_Camera(float(x), float(y), float(side)))
    return cameras


def pose_at(actor: Actor, time: float, sway: float) -> Pose:
    """The posture of an actor at ``time`` in [0, 1] of the clip.

    Outside its interval an actor of a periodic action stands; the others keep the first or the
    last posture, so that what they sit on or carry does not appear from nowhere.
    """
    style = Style(actor.amplitude, sway)
    name = ACTIONS[actor.action]
    progress = (time - actor.start) / max(1e-6, actor.stop - actor.start)
    acts, progress = 0 <= progress <= 1, min(1.0, max(0.0, progress))
    rest = idle(time, style)
    if name in PERIODIC:
        pose = MOTIONS[name](actor.phase + actor.cycles * progress, style) if acts else rest
        travel = TRAVEL.get(name, 0.0) * actor.cycles * (progress - 0.5) * actor.amplitude
        pose = replace(pose, travel=travel)
    else:
        # These happen once, there and back or one way; tempo moves their speed around mid-clip.
        pose = MOTIONS[name](min(1.0, max(0.0, 0.5 + (progress - 0.5) * actor.cycles)), style)
    if not acts and name not in PERIODIC:
        pose = replace(pose, lean=pose.lean + rest.lean)
    return other_side(pose) if actor.swap_sides else pose


class _Figure:
    """Draws one actor: outline first, then cloth with a lit edge, limb by limb."""

    def __init__(self, actor: Actor, body: Body, size: int, prop: Color) -> None:
        skin, hair, shirt, trousers = actor.colors
        self.actor, self.body, self.size = actor, body, size
        self.colors: dict[str, Color] = {"torso": shirt, "head": skin}
        self.colors |= {"leg_near": trousers, "prop": prop}
        self.colors["leg_far"] = _scaled(trousers, 0.7)
        self.colors["arm_near"] = shirt
        self.colors["arm_far"] = _scaled(shirt, 0.7)
        self.skin, self.hair = skin, hair

    def place(self, camera: _Camera, drift: tuple[float, float]) -> tuple[float, float, float]:
        """Origin (x, y) and scale in supersampled pixels; the figure stands in the world."""
        unit = self.size * SUPERSAMPLE / camera.side
        x = (self.actor.x + drift[0] - camera.x) * unit
        y = (self.actor.ground + drift[1] - camera.y) * unit
        return x, y, self.actor.height * unit

    def parts(self, pose: Pose, origin: tuple[float, float, float]) -> list[Part]:
        x, y, scale = origin
        along = self.actor.facing * self.actor.foreshorten * scale
        lines = []
        for name, start, end, width in segments(pose, self.body):
            line = [x + start[0] * along, y - start[1] * scale]
            line += [x + end[0] * along, y - end[1] * scale]
            lines.append((name, line, width * scale))
        return lines

    def draw(self, canvas: ImageDraw.ImageDraw, masks: list[tuple[ImageDraw.ImageDraw, set[str]]],
             parts: list[Part]) -> None:  # fmt: skip
        rim = max(1.5, self.size / 42)
        for name, line, width in parts:
            _capsule(canvas, line, width + rim, DARK)
            _capsule(canvas, line, width, self.colors[name])
            if name == "torso":
                lit = _scaled(self.colors[name], 1.25, 12)
                edge = width * 0.22 * self.actor.facing
                shifted = [line[0] + edge, line[1], line[2] + edge, line[3]]
                _capsule(canvas, shifted, width * 0.35, lit)
            for mask, wanted in masks:
                # Other limbs in front hide a wanted one.
                _capsule(mask, line, width + rim, 255 if not wanted or name in wanted else 0)
        self._details(canvas, parts)

    def _details(self, canvas: ImageDraw.ImageDraw, parts: list[Part]) -> None:
        facing = self.actor.facing
        for i, (name, line, width) in enumerate(parts):
            if name == "head":
                x, y, r = line[0], line[1], width / 2
                canvas.chord((x - r, y - r, x + r, y + r), 180, 360, fill=self.hair)
                back = x - facing * r * 0.55
                canvas.ellipse((back - r * 0.5, y - r * 0.6, back + r * 0.5, y + r * 0.6),
                               fill=self.hair)  # fmt: skip
            last = i + 1 == len(parts) or parts[i + 1][0] != name
            if name.startswith("arm") and last:
                _capsule(canvas, [line[2], line[3]] * 2, width * 1.15, self.skin)


def _scaled(color: Color, gain: float, offset: int = 0) -> Color:
    r, g, b = (min(255, int(c * gain + offset)) for c in color)
    return r, g, b


def _capsule(
    canvas: ImageDraw.ImageDraw, line: list[float], width: float, fill: Color | int
) -> None:
    x0, y0, x1, y1 = line
    r = width / 2
    if (x0, y0) != (x1, y1):
        canvas.line((x0, y0, x1, y1), fill=fill, width=max(1, round(width)))
        canvas.ellipse((x1 - r, y1 - r, x1 + r, y1 + r), fill=fill)
    canvas.ellipse((x0 - r, y0 - r, x0 + r, y0 + r), fill=fill)


@dataclass(frozen=True)
class _Mover:
    """A distractor: a ball, bird or balloon that crosses the scene behind the actors."""

    kind: int
    start: tuple[float, float]
    speed: tuple[float, float]
    radius: float
    color: tuple[int, int, int]

    def draw(self, canvas: ImageDraw.ImageDraw, time: float, camera: _Camera, unit: float) -> None:
        u = unit / camera.side
        x = (self.start[0] + self.speed[0] * time - camera.x) * u
        y = (self.start[1] + self.speed[1] * time - camera.y) * u
        r = self.radius * u
        if self.kind == 0:
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=self.color, outline=DARK)
        elif self.kind == 1:
            flap = r * math.sin(time * 18)
            canvas.line((x - r, y - flap, x, y, x + r, y - flap), fill=self.color, width=3)
        else:
            area = (x - r, y - r * 0.5, x + r, y + r * 0.5)
            canvas.rectangle(area, fill=self.color, outline=DARK)


def _color(rng: np.random.Generator, low: int, high: int) -> Color:
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return r, g, b


def _movers(count: int, rng: np.random.Generator, middle: float) -> list[_Mover]:
    movers = []
    for _ in range(count):
        side = rng.choice([-1.0, 1.0])
        start = (middle + 0.5 - side * rng.uniform(0.2, 0.6), middle + rng.uniform(0.05, 0.95))
        speed = (side * rng.uniform(0.3, 0.8), rng.uniform(-0.1, 0.1))
        color = _color(rng, 30, 230)
        movers.append(_Mover(int(rng.integers(3)), start, speed, float(rng.uniform(0.02, 0.045)),
                             color))  # fmt: skip
    return movers


def _lighting(video: Image8, factors: Factors, rng: np.random.Generator) -> Image8:
    frames, _, width, _ = video.shape
    table = np.asarray((np.arange(256) / 255) ** factors.gamma * 255, np.float32)
    flicker = np.asarray(1 + rng.normal(0, factors.flicker, frames), np.float32)
    slope = (1 + factors.gradient * np.linspace(-1, 1, width)).astype(np.float32)
    gain = factors.gain * flicker[:, None, None] * slope[None, :, None]
    light = gain * np.asarray(factors.cast, np.float32)
    lit = table[video] * light[:, None]
    grain = rng.integers(-3, 4, video.shape, dtype=np.int8)
    return (lit + grain).clip(0, 255).astype(np.uint8)


def render(factors: Factors, *, frames: int, size: int) -> BackdropSample:
    """Draw a clip.

    Args:
        factors: what to draw. frames: T. size: H = W in pixels.
    """
    rng = np.random.default_rng(factors.style_seed)
    big = size * SUPERSAMPLE
    plate_side = int(big * PLATE)
    noise = factors.scene == NOISE_SCENE
    plate = paint_noise(rng, plate_side) if noise else paint(factors.scene, rng, plate_side)
    middle = (PLATE - 1) / 2
    prop = _color(rng, 60, 200)
    sways = rng.uniform(0, 6.3, len(factors.actors))
    figures = [_Figure(a, draw_body(rng), size, prop) for a in factors.actors]
    movers = _movers(factors.distractors, rng, middle)
    post = _color(rng, 20, 120)
    cameras = _cameras(factors, frames, rng)
    video = np.empty((frames, size, size, 3), np.uint8)
    mask = np.zeros((frames, size, size), np.uint8)
    for t, camera in enumerate(cameras):
        time = t / max(1, frames - 1)
        x0, y0, side = camera.x * big, camera.y * big, camera.side * big
        box = (x0, y0, x0 + side, y0 + side)
        frame = plate.resize((big, big), Image.Resampling.BILINEAR, box=box)
        canvas = ImageDraw.Draw(frame)
        for mover in movers:
            mover.draw(canvas, time, camera, big)
        coverage = []
        for figure, sway in zip(figures, sways, strict=True):
            pose = pose_at(figure.actor, time, float(sway))
            parts = figure.parts(pose, figure.place(camera, (middle, middle)))
            whole, limbs = Image.new("L", (big, big)), Image.new("L", (big, big))
            acting = acting_limbs(ACTIONS[figure.actor.action], figure.actor.swap_sides)
            masks = [(ImageDraw.Draw(whole), set[str]()), (ImageDraw.Draw(limbs), acting)]
            figure.draw(canvas, masks, parts)
            coverage.append((whole, limbs))
        posts = Image.new("L", (big, big))
        for x, width in factors.occluders:
            left = (x + middle - camera.x) * big / camera.side
            area = (left, 0, left + width * big / camera.side, big)
            canvas.rectangle(area, fill=post)
            ImageDraw.Draw(posts).rectangle(area, fill=255)
        video[t] = np.asarray(frame.reduce(SUPERSAMPLE))
        mask[t] = _bits(coverage, posts)
    return BackdropSample(_lighting(video, factors, rng), mask, factors, _boxes(mask, len(figures)))


def _bits(coverage: list[tuple[Image.Image, Image.Image]], posts: Image.Image) -> Image8:
    def covered(image: Image.Image) -> NDArray[np.bool_]:
        return np.asarray(image.reduce(SUPERSAMPLE)) > 127

    visible = ~covered(posts)
    bits = np.zeros(visible.shape, np.uint8)
    for i, (whole, limbs) in enumerate(coverage):
        # A later actor stands in front of an earlier one.
        front = np.zeros_like(visible)
        for later, _ in coverage[i + 1 :]:
            front |= covered(later)
        bits |= (covered(whole) & visible & ~front).astype(np.uint8) << i
        bits |= (covered(limbs) & visible & ~front).astype(np.uint8) << (4 + i)
    return bits


def _boxes(mask: Image8, actors: int) -> NDArray[np.float32]:
    boxes = np.full((actors, len(mask), 4), np.nan, np.float32)
    for i in range(actors):
        for t, bits in enumerate(mask):
            ys, xs = np.nonzero(bits >> i & 1)
            if len(xs):
                boxes[i, t] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return boxes


def split_frames(split: str, frames: int) -> int:
    """Frames of a clip of a split, see `generate_clip`."""
    return frames * UNTRIMMED_LENGTH if kind_of(split) == "untrimmed" else frames


def generate_clip(
    *, split: str, index: int, seed: int = 0, frames: int = 16, size: int = 112,
    correlation: float = 0.9,
) -> BackdropSample:  # fmt: skip
    """Clip ``index`` of a split: a pure function of its arguments.

    ``untrimmed`` clips have `UNTRIMMED_LENGTH` times the frames; ``scufo`` tiles a frame of the
    ``scuba`` clip with the same index, at the middle of its time to the digit: a little later or
    earlier, sitting down could be told from standing up by how far it got.

    Raises:
        WhyactError: an unknown split, or sizes that cannot be drawn.
    """
    check_sizes(frames=frames, size=size)
    factors = draw_factors(split=split, index=index, seed=seed, correlation=correlation)
    length = split_frames(split, frames)
    if kind_of(split) != "scufo":
        return render(factors, frames=length, size=size)
    sample = render(factors, frames=length | 1, size=size)  # an odd number has a middle
    middle = [length // 2] * length
    return BackdropSample(
        sample.video[middle], sample.mask[middle], factors, sample.boxes[:, middle]
    )
