"""Miniature copies of the published sets in their exact layouts, with several codecs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.data.media import write_video

FLIPS_V1 = {
    2: "Turning the camera left while filming something",
    4: "Turning the camera right while filming something",
    30: "Pushing something from left to right",
    41: "Pushing something from right to left",
    52: "Pulling something from left to right",
    66: "Pulling something from right to left",
}
FLIPS_V2 = {
    86: "Pulling something from left to right",
    87: "Pulling something from right to left",
    93: "Pushing something from left to right",
    94: "Pushing something from right to left",
    166: "Turning the camera left while filming something",
    167: "Turning the camera right while filming something",
}
SIZE = (40, 32)


def pictures(label: int, number: int, frames: int = 12) -> list[NDArray[np.uint8]]:
    """Frames whose colour tells the class, with a bar that moves and depends on the number."""
    rng = np.random.default_rng([label, number])
    made = []
    for i in range(frames):
        image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        image[..., label % 3] = 200
        image[:, (3 * i + number) % (SIZE[0] - 4) :][:, :4] = rng.integers(0, 255, 3)
        made.append(image)
    return made


def clip(path: Path, label: int, number: int = 0, frames: int = 12) -> Path:
    """Write a clip with the codec that its container usually has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".mp4": "libx264", ".mkv": "ffv1"}
    options = {"deadline": "realtime", "cpu-used": "8"} if path.suffix == ".webm" else None
    return write_video(
        path, codec=codec[path.suffix], frames=frames, size=SIZE, options=options,
        images=pictures(label, number, frames),
    )  # fmt: skip


