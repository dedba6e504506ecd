"""When does an action happen in a video of any length, and where in the frame?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from whyact.config import ClipConfig
from whyact.data.backdrop.render import split_frames
from whyact.data.builders import box_table, middle_view, transforms
from whyact.data.probing import VideoInfo, probe
from whyact.data.video import read_frames
from whyact.explainers.native import explain_output
from whyact.models.interventions import with_boxes
from whyact.models.sentence_encoder import load_encoder
from whyact.models.vocabulary import Vocabulary, Wanted
from whyact.models.windows import video_evidence, wish_evidence
from whyact.ops.intervals import Signal, cut, linear, logarithmic, read_evidence
from whyact.report.media import jpeg_uri
from whyact.report.overlay import blend, display_size, enlarged, frames_of, scaled_heat
from whyact.report.timeline import Track, timeline_page
from whyact.tasks.inputs import boxes_from
from whyact.training.checkpoint import LoadedModel, load_model
from whyact.training.record import write_json
from whyact.types import Interval, WhyactError

SEGMENT_SECONDS = 2.0
"""Window of a model that was trained on segments of whole clips, which tell no rate."""
CHUNK_BYTES = 1 << 26
"""Decoded pixels that are read at once, at least a window."""
PICTURES = 12
"""Intervals of an action that get a picture; the strongest ones."""
PICTURE_SIDE = 160


@dataclass(frozen=True)
class Timeline:
    """What was found in one video.

    Attributes:
        source: of the video. page, data: HTML and JSON.
        intervals: by action as it was asked for (`Vocabulary.title`), in seconds.
    """

    source: str
    page: Path
    data: Path
    intervals: dict[str, list[Interval]]


def timeline(
    checkpoint: str | Path, path: str | Path, actions: Sequence[Wanted], *, window: float = 0.0,
    threshold: float | None = None, least_score: float = 0.5, encoder: str | Path = "",
    boxes: str | Path = "", output: str | Path = "explanations", stem: str = "",
    device: str = "cpu",
) -> Timeline:  # fmt: skip
    """Stream a video through the model and write ``<stem>-timeline.html`` and ``.json``.

    Windows overlap by half; one is in memory at a time. Evidence is read and cut as
    `whyact.tasks.localise.localise` does it (`whyact.ops.intervals`), on the whole of the video, so
    that an interval that crosses windows is one. Its score is the probability of the action in the
    windows that see a moment of it, their mean where that is highest: that of the whole video would
    fade with its length.

    Args:
        checkpoint: of a run. path: of the video.
        actions: by index, name, or with an encoder free text; each is asked for by itself.
        window: seconds that the model sees at once; 0 takes those it was trained on, or 2 for a
            model trained on segments of whole clips. A shorter video is one window.
        threshold: least evidence of an interval, in logits; half way between the lowest and the
            highest of the video, on a logarithmic scale, if None. Evidence against an action counts
            where the threshold is 0 (one half as a probability) or below.
        least_score: intervals with a lower score are left out; without it something would be found
            in every video. encoder: folder of a sentence encoder.
        boxes: as of `whyact.tasks.predict.predict`. output: folder. stem: of the files; the
            video's if empty. device: torch device.

    Raises:
        WhyactError: an action that the model does not know, or no action.
        VideoError: the video cannot be read.
    """
    if not actions:
        raise WhyactError("A timeline needs an action to look for, e.g. --action punch.")
    loaded = boxes_from(load_model(checkpoint, device), boxes)
    words = Vocabulary(names=loaded.classes, encoder=load_encoder(encoder) if encoder else None)
    wishes = {words.title(action): words.specification(action) for action in actions}
    wished = torch.stack([*wishes.values()]).to(device)
    film = _Film(Path(path), loaded, window)

    def said(start: int, stop: int) -> Tensor:
        model = with_boxes(loaded.model, film.boxes(start, stop))
        found, probability = wish_evidence(
            model, film.read(start, stop).to(device), wished, softmax=not loaded.multi_label
        )
        return torch.cat([found, probability.expand(len(found), -1)], 1)

    streamed = video_evidence(said, length=film.length, window=film.frames)
    evidence, scores = streamed.split(len(wishes), 1)
    bar = None if threshold is None else float(logarithmic(threshold))
    tracks = [
        _track(loaded, film, action, wish, values, score, bar, least_score)
        for action, wish, values, score in zip(wishes, wished, evidence.T, scores.T, strict=True)
    ]
    return _write(
        Path(output), stem or film.path.stem, film, tracks, loaded, least_score,
        against=bar is not None and bar <= 0,
    )  # fmt: skip


def _track(
    loaded: LoadedModel, film: _Film, action: str, wish: Tensor, evidence: Tensor, scores: Tensor,
    bar: float | None, least_score: float,
) -> Track:  # fmt: skip
    """Where one action was found, from its evidence and scores (n,) of the whole video."""
    read = read_evidence(evidence.numpy(), bar=bar)
    made = cut(read, bar)
    every = [
        Interval(int(wish.argmax()), start, stop, float(scores[start:stop].max()))
        for start, stop in made.spans
    ]
    found = [one for one in every if one.score >= least_score]
    return Track(
        action, evidence=evidence.tolist(), read=read.tolist(), step=film.step, bar=made.bar,
        best=float(scores.max()),
        intervals=[  # the last of the evenly long steps may end after the film
            replace(i, start=i.start * film.step, stop=min(i.stop * film.step, film.duration))
            for i in found
        ],
        pictures=_pictures(loaded, film, read, found, wish),
    )  # fmt: skip


class _Film:
    """A video as the model reads it: frames at one rate, scaled and cropped as in evaluation.

    Args:
        path: of the video. loaded: the model. window: in seconds, see `timeline`.
    """

    def __init__(self, path: Path, loaded: LoadedModel, window: float) -> None:
        data = middle_view(loaded.config.data)
        _, self.transform = transforms(data, loaded.classes)
        self.path, self.info, self.frames = path, probe(path), data.clip.frames
        if data.type == "backdrop":  # whose longer clips have a multiple of these frames
            self.frames = split_frames(data.train, self.frames)
        seconds = window or _trained_window(data.clip, self.info)
        self.duration = max(self.info.duration, 1e-3)
        self.step = min(seconds, self.duration) / self.frames
        self.length = max(self.frames, round(self.duration / self.step))
        self.table = box_table(data)
        if self.table is not None:
            self.table.check([path])
        size = 3 * self.info.width * self.info.height
        self.chunk = max(self.frames, CHUNK_BYTES // size)
        self._ready: tuple[int, Tensor] = (0, torch.empty(3, 0, 1, 1))

    def boxes(self, start: int, stop: int) -> Tensor | None:
        """Boxes (stop - start, O, 5) of these frames; None without a table of them."""
        if self.table is None:
            return None
        found = self.table.at(self.path, self._seconds(start, stop))
        return self.transform.boxes(found, self.info.height, self.info.width)

    def _seconds(self, start: int, stop: int) -> list[float]:
        return [(i + 0.5) * self.step for i in range(start, stop)]

    def read(self, start: int, stop: int) -> Tensor:
        """Frames (3, stop - start, H, W), float in [0, 1].

        Reads ahead, as seeking decodes from a keyframe on.
        """
        first, frames = self._ready
        if start < first or stop > first + frames.shape[1]:
            last = min(self.length, max(stop, start + self.chunk))
            video, _ = read_frames(self.path, seconds=self._seconds(start, last))
            first, frames = self._ready = (start, self.transform(video, None)[0])
        return frames[:, start - first : stop - first].float() / 255


def _trained_window(clip: ClipConfig, info: VideoInfo) -> float:
    if clip.sampling == "segment":
        return SEGMENT_SECONDS
    return clip.frames * clip.stride / (clip.frame_rate or info.rate)


@torch.no_grad()
def _pictures(
    loaded: LoadedModel, film: _Film, evidence: Signal, found: Sequence[Interval], wish: Tensor
) -> list[str]:
    """The strongest moment of each interval with the evidence on it; empty text beyond the most."""
    shown = sorted(range(len(found)), key=lambda n: -found[n].score)[:PICTURES]
    made = [""] * len(found)
    device = next(loaded.model.parameters()).device
    for number in sorted(shown):
        start, stop = round(found[number].start), round(found[number].stop)
        peak = start + int(evidence[start:stop].argmax())
        first = min(max(0, peak - film.frames // 2), film.length - film.frames)
        clip = film.read(first, first + film.frames)
        asked = wish[None] if loaded.multi_label and loaded.model.can_be_asked else None
        model = with_boxes(loaded.model, film.boxes(first, first + film.frames))
        output = model(clip[None].to(device), asked, traced=True)
        target = output.logits[0].masked_fill(wish <= 0, -torch.inf).argmax()
        (why,) = explain_output(output, clip.shape[1:], target[None])
        frames = frames_of(clip)
        size = display_size(frames, PICTURE_SIDE)
        drawn = blend(enlarged(frames, size), scaled_heat(why.heat, size))
        made[number] = jpeg_uri(drawn[peak - first])
    return made


def _write(
    folder: Path, stem: str, film: _Film, tracks: Sequence[Track], loaded: LoadedModel,
    least_score: float, *, against: bool,
) -> Timeline:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    page, data = (folder / f"{stem}-timeline.{end}" for end in ("html", "json"))
    window = film.step * film.frames
    page.write_text(
        timeline_page(
            tracks, source=film.path.name, duration=film.duration, window=window,
            least_score=least_score, exclusive=not loaded.multi_label, against=against,
        ),
        encoding="utf-8",
    )  # fmt: skip
    record = {
        "source": film.path.name, "duration": film.duration, "window": window, "step": film.step,
        "least_score": least_score,
        "actions": [
            {
                "action": t.action, "evidence": [round(v, 4) for v in t.evidence],
                "threshold": round(float(linear(t.bar)), 4),
                "intervals": [asdict(i) for i in t.intervals],
            }
            for t in tracks
        ],
    }  # fmt: skip
    write_json(data, record)
    found = {t.action: list(t.intervals) for t in tracks}
    return Timeline(film.path.name, page, data, found)
