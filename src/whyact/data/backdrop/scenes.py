"""Backdrop's scenes: families of textures and objects with variation inside each family."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Painter = Callable[[ImageDraw.ImageDraw, np.random.Generator, int, "Palette"], None]


class Palette:
    """Colours of one scene: two related hues, jittered around the family's.

    Args:
        rng: draws the jitter. hue: of the family in [0, 1).
    """

    def __init__(self, rng: np.random.Generator, hue: float) -> None:
        self.rng = rng
        self.hue = (hue + rng.uniform(-0.03, 0.03)) % 1.0
        self.value = rng.uniform(0.5, 0.8)
        self.saturation = rng.uniform(0.35, 0.65)

    def __call__(self, turn: float = 0.0, value: float = 1.0, saturation: float = 1.0) -> str:
        """A colour: hue turned by ``turn``, value and saturation scaled."""
        r, g, b = colorsys.hsv_to_rgb(
            (self.hue + turn) % 1.0,
            min(1.0, self.saturation * saturation),
            min(1.0, self.value * value * self.rng.uniform(0.94, 1.06)),
        )
        return f"#{int(r * 255):02x}{int(g * 255):02x}{int(b * 255):02x}"


def _bricks(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    h, w = n // 14, n // 7
    for row in range(15):
        for column in range(-1, 8):
            x, y = column * w + (row % 2) * w // 2, row * h
            d.rectangle((x, y, x + w - 2, y + h - 2), fill=c(0, rng.uniform(0.75, 1.1)))


def _planks(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    x = 0
    while x < n:
        w = int(rng.integers(n // 22, n // 12))
        d.rectangle((x, 0, x + w - 2, n), fill=c(rng.uniform(-0.02, 0.02), rng.uniform(0.7, 1.1)))
        x += w


def _windows(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    x = 0
    while x < n:
        w, top = int(rng.integers(n // 8, n // 5)), int(rng.integers(n // 20, n // 3))
        d.rectangle((x, top, x + w - 2, n), fill=c(0.05, rng.uniform(0.45, 0.7)))
        step = n // 24
        for wx in range(x + 3, x + w - step, step * 3 // 2):
            for wy in range(top + 4, n, step * 2):
                lit = rng.random() < 0.5
                d.rectangle((wx, wy, wx + step // 2, wy + step), fill=c(0.6 if lit else 0, 1.4))
        x += w


def _trees(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for x in rng.uniform(0, n, 16):
        base, r = n * rng.uniform(0.5, 0.75), n * rng.uniform(0.05, 0.1)
        d.rectangle((x - n / 90, base - r, x + n / 90, n * 0.8), fill=c(-0.25, 0.45))
        for dy in (0, 1.0, 1.8):
            d.ellipse((x - r, base - r * (2 + dy), x + r, base - r * dy),
                      fill=c(rng.uniform(-0.04, 0.04), rng.uniform(0.6, 1.0)))  # fmt: skip


def _hills(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for i in range(5):
        y = n * (0.2 + 0.12 * i)
        xs = np.linspace(0, n, 24)
        f, p = rng.uniform(1, 3), rng.uniform(0, 6.3)
        ys = y + n * 0.07 * np.sin(f * xs / n * 2 * math.pi + p) + rng.uniform(-2, 2, 24)
        d.polygon([(0, n), *zip(xs, ys, strict=True), (n, n)], fill=c(0.03 * i, 1.15 - 0.15 * i))


def _shelves(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    step = n // 7
    for y in range(step, n + step, step):
        x = 0
        while x < n:
            w, h = int(rng.integers(n // 50 + 1, n // 22)), rng.uniform(0.5, 0.9) * step
            d.rectangle((x, y - h, x + w - 1, y), fill=c(rng.uniform(0, 1), rng.uniform(0.6, 1.2)))
            x += w
        d.rectangle((0, y - 3, n, y), fill=c(0, 0.4))


def _dots(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(90):
        x, y = rng.uniform(0, n, 2)
        r = n * rng.uniform(0.012, 0.04)
        d.ellipse((x - r, y - r, x + r, y + r), fill=c(rng.choice([0, 0.33, 0.5]), 1.2))


def _curtain(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    f, p = rng.uniform(9, 13), rng.uniform(0, 6.3)
    for x in range(0, n, 2):
        fold = math.sin(x / n * f * 2 * math.pi + p + 1.5 * math.sin(x / n * 9))
        d.line((x, 0, x, n), fill=c(0, 0.85 + 0.3 * fold), width=2)


def _checker(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    step = n // int(rng.integers(9, 12))
    for i, x in enumerate(range(0, n, step)):
        for j, y in enumerate(range(0, n, step)):
            if (i + j) % 2:
                d.rectangle((x, y, x + step, y + step), fill=c(0.5, rng.uniform(0.8, 1.1)))


def _columns(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for x in np.arange(rng.uniform(0, n / 8), n, n / 6):
        w = n / 16
        d.rectangle((x, n * 0.1, x + w, n), fill=c(0, 1.25, 0.4))
        d.rectangle((x + w * 0.65, n * 0.1, x + w, n), fill=c(0, 0.8, 0.5))
        d.rectangle((x - w * 0.3, n * 0.06, x + w * 1.3, n * 0.1), fill=c(0, 1.3, 0.3))


def _mesh(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    step = n // 14
    for k in range(-n, 2 * n, step):
        d.line((k, 0, k + n, n), fill=c(0.1, 0.5), width=2)
        d.line((k, 0, k - n, n), fill=c(0.1, 1.3), width=2)
    for _ in range(6):
        x, y = rng.uniform(0, n, 2)
        d.rectangle((x, y, x + n / 9, y + n / 14), fill=c(rng.uniform(0, 1), 1.3))


def _rocks(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(110):
        x, y = rng.uniform(0, n, 2)
        r = n * rng.uniform(0.03, 0.07)
        a = np.sort(rng.uniform(0, 2 * math.pi, 6))
        points = [(x + r * math.cos(t), y + 0.7 * r * math.sin(t)) for t in a]
        d.polygon(points, fill=c(0, rng.uniform(0.5, 1.2), 0.5), outline=c(0, 0.4))


def _clouds(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(14):
        x, y = rng.uniform(0, n), rng.uniform(0, n * 0.7)
        for dx in (-1, 0, 1, 0.5):
            r = n * rng.uniform(0.03, 0.06)
            cx, cy = x + dx * r * 1.3, y + rng.uniform(-0.3, 0.3) * r
            d.ellipse((cx - r, cy - r * 0.7, cx + r, cy + r * 0.7), fill=c(0, 1.5, 0.25))


def _posters(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(16):
        x, y = rng.uniform(0, n, 2)
        w, h = n * rng.uniform(0.06, 0.14), n * rng.uniform(0.08, 0.18)
        hue = rng.uniform(0, 1)
        d.rectangle((x, y, x + w, y + h), fill=c(hue, 1.3), outline=c(0, 0.3))
        d.ellipse((x + w * 0.2, y + h * 0.3, x + w * 0.8, y + h * 0.7), fill=c(hue + 0.4, 0.8))


def _pipes(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for y in np.arange(rng.uniform(0, n / 9), n, n / 8):
        w = n * rng.uniform(0.02, 0.045)
        d.rectangle((0, y, n, y + w), fill=c(0.55, 0.9))
        d.rectangle((0, y + w * 0.6, n, y + w), fill=c(0.55, 0.55))
        for x in rng.uniform(0, n, 3):
            d.rectangle((x, y - w * 0.3, x + w * 0.8, y + w * 1.3), fill=c(0.55, 1.2))


def _waves(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    xs = np.linspace(0, n, 40)
    for i, y in enumerate(np.arange(0, n, n / 18)):
        ys = y + n * 0.02 * np.sin(xs / n * 25 + rng.uniform(0, 6.3))
        d.line(list(zip(xs, ys, strict=True)), fill=c(0.08 * (i % 3), 1.3 - 0.2 * (i % 3)), width=4)


def _zigzag(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    step = n / 12
    for i, y in enumerate(np.arange(-step, n + step, step)):
        points = [(k * step, y + (step if k % 2 else 0)) for k in range(14)]
        d.line(points, fill=c(0.5 * (i % 2), rng.uniform(0.6, 1.2)), width=max(3, n // 30))


def _plaid(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(14):
        x, w = rng.uniform(0, n), n * rng.uniform(0.01, 0.05)
        d.rectangle((x, 0, x + w, n), fill=c(rng.choice([0, 0.3, 0.6]), rng.uniform(0.5, 1.2)))
        d.rectangle((0, x, n, x + w * 0.7), fill=c(rng.choice([0.15, 0.45]), rng.uniform(0.5, 1.2)))


def _arches(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for x in np.arange(rng.uniform(-n / 6, 0), n, n / 5):
        w = n / 6.5
        d.pieslice((x, n * 0.2, x + w, n * 0.2 + w), 180, 360, fill=c(0.1, 0.4))
        d.rectangle((x, n * 0.2 + w / 2, x + w, n), fill=c(0.1, 0.4))


def _stars(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(60):
        x, y = rng.uniform(0, n, 2)
        r = n * rng.uniform(0.015, 0.035)
        d.polygon([(x + r * (1 if k % 2 else 0.4) * math.cos(k * math.pi / 5),
                    y + r * (1 if k % 2 else 0.4) * math.sin(k * math.pi / 5)) for k in range(10)],
                  fill=c(rng.uniform(0, 0.2), 1.5))  # fmt: skip


def _cars(d: ImageDraw.ImageDraw, rng: np.random.Generator, n: int, c: Palette) -> None:
    for _ in range(10):
        x, y, w = rng.uniform(0, n), rng.uniform(0.1, 0.8) * n, n * rng.uniform(0.09, 0.15)
        d.rectangle((x, y, x + w, y + w * 0.35), fill=c(rng.uniform(0, 1), 1.1))
        d.polygon([(x + w * 0.2, y), (x + w * 0.35, y - w * 0.25), (x + w * 0.7, y - w * 0.25),
                   (x + w * 0.85, y)], fill=c(0.5, 0.6))  # fmt: skip
        for wx in (0.2, 0.75):
            d.ellipse((x + w * wx - w * 0.1, y + w * 0.25, x + w * wx + w * 0.1, y + w * 0.45),
                      fill="#181818")  # fmt: skip


TRAIN_SCENES: tuple[tuple[str, float, Painter], ...] = (
    ("street", 0.08, _bricks), ("barn", 0.06, _planks), ("city", 0.62, _windows),
    ("forest", 0.33, _trees), ("meadow", 0.25, _hills), ("library", 0.1, _shelves),
    ("playroom", 0.85, _dots), ("stage", 0.98, _curtain), ("hall", 0.55, _checker),
    ("temple", 0.14, _columns), ("court", 0.42, _mesh), ("quarry", 0.75, _rocks),
    ("sky", 0.58, _clouds), ("gallery", 0.92, _posters), ("factory", 0.5, _pipes),
)  # fmt: skip
"""(name, hue, painter); scene i is the one tied to action i."""

NOVEL_SCENES: tuple[tuple[str, float, Painter], ...] = (
    ("sea", 0.53, _waves), ("lobby", 0.2, _zigzag), ("tartan", 0.0, _plaid),
    ("cloister", 0.7, _arches), ("night", 0.66, _stars), ("parking", 0.38, _cars),
)  # fmt: skip
SCENES = tuple(name for name, _, _ in TRAIN_SCENES + NOVEL_SCENES)


def _noise(rng: np.random.Generator, size: int, cells: int) -> Image.Image:
    raw = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
    return Image.fromarray(raw).resize((size, size), Image.Resampling.BILINEAR)


def paint(scene: int, rng: np.random.Generator, size: int) -> Image.Image:
    """A new instance of scene family ``scene`` as an RGB image, (size, size)."""
    _, hue, painter = (TRAIN_SCENES + NOVEL_SCENES)[scene]
    palette = Palette(rng, hue)
    image = Image.new("RGB", (size, size), palette(0, rng.uniform(0.8, 1.05), 0.7))
    draw = ImageDraw.Draw(image)
    painter(draw, rng, size, palette)
    horizon = int(size * rng.uniform(0.7, 0.78))
    draw.rectangle((0, horizon, size, size), fill=palette(0.12, 0.62, 0.6))
    for _ in range(24):
        x, y = rng.uniform(0, size), rng.uniform(horizon, size)
        w = size * rng.uniform(0.01, 0.07)
        draw.ellipse((x, y, x + w, y + w * 0.3), fill=palette(0.12, rng.uniform(0.45, 0.85), 0.6))
    shade = Image.blend(_noise(rng, size, 6), _noise(rng, size, 40), 0.5)
    return Image.blend(image, Image.merge("RGB", (shade,) * 3), 0.16)


def paint_noise(rng: np.random.Generator, size: int) -> Image.Image:
    """A background that is no scene at all, for SCUBA: coloured noise at a random scale."""
    cells = int(rng.choice([4, 8, 16, 32, 64]))
    return Image.merge("RGB", [_noise(rng, size, cells) for _ in range(3)])