def frame_folder(folder: Path, label: int, number: int = 0, pattern: str = "{:05d}.jpg") -> None:
    """Write a clip as images, numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pictures(label, number), 1):
        Image.fromarray(image).save(folder / pattern.format(i))


def something_v1(root: Path) -> Path:
    """Frames of three classes; labels file of all 174."""
    names = [FLIPS_V1.get(i, f"Doing thing {i} to something") for i in range(174)]
    lists = root / "lists"
    lists.mkdir(parents=True)
    prefix = "something-something-v1-"
    (lists / f"{prefix}labels.csv").write_text("\n".join(names) + "\n")
    number, rows = 100, {"train": [], "validation": [], "test": []}
    for part, each in (("train", 4), ("validation", 2), ("test", 1)):
        for label in (2, 4, 30):
            for k in range(each):
                number += 1
                frame_folder(root / str(number), label, k)
                rows[part].append(f"{number};{names[label]}" if part != "test" else f"{number}")
        (lists / f"{prefix}{part}.csv").write_text("\n".join(rows[part]) + "\n")
    return root


def something_v2(root: Path, *, newer: bool = False) -> Path:
    """WebM of three classes; labels file of all 174. ``newer``: the newer names of the lists."""
    names = [FLIPS_V2.get(i, f"Doing thing {i} to something") for i in range(174)]
    lists, prefix = root / "lists", "" if newer else "something-something-v2-"
    lists.mkdir(parents=True)
    labels = {name: str(i) for i, name in reversed(list(enumerate(names)))}
    (lists / f"{prefix}labels.json").write_text(json.dumps(labels))
    number = 100
    for part, each in (("train", 4), ("validation", 2), ("test", 1)):
        rows: list[dict[str, object]] = []
        for label in (86, 87, 93):
            for k in range(each):
                number += 1
                clip(root / f"{number}.{'mp4' if k == 1 else 'webm'}", label, k)
                template = names[label].replace("something", "[something]")
                full = {"label": "pulling a cup from left to right", "template": template,
                        "placeholders": ["a cup"]}  # fmt: skip
                rows.append({"id": str(number), **(full if part != "test" else {})})
        (lists / f"{prefix}{part}.json").write_text(json.dumps(rows))
    return root


def ucf101(root: Path) -> Path:
    """Three classes, five groups, two clips each; split k tests on group k."""
    classes = ("ApplyEyeMakeup", "Archery", "BabyCrawling")
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {c}\r\n" for i, c in enumerate(classes, 1)))
    for label, name in enumerate(classes):
        for group in range(1, 6):
            for k in (1, 2):
                clip(root / name / f"v_{name}_g{group:02d}_c{k:02d}.avi", label, 2 * group + k)
    for split in (1, 2, 3):
        parts: dict[str, list[str]] = {"train": [], "test": []}
        for label, name in enumerate(classes, 1):
            for group in range(1, 6):
                for k in (1, 2):
                    row = f"{name}/v_{name}_g{group:02d}_c{k:02d}.avi"
                    test = group == split
                    parts["test" if test else "train"].append(row if test else f"{row} {label}")
        for part, rows in parts.items():
            (lists / f"{part}list0{split}.txt").write_text("\n".join(rows) + "\n")
    return root


def hmdb51(root: Path) -> Path:
    """Three classes, six films, two clips each; one clip a class is unused."""
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label, name in enumerate(("brush_hair", "cartwheel", "catch")):
        rows: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for film in range(6):
            for k in range(2):
                file = f"Film (#{film})_{name}_u_nm_np1_ba_goo_{k}.avi"
                clip(root / name / file, label, 2 * film + k)
                for split in rows:
                    use = 2 if film == split else 0 if (film, k) == (5, 1) else 1
                    rows[split].append(f"{file} {use} ")
        for split, listed in rows.items():
            (lists / f"{name}_test_split{split}.txt").write_text("\n".join(listed) + "\n")
    return root


def kinetics(root: Path) -> Path:
    """Three classes; training clips in folders of their class, validation flat, test unlabelled."""
    lists = root / "lists"
    lists.mkdir(parents=True)
    names, parts = ("arm wrestling", "juggling (fire)", "zumba"), {"train": 4, "validate": 2}
    for part, each in parts.items():
        rows = ["label,youtube_id,time_start,time_end,split,is_cc"]
        for label, name in enumerate(names):
            for k in range(each):
                video = f"-{part[0]}{label}_{k}"
                rows.append(f'"{name}",{video},{k},{k + 10},{part},0')
                place = root / name.replace(" ", "_") if part == "train" else root
                clip(place / f"{video}_{k:06d}_{k + 10:06d}.mp4", label, k)
        (lists / f"{part}.csv").write_text("\n".join(rows) + "\n")
    rows = ["youtube_id,time_start,time_end,split"]
    for k in range(3):
        rows.append(f"test{k},{k},{k + 10},test")
        clip(root / "test" / f"test{k}_{k:06d}_{k + 10:06d}.mp4", k, k)
    (lists / "test.csv").write_text("\n".join(rows) + "\n")
    return root


def charades(root: Path) -> Path:
    """157 classes, of which three occur, up to two a video, one video without any."""
    lists = root / "Charades"
    lists.mkdir(parents=True)
    (lists / "Charades_v1_classes.txt").write_text(
        "".join(f"c{i:03d} Doing thing {i}\n" for i in range(157))
    )
    header = (
        "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
    )
    for part, each in (("train", 9), ("test", 4)):
        rows = [header]
        for k in range(each):
            name, codes = f"{part[:2].upper()}{k:03d}", (92, 147, 0)
            actions = f"c{codes[k % 3]:03d} 0.00 12.60"
            if k % 3 == 1:
                actions += ";c092 11.90 21.20;c092 1.00 2.00"
            if k == each - 1:
                actions = ""
            rows.append(f'{name},S{k % 4},Kitchen,6,7,Yes,"A person,\nthen another",cup,"x;y",'
                        f"{actions}")  # fmt: skip
            clip(root / f"{name}.mp4", k, k)
        (lists / f"Charades_v1_{part}.csv").write_text("\n".join(rows) + "\n")
    return root


_AG_CLASSES = """person bag bed blanket book box broom chair closetcabinet clothes cupglassbottle
dish door doorknob doorway floor food groceries laptop light medicine mirror papernotebook
phonecamera picture pillow refrigerator sandwich shelf shoe sofacouch table television towel vacuum
window"""


def ag_person(
    boxes: Sequence[Sequence[float]], scores: Sequence[float], size: tuple[int, int] = (480, 270)
) -> dict[str, Any]:
    """What Action Genome's person_bbox.pkl holds of a frame."""
    return {
        "bbox": np.array(boxes, np.float32).reshape(-1, 4),
        "bbox_score": np.array(scores, np.float32), "bbox_size": size, "bbox_mode": "xyxy",
        "keypoints": np.zeros((len(boxes), 17, 3), np.float32),
    }  # fmt: skip


def ag_object(name: str, box: tuple[float, ...] | None) -> dict[str, Any]:
    """An object of object_bbox_and_relationship.pkl."""
    seen = None if box is None else ["touching"]
    return {
        "class": name, "bbox": box, "attention_relationship": seen, "spatial_relationship": seen,
        "contacting_relationship": seen, "metadata": {"tag": "…", "set": "train"},
        "visible": box is not None,
    }  # fmt: skip


