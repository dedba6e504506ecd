"""Clips in tar shards, for sets too large for local disks or random reads.

Shards are read from beginning to end, each as a whole and once where the order of training keeps
to it, and kept unpacked in a small local folder while they are in use. So a clip is decoded from
the same bytes by the same code as without shards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from whyact.data.content import content_hash
from whyact.data.errors import VideoError
from whyact.data.frame_folder import frame_files
from whyact.data.listing import Listing, Record
from whyact.extras import needed
from whyact.types import WhyactError

INDEX = "index.json"


def _library(name: str) -> Any:
    return needed(name, "shards", "data.type 'shards'")


@dataclass(frozen=True)
class Written:
    """What a split became.

    Attributes:
        clips, shards: numbers of them. failures: reason by clip, of what could not be read at all;
            those are listed, so that evaluation counts them.
    """

    clips: int
    shards: int
    failures: dict[str, str]


def write_shards(
    listing: Listing, folder: Path, *, megabytes: int, seed: int = 0,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Written:  # fmt: skip
    """Write a split as tar shards in the WebDataset layout, with an index beside them.

    Clips are shuffled once, so that a shard holds a mixture of classes.

    Args:
        listing: of the split. folder: to write to. megabytes: size at which a shard is full.
        seed: of the order. progress: wraps the loop over the clips.

    Raises:
        WhyactError: ``folder`` holds shards already, clips are parts of files, or webdataset is
            not installed.
    """
    wds = _library("webdataset")
    if any(record.span or record.box for record in listing.records):
        raise WhyactError("Its clips are parts of films, which shards would copy for every clip.")
    if (folder / INDEX).exists():
        raise WhyactError(f"{folder} holds shards already; take another --out or delete it.")
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(range(len(listing.records)), key=lambda i: _mixed(seed, i))
    rows: list[dict[str, Any]] = [{} for _ in order]
    failures: dict[str, str] = {}
    shard, size, sink = -1, 0, None
    for i in progress(order):
        record = listing.records[i]
        files, reason = _files(record.path)
        if sink is None or size >= megabytes << 20:
            if sink is not None:
                sink.close()
            shard, size = shard + 1, 0
            sink = wds.TarWriter(str(folder / f"{shard:06d}.tar"), encoder=False, mtime=0)
        key = f"{i:09d}"
        sample = {name: file.read_bytes() for name, file in files.items()}
        info = {"id": record.id, "label": record.label, "group": record.group}
        sink.write({"__key__": key, **sample, "json": json.dumps(info).encode()})
        size += sum(map(len, sample.values()))
        rows[i] = info | {"shard": shard, "path": f"{key}.{next(iter(files), 'missing')}"}
        if record.path.is_dir():
            rows[i]["path"] = key
        rows[i]["content"] = content_hash(record.path)
        if reason:
            failures[record.id] = reason
            rows[i]["missing"] = reason
    if sink is not None:
        sink.close()
    tree = {"classes": listing.classes, "multi_label": listing.multi_label,
            "flip_pairs": listing.flip_pairs, "shards": shard + 1, "records": rows}  # fmt: skip
    (folder / INDEX).write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    return Written(len(rows), shard + 1, failures)


def _mixed(seed: int, i: int) -> int:
    """A fixed order that looks random, the same on every machine."""
    return (i * 2_654_435_761 + seed * 40_503 + (i >> 7) * 97) % (1 << 32)


def _files(path: Path) -> tuple[dict[str, Path], str]:
    """A clip's files by what follows the key in a shard; a reason where there are none."""
    try:
        if path.is_dir():
            listed = [*frame_files(path), *sorted(path.glob("flow_*")), *path.glob("rate.txt")]
            return {file.name: file for file in listed}, ""
        with path.open("rb"):
            return {path.suffix.lstrip(".").lower() or "bin": path}, ""
    except (OSError, VideoError) as error:
        return {}, str(error)


