"""Overlay and contact sheet: what is drawn where."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from whyact.report.overlay import (
    blend,
    draw_outlines,
    enlarged,
    frames_of,
    overlay_frames,
    region_color,
    region_margins,
    scaled_heat,
    shortened,
    strongest_regions,
)
from whyact.report.sheet import contact_sheet
from whyact.types import Explanation, Step


def explanation(frames: int = 4, size: tuple[int, int] = (16, 16)) -> Explanation:
    """Region 1 holds the left half of the frame and earns all; region 0 holds the right."""
    assignment = torch.zeros(frames, 3, 2, 2)
    assignment[:, 1, :, 0] = assignment[:, 0, :, 1] = 1.0
    contributions = torch.zeros(frames, 3)
    contributions[:, 1] = torch.linspace(0.5, 1.5, frames)
    contributions[:, 2] = -0.25
    heat = torch.zeros(frames, *size)
    heat[:, :, : size[1] // 2] = 1.0
    return Explanation(
        method="native", target=0, heat=heat, score=float(contributions.sum()),
        frame_evidence=contributions.sum(1) * frames, contributions=contributions,
        assignment=assignment, prompt_weights=torch.rand(frames, 2, 5),
        path=(Step("temporal", (0, 1), (1, 1), 0.5), Step("prompt_to_region", (1, 3), (1, 1), 1.0)),
        action_share=0.7,
    )  # fmt: skip


def video(frames: int = 4, size: tuple[int, int] = (16, 16)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 255, (3, frames, *size), generator=generator, dtype=torch.uint8)


def test_frames_of_takes_bytes_and_floats() -> None:
    clip = video()
    assert frames_of(clip).shape == (4, 16, 16, 3)
    assert np.array_equal(frames_of(clip), frames_of(clip.float() / 255))


def test_heat_is_scaled_by_the_clip_and_empty_maps_stay_empty() -> None:
    heat = torch.zeros(2, 8, 8)
    heat[0, :4], heat[1, :4] = 2.0, 1.0
    scaled = scaled_heat(heat, (8, 8))
    assert scaled[0, 0, 0] == pytest.approx(1) and scaled[1, 0, 0] == pytest.approx(0.5)
    assert scaled_heat(heat * 0, (16, 16)).max() == 0
    # One hot pixel is beyond the 99.5th percentile of zeros, and must still show.
    lone = torch.zeros(2, 32, 32)
    lone[0, 3, 3] = 5.0
    assert scaled_heat(lone, (32, 32))[0, 3, 3] == 1


def test_blend_colours_only_where_there_is_heat() -> None:
    frames = np.full((1, 4, 4, 3), 100, np.uint8)
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 0, 0] = 1
    mixed = blend(frames, heat)
    assert mixed[0, 2, 2].tolist() == [85, 85, 85]  # 0.25 of the colour and 0.6 of its grey
    hottest = np.array(matplotlib.colormaps["inferno"](1.0)[:3]) * 255
    assert np.allclose(mixed[0, 0, 0], 0.25 * 85 + 0.75 * hottest, atol=1)


def test_strongest_regions() -> None:
    e = explanation()
    assert strongest_regions(e) == [1]  # region 0 earns nothing, region 2 takes away
    assert strongest_regions(replace(e, contributions=-e.contributions.abs())) == []
    one = replace(e, assignment=torch.ones(4, 1, 2, 2), contributions=torch.ones(4, 1))
    assert strongest_regions(one) == []
    cells = replace(e, assignment=torch.rand(4, 49, 7, 7), contributions=torch.ones(4, 49))
    assert strongest_regions(cells) == []
    assert strongest_regions(Explanation("cam", 0, e.heat, 1.0)) == []


def test_outlines_follow_the_region_in_its_colour() -> None:
    margins = region_margins(explanation(), [1], 4, (16, 16))
    assert margins.shape == (1, 4, 16, 16)
    assert bool((margins[0, :, :, :8] > 0).all()) and bool((margins[0, :, :, 8:] <= 0).all())
    page = np.zeros((16, 16, 3), np.uint8)
    draw_outlines(page, margins[:, 0], [1], width=1)
    color = [round(255 * c) for c in matplotlib.colors.to_rgb(region_color(1))]
    assert page[5, 7].tolist() == color
    assert page[5, 4].tolist() == [0, 0, 0] and page[:, 8:].max() == 0


@pytest.mark.parametrize("size", [(16, 16), (9, 16), (17, 11)])
def test_overlay_frames(size: tuple[int, int]) -> None:
    e, clip = explanation(size=size), video(size=size)
    pages = overlay_frames(clip, e, "kick", probability=0.5, side=128)
    width = round(128 * size[1] / size[0] / 2) * 2
    assert pages.shape == (4, 128 + 120, 2 * width, 3) and pages.dtype == np.uint8
    assert np.array_equal(pages[:, :128, :width], enlarged(frames_of(clip), (128, width)))
    # The present frame's bar is coloured, and it moves along.
    now = np.array([0xE6, 0x9F, 0x00])
    columns = [np.nonzero((page[128:] == now).all(-1).any(0))[0].mean() for page in pages]
    assert columns == sorted(columns) and columns[-1] > columns[0]


def test_long_names_leave_the_rest_alone(tmp_path: Path) -> None:
    assert shortened("abcdef", 4, len) == "abc…" and shortened("ab cd", 4, len) == "ab…"
    assert shortened("abcd", 4, len) == "abcd"
    video, e = torch.zeros(3, 4, 16, 16), explanation()
    name = "pretending to put something behind something else that is next to it"
    long, short = (overlay_frames(video, e, n, probability=0.5) for n in (name, ""))
    note = long.shape[2] - 240  # where the logit and the frame are told
    assert np.array_equal(long[:, 448:, note:], short[:, 448:, note:])
    assert not np.array_equal(long[:, 448:, :note], short[:, 448:, :note])
    for title in ("wave", name):
        contact_sheet(
            tmp_path / f"{len(title)}.png", video, e, name=title, source="clip.mp4",
            predicted=[(title, 0.5), (f"{title} too", 0.3)],
        )  # fmt: skip
    sheets = [Image.open(tmp_path / f"{len(t)}.png") for t in ("wave", name)]
    assert sheets[0].size == sheets[1].size


def test_overlay_without_regions_or_evidence() -> None:
    bare = Explanation(method="cam", target=0, heat=torch.zeros(4, 16, 16), score=0.0)
    assert overlay_frames(video(), bare, "kick", side=64).shape == (4, 184, 128, 3)


@pytest.mark.parametrize("frames", [1, 8, 20])
def test_contact_sheet_is_written(tmp_path: Path, frames: int) -> None:
    path = contact_sheet(
        tmp_path / "sheet.png", video(frames), explanation(frames), name="kick $x_1^{",
        source="clip.mp4", predicted=[("kick $x_1^{", 0.75), ("wave", 0.25)],
    )  # fmt: skip
    with Image.open(path) as image:
        assert image.width >= 1200 and image.height >= 700
        assert np.asarray(image.convert("L")).std() > 10


def test_contact_sheet_of_a_bare_map(tmp_path: Path) -> None:
    bare = Explanation(method="cam", target=0, heat=torch.rand(4, 16, 16), score=0.0)
    path = contact_sheet(
        tmp_path / "a.png", video(), bare, name="kick", source="", predicted=[("kick", 1.0)],
        times=[0.0, 0.1, 0.2, 0.3],
    )  # fmt: skip
    full = contact_sheet(
        tmp_path / "b.png", video(), explanation(), name="kick", source="",
        predicted=[("kick", 1.0)],
    )  # fmt: skip
    with Image.open(path) as small, Image.open(full) as large:
        assert small.height < large.height
