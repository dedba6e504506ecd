"""Sets of video files as `whyact.data.protocol.ClipDataset`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from whyact.data.boxes import BoxTable, Window, through
from whyact.data.content import content_hashes
from whyact.data.listing import Listing
from whyact.data.motion_stream import MotionStream
from whyact.data.sampling import sample
from whyact.data.transforms import TestTransform, TrainTransform
from whyact.data.video import VideoError, probe, read_frames
from whyact.types import Clip, Failure, Interval, WhyactError


def pick_frames(
    path: Path, *, frames: int, sampling: str, stride: float, frame_rate: float, short: str,
    tempo_jitter: float = 0.0, rng: np.random.Generator | None = None, view: int = 0,
    views: int = 1, span: tuple[int, int] | None = None,
) -> list[int]:  # fmt: skip
    """The frames of a clip, as indices into the video's; of those in ``span`` alone if given.

    Raises:
        VideoError: see `whyact.data.video.probe`; or the video ends before its span begins.
    """
    times = probe(path).times
    first, end = span or (0, len(times))
    if first >= len(times):
        raise VideoError(path, f"has {len(times)} frames, but a clip begins at frame {first}.")
    picked = sample(
        times[first:end] - times[first], frames=frames, sampling=sampling, stride=stride,
        frame_rate=frame_rate, tempo_jitter=tempo_jitter, short=short, rng=rng, view=view,
        views=views,
    )  # fmt: skip
    return (picked + first).tolist()


def _inside(h: int, w: int, box: Window) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a box in shares of the frame, in pixels; at least one of them."""
    left, top = min(int(box[0] * w), w - 1), min(int(box[1] * h), h - 1)
    return left, top, max(math.ceil(box[2] * w), left + 1), max(math.ceil(box[3] * h), top + 1)


def _cut(frames: Tensor, box: Window | None) -> Tensor:
    """The box, in shares of the frame, of (..., H, W)."""
    if box is None:
        return frames
    left, top, right, bottom = _inside(frames.shape[-2], frames.shape[-1], box)
    return frames[..., top:bottom, left:right]


def _cut_boxes(boxes: Tensor, h: int, w: int, box: Window | None) -> Tensor:
    """Boxes of frames of h x w pixels, in shares of what `_cut` leaves of them."""
    if box is None:
        return boxes
    left, top, right, bottom = _inside(h, w, box)
    return through(boxes, (left / w, top / h, right / w, bottom / h))


_Read = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


