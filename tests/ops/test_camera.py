"""The camera's path is known to the pixel."""

import pytest
import torch
from tests.ops.scenes import panned, texture

from whyact.ops.camera import camera_motion, chunk_size, moving_camera
from whyact.ops.warp import sample, similarity_grid

PATH = [(-9, 4), (-6, 3), (-3, 1), (-1, 1), (0, 0), (3, -1), (5, -2), (8, -2)]


@pytest.mark.parametrize("actor", [0, 12])
def test_whole_pixel_pan_is_found(actor: int) -> None:
    video, _, _ = panned(PATH, actor=actor)
    found = camera_motion(video).shift[0]
    assert (found - torch.tensor(PATH).float()).abs().max() < 0.3


def test_repeating_texture_keeps_the_shift() -> None:
    x = torch.arange(120)
    stripes = 0.4 + 0.2 * torch.sin(x * 2 * torch.pi / 12) + 0.02 * texture(120, 120)
    path = [0, 1, 2, 3, 4, 5]
    video = torch.stack([stripes[:, 20:68, 30 - s : 78 - s] for s in path], 1)[None]
    found = camera_motion(video).shift[0, :, 0]
    assert (found - (torch.tensor(path) - 3).float()).abs().max() < 0.3


def test_zoom_and_brightness_are_found() -> None:
    zoom = torch.tensor([0.04, 0.02, 0.0, -0.02])
    image = texture(64, 64)[None].expand(4, -1, -1, -1)
    # Content at x of the middle frame lies at (1 + zoom) x, so frames read from x / (1 + zoom).
    frames = sample(
        image, similarity_grid(torch.zeros(4, 2), 1 / (1 + zoom) - 1, (64, 64), (64, 64))
    )
    light = torch.tensor([0.9, 1.0, 1.0, 1.1]).view(4, 1, 1, 1)
    camera = camera_motion((frames * light).transpose(0, 1)[None])
    assert (camera.zoom[0] - zoom).abs().max() < 0.006
    assert camera.shift.abs().max() < 0.3
    assert (camera.gain[0] * light.flatten() - 1).abs().max() < 0.02


def test_a_moving_camera_is_where_it_was_half_way_and_goes_as_far_as_asked() -> None:
    """Half a frame to the right, and a picture that widens by 0.4, while three frames pass."""
    grid = moving_camera(torch.tensor([[0.5, -0.25]]), torch.tensor([0.4]), 3, (8, 20))
    first, middle, last = grid
    still = similarity_grid(torch.zeros(1, 2), torch.zeros(1), (8, 20), (8, 20))[0]
    torch.testing.assert_close(middle, still)
    # In halves of the frame: centres at minus and plus a quarter of it, spread by 0.8 and 1.2.
    torch.testing.assert_close(first, 0.8 * still + torch.tensor([-0.5, 0.25]))
    torch.testing.assert_close(last, 1.2 * still + torch.tensor([0.5, -0.25]))
    alone = moving_camera(torch.ones(1, 2), torch.ones(1), 1, (8, 20))
    torch.testing.assert_close(alone[0], still)


def test_middle_frame_is_the_reference() -> None:
    camera = camera_motion(panned(PATH)[0])
    assert camera.shift[0, 4].tolist() == [0, 0]
    assert (float(camera.zoom[0, 4]), float(camera.gain[0, 4])) == (0, 1)


@pytest.mark.parametrize("shape", [(1, 3, 1, 16, 16), (2, 3, 2, 8, 12), (1, 3, 5, 17, 23)])
def test_small_odd_and_blank_clips_work(shape: tuple[int, ...]) -> None:
    for video in (torch.rand(shape), torch.zeros(shape), torch.ones(shape)):
        camera = camera_motion(video)
        assert camera.shift.shape == (shape[0], shape[2], 2)
        assert all(v.isfinite().all() for v in (camera.shift, camera.zoom, camera.gain))


def test_scaled_and_rows() -> None:
    video = torch.cat([panned(PATH)[0], panned(PATH[::-1])[0]])
    camera = camera_motion(video)
    assert torch.equal(camera.scaled(2).shift, 2 * camera.shift)
    assert torch.equal(camera.rows(1, 2).zoom, camera.zoom[1:])


def test_chunks_never_are_empty() -> None:
    assert chunk_size(torch.zeros(2, 3, 1000, 1000, 1)) == 1
    assert chunk_size(torch.zeros(0, 3, 4, 8, 8)) >= 1