def write_action_genome(
    folder: Path, persons: Mapping[str, Any], objects: Mapping[str, Any]
) -> Path:
    """Action Genome's annotation files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "object_classes.txt").write_text("\n".join(_AG_CLASSES.split()) + "\n")
    (folder / "frame_list.txt").write_text("\n".join(persons) + "\n")
    (folder / "person_bbox.pkl").write_bytes(pickle.dumps(dict(persons)))
    (folder / "object_bbox_and_relationship.pkl").write_bytes(pickle.dumps(dict(objects)))
    return folder


def action_genome(root: Path) -> Path:
    """Charades in miniature, and beside its lists a person and a cup in two frames of each video.

    The last test video is in no frame.
    """
    lists = charades(root) / "Charades"
    names = [f"{part}{k:03d}" for part, each in (("TR", 9), ("TE", 3)) for k in range(each)]
    keys = [f"{name}.mp4/{frame:06d}.png" for name in names for frame in (2, 9)]
    person = ag_person([[4.0, 8.0, 20.0, 32.0]], [0.9], SIZE)
    cup = [ag_object("cup/glass/bottle", (20.0, 8.0, 8.0, 8.0)), ag_object("dish", None)]
    write_action_genome(lists, dict.fromkeys(keys, person), dict.fromkeys(keys, cup))
    return root


def sports_hhi(root: Path) -> Path:
    """Two classes that occur of 34: in the left half of a keyframe one pair, in the right another.

    Videos have 40 frames, numbered from 1; keyframes are 5 and 30. A pair's class is its colour.
    """
    lists = root / "annotations"
    lists.mkdir(parents=True)
    items = [f'item {{\n  name: "interaction {i}"\n  id: {i}\n}}\n' for i in range(1, 35)]
    (lists / "sports_action_list.pbtxt").write_text("".join(items))
    halves = ("0.05,0.2,0.2,0.8,0.25,0.2,0.4,0.8", "0.6,0.2,0.75,0.8,0.8,0.2,0.95,0.8")
    for part, videos in (("train", 3), ("val", 2)):
        rows = []
        for k in range(videos):
            video = f"v_{part}_{k}"
            left, right = pictures(0, k, 40), pictures(1, k, 40)
            (root / video).mkdir(parents=True)
            for i in range(40):
                image = np.concatenate([left[i][:, :20], right[i][:, 20:]], axis=1)
                Image.fromarray(image).save(root / video / f"{i + 1:06d}.jpg")
            for frame in (5, 30):
                rows += [
                    f"{video},{frame},{box},{c},0,1" for c, box in zip((3, 7), halves, strict=True)
                ]
        (lists / f"sports_{part}_v1.csv").write_text("\n".join(rows) + "\n")
    return root


def folder(root: Path) -> Path:
    """``<split>/<class>/<clip>`` with a codec and container each."""
    for offset, (part, each) in enumerate((("train", 4), ("val", 2), ("test", 2))):
        for label, name in enumerate(("bow", "kick", "wave")):
            for k in range(each):
                suffix = ("mp4", "avi", "webm", "mp4")[k]
                clip(root / part / name / f"clip {k}.{suffix}", label, 10 * offset + k)
    return root


def listed(root: Path) -> Path:
    """List files beside videos and folders of frames."""
    root.mkdir(parents=True)
    for part, each in (("train", 4), ("val", 2), ("test", 2)):
        rows = []
        for label in range(3):
            for k in range(each):
                if k == 1:
                    frame_folder(root / f"{part} {label}", label, k, "img_{:05d}.jpg")
                    rows.append(f'"{part} {label}" 12 {label}')
                else:
                    clip(root / part / f"{label}, {k}.mp4", label, k)
                    rows.append(f'"{part}/{label}, {k}.mp4",{label}')
        (root / f"{part}.txt").write_text("\n".join(rows) + "\n")
    (root / "classes.txt").write_text("bow\nkick\nwave\n")
    return root


def ut_interaction(root: Path) -> Path:
    """Six classes in three sequences, named ``N_sequence_class.avi``."""
    for number, (sequence, label) in enumerate((s, c) for s in (1, 2, 3) for c in range(6)):
        clip(root / f"{number}_{sequence}_{label}.avi", label, sequence)
    return root


MAKERS = {
    "something_v1": something_v1, "something_v2": something_v2, "ucf101": ucf101,
    "hmdb51": hmdb51, "kinetics400": kinetics, "kinetics600": kinetics, "charades": charades,
    "sports_hhi": sports_hhi, "ut_interaction": ut_interaction, "folder": folder, "list": listed,
}  # fmt: skip
LISTS = {"something_v1": "lists", "something_v2": "lists", "ucf101": "ucfTrainTestlist",
         "hmdb51": "testTrainMulti_7030_splits", "kinetics400": "lists", "kinetics600": "lists",
         "charades": "Charades", "sports_hhi": "annotations", "ut_interaction": ""}  # fmt: skip
"""Where the miniature's official lists are, below its root; for the sets that have a config."""