class VideoDataset:
    """Reads, samples and transforms clips of a listing; an unreadable file gives a `Failure`.

    Args:
        listing: of one split.
        frames, sampling, stride, frame_rate, tempo_jitter, short: see `whyact.config.ClipConfig`.
        clips: test clips a video.
        train_transform: given for training; without it the test protocol is read.
        test_transform: of the test protocol. seed: of the training randomness.
        swap: classes that a horizontal flip swaps, of `whyact.data.transforms.flip_map`.
        motion: makes or reads the second stream; None for a single one.
        boxes: of persons and objects, which clips bring; None for none.

    Raises:
        WhyactError: boxes of other videos.
    """

    scenes: tuple[str, ...] = ()

    def __init__(
        self, *, listing: Listing, frames: int, sampling: str, stride: float = 1,
        frame_rate: float = 0, tempo_jitter: float = 0, short: str = "loop", clips: int = 1,
        train_transform: TrainTransform | None, test_transform: TestTransform, seed: int = 0,
        motion: MotionStream | None = None, swap: Mapping[int, int] | None = None,
        boxes: BoxTable | None = None,
    ) -> None:  # fmt: skip
        self.listing = listing
        self.classes = listing.classes
        self.frames, self.sampling, self.stride = frames, sampling, stride
        self.frame_rate, self.tempo_jitter, self.short = frame_rate, tempo_jitter, short
        self.clips, self.seed, self.motion = clips, seed, motion
        self.swap = dict(swap or {})
        self.boxes = boxes
        if boxes is not None:
            boxes.check(r.path for r in listing.records)
        self.train_transform, self.test_transform = train_transform, test_transform
        self.views = 1 if train_transform else clips * test_transform.crops
        self.labels: Sequence[int | tuple[int, ...]] = [r.label for r in listing.records]
        self.groups: Sequence[str] = [r.group for r in listing.records]
        self.ids: Sequence[str] = [r.id for r in listing.records]
        self.blocks = listing.blocks
        self._last: tuple[tuple[int, int], _Read] | None = None

    def __len__(self) -> int:
        return len(self.listing.records)

    def _label(self, index: int) -> int | Tensor:
        label = self.labels[index]
        if isinstance(label, int) and not self.listing.multi_label:
            return label
        several = [label] if isinstance(label, int) else list(label)
        wanted = torch.tensor(several, dtype=torch.int64)  # a video may have no action at all
        return torch.zeros(len(self.classes)).index_fill_(0, wanted, 1.0)

    def __getitem__(self, request: tuple[int, int]) -> Clip | Failure:
        """The training clip of (index, epoch), or the test clip of (index, view)."""
        index, turn = request
        record = self.listing.records[index]
        rng = None if self.train_transform is None else np.random.default_rng(
            [self.seed, turn, index]
        )  # fmt: skip
        crops = self.test_transform.crops
        try:
            video, times, flow, boxes = self._read(index, turn // crops, rng)
        except (VideoError, OSError) as error:  # a wrong setting is no failure of the file
            return Failure(record.id, str(error))
        label = self._label(index)
        if self.train_transform is not None and rng is not None:
            video, _, flow, label, boxes = self.train_transform.geometry(
                video, None, flow, label, rng, boxes
            )
            video = self.train_transform.scene(video, rng)
            field = self._field(video, flow)
            video = self.train_transform.photometry(video, rng)
            if field is not None and self.motion is not None:
                field = self.motion.jittered(field, rng)
        else:
            if boxes is not None:
                h, w = video.shape[-2:]
                boxes = self.test_transform.boxes(boxes, h, w, turn % crops)
            video, _ = self.test_transform(video, None, crop=turn % crops)
            flow = self.test_transform.flow(flow, turn % crops) if flow is not None else None
            field = self._field(video, flow)
        order = self._class_order(turn % crops) if rng is None else None
        return Clip(
            video=video, label=label, id=record.id, times=times, motion=field, class_order=order,
            boxes=boxes,
        )  # fmt: skip

    def _class_order(self, crop: int) -> Tensor | None:
        """How a test view's logits are to be read: a mirrored "left" is a "right"."""
        if not self.swap or self.test_transform.crops < 10:
            return None
        order = torch.arange(len(self.classes))
        if self.test_transform.mirrors(crop):
            for here, there in self.swap.items():
                order[here] = there
        return order

    def _field(self, video: Tensor, flow: Tensor | None) -> Tensor | None:
        """The motion of the clip as it was cropped, before its colours change."""
        if self.motion is None or self.motion.stored:
            return flow
        return self.motion.make(video)

    def _read(self, index: int, clip: int, rng: np.random.Generator | None) -> _Read:
        """A random clip, or test clip number ``clip``, which all its crops share."""
        key = (index, clip)
        if rng is None and self._last is not None and self._last[0] == key:
            return self._last[1]
        record = self.listing.records[index]
        path = record.path
        if self.listing.store is not None:
            self.listing.store.fetch(path)
        picked = self._picked(index, clip, rng)
        stored = self.motion is not None and self.motion.stored
        flow = self.motion.read(path, picked) if self.motion is not None and stored else None
        video, times = read_frames(path, picked)
        flow = _cut(flow, record.box) if flow is not None else None
        boxes = self.boxes.at(path, times) if self.boxes is not None else None
        if boxes is not None:
            boxes = _cut_boxes(boxes, video.shape[-2], video.shape[-1], record.box)
        read = _cut(video, record.box), times, flow, boxes
        self._last = (key, read) if rng is None and self.test_transform.crops > 1 else None
        return read

    def _picked(self, index: int, clip: int, rng: np.random.Generator | None) -> list[int]:
        record = self.listing.records[index]
        return pick_frames(
            record.path, frames=self.frames, sampling=self.sampling, stride=self.stride,
            frame_rate=self.frame_rate, short=self.short, tempo_jitter=self.tempo_jitter, rng=rng,
            view=clip if rng is None else 0, views=self.clips, span=record.span,
        )  # fmt: skip

    def intervals(self, index: int) -> tuple[Interval, ...]:
        """When each action happens in the first test clip, as shares of it, by the set's list.

        Raises:
            WhyactError: a video that is shorter than the clip, which is looped.
        """
        record = self.listing.records[index]
        times = probe(record.path).times[self._picked(index, 0, None)]
        if (np.diff(times) < 0).any():
            raise WhyactError(
                f"{record.path}: shorter than a clip, which starts over, so that no moment is one "
                "time; set data.clip.sampling to segment."
            )
        middles = (np.arange(len(times)) + 0.5) / len(times)
        shares = (
            np.interp((one.start, one.stop), times, middles, left=0.0, right=1.0).tolist()
            for one in record.intervals
        )
        return tuple(
            Interval(one.action, start, stop)
            for one, (start, stop) in zip(record.intervals, shares, strict=True)
            if start < stop
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names, labels and the content of every clip (`whyact.data.content`)."""
        records, digest = self.listing.records, hashlib.sha256()
        read = iter(content_hashes([r.path for r in records if not r.content]))
        for record in records:
            content = record.content or next(read)
            part = f"{record.span}\0{record.box}" if record.span or record.box else ""
            digest.update(f"{record.id}\0{record.label}\0{content}{part}\n".encode())
        if self.boxes is not None:
            digest.update(self.boxes.fingerprint.encode())
        return digest.hexdigest()