def _plain(name: str) -> str:
    """A name that cannot lead out of its folder, as all that `write_shards` writes are."""
    if not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise WhyactError(f"a shard or its index has the name {name!r}, which is no plain one.")
    return name


class ShardStore:
    """Unpacks shards into a local folder when a clip of them is asked for.

    Args:
        base: folder or fsspec URL of a split. scratch: local folder, shared by all processes.
        kept: shards kept unpacked; the longest unused go first.
    """

    def __init__(self, *, base: str, scratch: Path, kept: int) -> None:
        self.base, self.scratch, self.kept = base, scratch, kept

    def path(self, shard: int, name: str) -> Path:
        """Where a clip lies once its shard is unpacked."""
        return self.scratch / f"{shard:06d}" / name

    def fetch(self, path: Path) -> None:
        """Make sure that a clip of `path` is there.

        Raises:
            VideoError: the shard cannot be read.
        """
        folder = path.parent
        if not folder.is_dir():
            lock = FileLock(f"{folder}.lock")
            self.scratch.mkdir(parents=True, exist_ok=True)
            with lock:
                if not folder.is_dir():
                    self._unpack(folder)
        os.utime(folder)

    def _unpack(self, folder: Path) -> None:
        from webdataset.tariterators import tar_file_iterator

        url = f"{self.base}/{folder.name}.tar"
        part = Path(tempfile.mkdtemp(dir=self.scratch, prefix=".part-"))
        try:
            with _library("fsspec").open(url, "rb") as opened:
                for file in tar_file_iterator(opened):
                    key, _, name = _plain(file["fname"]).partition(".")
                    frames = name.count(".") > 0  # img_00001.jpg: one of a folder
                    target = part / key / name if frames else part / f"{key}.{name}"
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(file["data"])
            part.rename(folder)
        except Exception as error:  # whatever a remote store raises
            raise VideoError(url, f"the shard cannot be read: {error}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._evict()

    def _evict(self) -> None:
        """Drop the longest unused shards, but none that was used in the last minute."""
        old = sorted(
            (p for p in self.scratch.iterdir() if p.is_dir() and p.name.isdecimal()),
            key=lambda p: p.stat().st_mtime,
        )
        for folder in old[: -self.kept]:
            if time.time() - folder.stat().st_mtime > 60:
                shutil.rmtree(folder, ignore_errors=True)


def read_shards(
    *, root: str, annotations: str = "", split: str = "train", kept: int = 8
) -> Listing:
    """The listing of a split of shards, with its store.

    Args:
        root: folder or fsspec URL that `write_shards` wrote the splits below.
        annotations: local folder for unpacked shards; the system's temporary folder if empty.
        split: its name. kept: see `ShardStore`.

    Raises:
        WhyactError: no index there.
    """
    base = f"{root.rstrip('/')}/{split}"
    try:
        with _library("fsspec").open(f"{base}/{INDEX}", "rb") as opened:
            index = opened.read()
        tree = json.loads(index)
    except (OSError, ValueError) as error:
        raise WhyactError(
            f"{base}/{INDEX}: no index of shards there ({error}); write it with whyact data shard."
        ) from error
    name = "whyact-shards-" + hashlib.sha256(base.encode() + index).hexdigest()[:12]
    local = Path(annotations or tempfile.gettempdir())
    store = ShardStore(base=base, scratch=local / name, kept=kept)
    records = []
    for row in tree["records"]:
        label = tuple(row["label"]) if isinstance(row["label"], list) else row["label"]
        path = store.path(row["shard"], _plain(row["path"]))
        records.append(Record(path, row["id"], label, row["group"], row["content"]))
    pairs = tuple((a, b) for a, b in tree["flip_pairs"])
    return Listing(
        tuple(tree["classes"]), tuple(records), tree["multi_label"], pairs, store=store,
        blocks=tuple(row["shard"] for row in tree["records"]),
    )  # fmt: skip
