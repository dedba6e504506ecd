"""The cache on disk, and clips as the training reads them."""

import hashlib
import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from whyact.config import BackdropConfig, ClipConfig, DataConfig, TransformConfig
from whyact.data.backdrop import generation
from whyact.data.backdrop.actions import ACTIONS
from whyact.data.backdrop.arrays import BackdropDataset, load_backdrop, split_size
from whyact.data.backdrop.factors import SPLITS
from whyact.data.backdrop.generation import SEPARATED, add_foreground, describe, generate_split
from whyact.data.backdrop.render import generate_clip
from whyact.data.backdrop.scenes import SCENES
from whyact.data.backdrop.watermark import stamp
from whyact.data.builders import build_dataset, transforms
from whyact.types import Clip, WhyactError

SETTINGS = {"split": "train", "seed": 0, "frames": 8, "size": 32, "correlation": 0.9}
LEFT, RIGHT = ACTIONS.index("push_left"), ACTIONS.index("push_right")


def no_work(*_: object, **__: object) -> None:
    raise AssertionError("this was to need no work")


def made(root: Path, clips: int = 3, **changes) -> Path:
    return generate_split(root=root, clips=clips, **{**SETTINGS, "frames": 2, **changes})


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """52 clips in two parts, made by two new processes."""
    return generate_split(
        root=tmp_path_factory.mktemp("two"), clips=generation.CHUNK + 2, workers=2, **SETTINGS
    )


@pytest.fixture(scope="module")
def separated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of each action with its foreground."""
    folder = made(tmp_path_factory.mktemp("separated"), 15, frames=8, size=48)
    add_foreground(folder)
    return folder


def clip(dataset: BackdropDataset, index: int, turn: int = 0) -> Clip:
    return dataset[index, turn]


def test_other_processes_give_the_same_arrays_as_this_one(train, tmp_path) -> None:
    alone = generate_split(root=tmp_path, clips=generation.CHUNK + 2, workers=1, **SETTINGS)
    assert alone.name == train.name
    for name in ("video.npy", "mask.npy", "factors.jsonl", "settings.json", "sha256"):
        assert (alone / name).read_bytes() == (train / name).read_bytes()


def test_the_rows_are_the_clips_with_their_factors(train) -> None:
    dataset = BackdropDataset(folder=train)
    assert len(dataset) == len(dataset.factors) == 52
    for index in (0, 17, 49, 50, 51):
        sample = generate_clip(index=index, **SETTINGS)
        assert np.array_equal(dataset.video[index], sample.video)
        assert np.array_equal(dataset.mask[index], sample.mask)
        # Through JSON tuples become lists.
        assert dataset.factors[index] == json.loads(json.dumps(describe(sample)))


def test_factors_are_described_with_names_and_without_nan() -> None:
    noise = describe(generate_clip(split="scuba", index=4, frames=2, size=32))
    assert noise["scene"] == -1 and noise["scene_name"] == "noise"
    assert noise["actors"][0]["name"] == "punch"
    novel = describe(generate_clip(split="novel", index=0, frames=2, size=32))
    assert novel["scene_name"] == SCENES[novel["scene"]]
    gone = generate_clip(split="occluded", index=0, frames=2, size=32)
    gone.boxes[0, 1] = np.nan
    boxes = describe(gone)["boxes"]
    assert boxes[0][1] == [None] * 4 and boxes[0][0] == gone.boxes[0, 0].tolist()


def test_a_clip_is_what_the_training_expects(train) -> None:
    dataset = BackdropDataset(folder=train)
    one = clip(dataset, 16)
    assert one.id == "train/000016" == dataset.ids[16] == dataset.groups[16]
    assert one.label == 1 == dataset.labels[16] and dataset.classes[1] == "run"
    assert one.nuisance == dataset.factors[16]["scene"]
    assert one.video.shape == (3, 8, 32, 32) and one.video.dtype == torch.uint8
    assert np.array_equal(one.video.permute(1, 2, 3, 0), dataset.video[16])
    assert one.mask.dtype == torch.bool and one.foreground is None and one.background is None
    assert np.array_equal(one.mask, dataset.mask[16] % 16 > 0)
    assert np.array_equal(dataset.limb_mask(16), dataset.mask[16] // 16 > 0)
    assert (one.mask | ~dataset.limb_mask(16)).all()
    assert list(dataset.labels) == [i % 15 for i in range(52)] and dataset.views == 1


def test_a_clip_does_not_share_memory_with_the_cache(train) -> None:
    dataset = BackdropDataset(folder=train)
    clip(dataset, 0).video.zero_()
    assert clip(dataset, 0).video.any()


def test_clips_with_several_people_have_several_labels(tmp_path) -> None:
    folder = made(tmp_path, 8, split="multi")
    plain, flipped = BackdropDataset(folder=folder), BackdropDataset(folder=folder, flip=1.0)
    assert {len(labels) for labels in plain.labels} == {2, 3, 4}
    pushed = 0
    for index, labels in enumerate(plain.labels):
        one, mirrored = clip(plain, index).label, clip(flipped, index).label
        assert one.shape == (15,) and one.nonzero().flatten().tolist() == sorted(labels)
        swapped = one.clone()
        swapped[[LEFT, RIGHT]] = one[[RIGHT, LEFT]]
        assert torch.equal(mirrored, swapped)
        pushed += not torch.equal(one, mirrored)
    assert pushed


def test_the_second_call_does_no_work(train, monkeypatch) -> None:
    monkeypatch.setattr(generation, "in_processes", no_work)
    monkeypatch.setattr(generation, "generate_clip", no_work)
    before = {p: p.stat().st_mtime_ns for p in train.iterdir()}
    again = generate_split(root=train.parents[1], clips=52, workers=1, **SETTINGS)
    assert again == train and {p: p.stat().st_mtime_ns for p in train.iterdir()} == before
    with pytest.raises(AssertionError, match="no work"):
        generate_split(root=train.parents[1], clips=51, **SETTINGS)


def test_every_setting_and_the_version_have_a_folder_of_their_own(tmp_path, monkeypatch) -> None:
    changes = [
        {}, {"split": "iid"}, {"seed": 1}, {"frames": 3}, {"size": 34}, {"correlation": 0.5},
        {"clips": 1},
    ]  # fmt: skip
    folders = [made(tmp_path, **{"clips": 2, **change}) for change in changes]
    monkeypatch.setattr(generation, "BACKDROP_VERSION", "0.0")
    folders.append(made(tmp_path, clips=2))
    assert len(set(folders)) == len(changes) + 1
    told = [json.loads((folder / "settings.json").read_text()) for folder in folders]
    assert told[2]["seed"] == 1 and told[-1]["version"] == "0.0" and told[-2]["clips"] == 1
    shapes = [np.load(folder / "video.npy", mmap_mode="r").shape for folder in folders]
    assert shapes[3] == (2, 3, 32, 32, 3) and shapes[4] == (2, 2, 34, 34, 3)
    assert shapes[6] == (1, 2, 32, 32, 3)


def test_untrimmed_arrays_have_room_for_the_longer_clips(tmp_path) -> None:
    dataset = BackdropDataset(folder=made(tmp_path, 2, split="untrimmed"))
    assert dataset.video.shape == (2, 8, 32, 32, 3) and dataset.mask[:, -1].any()


def interrupt(patch: pytest.MonkeyPatch, root: Path, at: int = 2) -> None:
    """Begin to make three clips and stop at one of them."""

    def stopping(*, index: int, **settings):
        if index == at:
            raise KeyboardInterrupt
        return generate_clip(index=index, **settings)

    patch.setattr(generation, "generate_clip", stopping)
    with pytest.raises(KeyboardInterrupt):
        made(root)


def test_an_interrupted_generation_leaves_nothing_half_made(tmp_path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, tmp_path)
    assert list((tmp_path / "backdrop").iterdir()) == []
    folder = made(tmp_path)
    assert [p.name for p in (tmp_path / "backdrop").iterdir()] == [folder.name]
    assert BackdropDataset(folder=folder).mask[2].any()


def test_what_a_killed_generation_left_is_never_read(tmp_path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation.shutil, "rmtree", lambda *_, **__: None)  # no time to clean up
        interrupt(patch, tmp_path)
    [left] = (tmp_path / "backdrop").iterdir()
    assert left.name.startswith(".making-") and not np.load(left / "mask.npy")[2].any()
    folder = made(tmp_path)
    assert folder != left and BackdropDataset(folder=folder).mask[2].any()


def test_two_that_make_the_same_split_share_the_one_that_is_done_first(
    tmp_path, monkeypatch
) -> None:
    other = made(tmp_path / "other")
    folder = tmp_path / "one" / "backdrop" / other.name

    def overtaken(**settings):
        if not folder.exists():
            shutil.copytree(other, folder)
            (folder / "first").touch()
        return generate_clip(**settings)

    monkeypatch.setattr(generation, "generate_clip", overtaken)
    assert made(tmp_path / "one") == folder and (folder / "first").exists()
    assert len(list(folder.parent.iterdir())) == 1


def test_the_fingerprint_is_the_hash_of_the_raw_arrays(train) -> None:
    dataset, digest = BackdropDataset(folder=train), hashlib.sha256()
    digest.update(b"video(52, 8, 32, 32, 3)" + dataset.video.tobytes())
    digest.update(b"mask(52, 8, 32, 32)" + dataset.mask.tobytes())
    assert dataset.fingerprint == digest.hexdigest()


def test_the_fingerprint_tells_contents_apart(tmp_path, monkeypatch) -> None:
    def fingerprint(name: str, **changes) -> str:
        return BackdropDataset(folder=made(tmp_path / name, **changes)).fingerprint

    first = fingerprint("a")
    assert fingerprint("b") == first  # wherever it lies
    others = [fingerprint("a", **c) for c in ({"seed": 1}, {"clips": 2}, {"split": "iid"})]

    def touched(array: str):
        def changed(**settings):
            sample = generate_clip(**settings)
            getattr(sample, array)[-1, -1, -1] ^= 1
            return sample

        return changed

    for array in ("video", "mask"):
        monkeypatch.setattr(generation, "generate_clip", touched(array))
        others.append(fingerprint(array))
    assert len({first, *others}) == 6


def test_a_flip_mirrors_everything_and_swaps_left_and_right(separated) -> None:
    plain = BackdropDataset(folder=separated, separated=True)
    flipped = BackdropDataset(folder=separated, separated=True, flip=1.0)
    for index in range(15):
        one, mirrored = clip(plain, index), clip(flipped, index)
        for name in ("video", "mask", "foreground", "background"):
            assert torch.equal(getattr(mirrored, name), getattr(one, name).flip(-1))
        assert mirrored.label == {LEFT: RIGHT, RIGHT: LEFT}.get(index, index)
        assert one.label == index and mirrored.nuisance == one.nuisance and mirrored.id == one.id


def test_flips_follow_from_seed_round_and_index(train) -> None:
    def flips(seed: int, turn: int) -> list[bool]:
        dataset = BackdropDataset(folder=train, flip=0.5, seed=seed)
        return [not torch.equal(clip(dataset, i, turn).mask, masks[i]) for i in range(52)]

    masks = [clip(BackdropDataset(folder=train), i).mask for i in range(52)]
    assert flips(3, 1) == flips(3, 1) != flips(3, 2) and flips(3, 1) != flips(4, 1)
    drawn = [f for turn in range(6) for f in flips(0, turn)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.1)


def test_the_foreground_finds_the_actor_and_the_background_has_none(separated) -> None:
    dataset = BackdropDataset(folder=separated, separated=True)
    overlaps, on, off = [], [], []
    for index in range(15):
        one = clip(dataset, index)
        assert one.foreground.shape == (8, 48, 48) and one.background.shape == (3, 8, 48, 48)
        assert one.foreground.dtype == one.background.dtype == torch.uint8
        found = one.foreground > 127
        overlaps.append(float((found & one.mask).sum() / (found | one.mask).sum()))
        change = (one.video.float() - one.background.float()).abs().mean(0)
        on.append(float(change[one.mask].mean()))
        off.append(float(change[~(one.mask | found)].mean()))
    assert np.mean(overlaps) > 0.5
    assert np.mean(on) > 5 * np.mean(off)


def test_other_processes_make_the_same_foreground(train, tmp_path) -> None:
    alone, spread = (shutil.copytree(train, tmp_path / name) for name in ("alone", "spread"))
    add_foreground(alone, workers=1)
    add_foreground(spread, workers=2)
    for name in SEPARATED.values():
        assert (alone / f"{name}.npy").read_bytes() == (spread / f"{name}.npy").read_bytes()


def test_the_foreground_is_made_once(separated, tmp_path) -> None:
    files = [separated / f"{name}.npy" for name in SEPARATED.values()]
    before = [(p.stat().st_mtime_ns, p.stat().st_ino) for p in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "in_processes", no_work)
        add_foreground(separated)
    assert [(p.stat().st_mtime_ns, p.stat().st_ino) for p in files] == before
    copy = tmp_path / "copy"
    shutil.copytree(separated, copy, ignore=shutil.ignore_patterns("*ground*.npy"))
    (copy / "foreground.npy").write_bytes(b"of an earlier version")
    add_foreground(copy, workers=1)
    assert not (copy / "foreground.npy").exists()
    assert all((copy / p.name).read_bytes() == p.read_bytes() for p in files)
    assert not list(copy.glob(".making-*"))


def test_an_interrupted_foreground_is_made_again(separated, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(separated, copy, ignore=shutil.ignore_patterns("*ground*.npy"))
    names = sorted(p.name for p in copy.iterdir())

    def stopping(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_separate", stopping)
        with pytest.raises(KeyboardInterrupt):
            add_foreground(copy)
    assert sorted(p.name for p in copy.iterdir()) == names
    behind = f"{SEPARATED['background']}.npy"
    (copy / behind).write_bytes(b"stopped between the two files")
    add_foreground(copy)
    assert (copy / behind).read_bytes() == (separated / behind).read_bytes()


def test_the_foreground_leaves_the_fingerprint_alone(separated) -> None:
    plain = BackdropDataset(folder=separated)
    assert plain.fingerprint == BackdropDataset(folder=separated, separated=True).fingerprint
    assert clip(plain, 0).foreground is None


def test_a_split_is_loaded_as_the_settings_say(tmp_path) -> None:
    load = partial(
        load_backdrop, root=str(tmp_path), clips=4, eval_clips=2, correlation=0.9, seed=0,
        frames=2, size=32, flip=1.0,
    )  # fmt: skip
    training, testing = load(split="train", train=True), load(split="swap", train=False)
    assert len(training) == 4 and len(testing) == 2 and testing.split == "swap"
    untouched = load(split="train", train=False)
    assert torch.equal(clip(training, 1).video, clip(untouched, 1).video.flip(-1))
    with_foreground = load(split="swap", train=False, foreground=True)
    assert clip(with_foreground, 0).foreground.shape == (2, 32, 32)


def test_the_probe_has_whole_rounds_of_all_pairs() -> None:
    sizes = [split_size("probe", 4000, n) for n in (10, 89, 90, 300)]
    assert sizes == [450, 450, 675, 2250]
    assert [split_size(s, 4000, 400) for s in ("train", "val", "iid")] == [4000, 400, 400]


def test_the_config_builds_it(tmp_path) -> None:
    config = DataConfig(
        root=str(tmp_path), clip=ClipConfig(frames=2), transform=TransformConfig(size=32, flip=1.0),
        backdrop=BackdropConfig(clips=3, eval_clips=2, seed=5),
    )  # fmt: skip
    train = build_dataset(config, "train", train=True, seed=7, foreground=True)
    test = build_dataset(config, "light", train=False, seed=7)
    assert isinstance(train, BackdropDataset) and train.flip == 1.0 and train.seed == 7
    assert len(train) == 3 and clip(train, 0).background is not None
    assert isinstance(test, BackdropDataset) and len(test) == 2 and test.flip == 0.0
    expected = generate_clip(split="light", index=1, seed=5, frames=2, size=32)
    assert np.array_equal(test.video[1], expected.video)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "test"}, r"Unknown Backdrop split 'test'; choose from \['train'"),
        ({"frames": 0}, r"at least 1 frames a clip .* got 0"),
        ({"size": 8}, r"at least 18 pixels a side .* got 8"),
        ({"clips": 0}, r"at least 1 clips a split .*eval_clips\), got 0"),
        ({"correlation": -0.1}, r"correlation must be in \[0, 1\], got -0\.1"),
        ({"seed": -3}, r"seed must be 0 or above, got -3"),
    ],
)
def test_wrong_settings_are_named_before_any_work(tmp_path, monkeypatch, wrong, message) -> None:
    monkeypatch.setattr(generation, "in_processes", no_work)
    with pytest.raises(WhyactError, match=message):
        made(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_every_split_can_be_cached(tmp_path) -> None:
    for split in SPLITS:
        dataset = BackdropDataset(folder=made(tmp_path, 1, split=split))
        assert clip(dataset, 0).id == f"{split}/000000"


def test_a_watermark_is_stamped_last_and_covers_the_actor(train: Path) -> None:
    plain = BackdropDataset(folder=train, flip=1.0)
    marked = BackdropDataset(folder=train, flip=1.0, watermark="class")
    for index in range(20):
        a, b = plain[(index, 0)], marked[(index, 0)]
        assert a.label == b.label  # after the flip, the square is that of the flipped label
        assert torch.equal(b.video, stamp(a.video, int(a.label)))
        assert b.mask is not None and not b.mask[:, :4, :4].any()
    with pytest.raises(WhyactError, match="no watermark 'logo'"):
        BackdropDataset(folder=train, watermark="logo")


def test_boxes_are_the_actors_and_turn_with_the_clip(tmp_path) -> None:
    folder = made(tmp_path, 6, split="multi")
    plain = BackdropDataset(folder=folder, boxes=True)
    flipped = BackdropDataset(folder=folder, boxes=True, flip=1.0)
    for index in range(len(plain)):
        boxes, masks = clip(plain, index).boxes, plain.actor_masks(index)
        assert boxes.shape == (2, len(masks), 5) and bool((boxes[..., 4].nan_to_num(0) == 0).all())
        for actor, mask in enumerate(masks):
            ys, xs = mask[0].nonzero(as_tuple=True)
            if not len(xs):
                assert boxes[0, actor].isnan().all()
                continue
            tight = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 32
            assert torch.allclose(boxes[0, actor, :4], tight)
        mirrored = clip(flipped, index).boxes
        assert torch.allclose(mirrored[..., 0], 1 - boxes[..., 2], equal_nan=True)
        assert torch.allclose(mirrored[..., 1], boxes[..., 1], equal_nan=True)
    assert clip(BackdropDataset(folder=folder), 0).boxes is None


def test_a_copy_for_another_process_holds_no_pixels(separated: Path) -> None:
    made = BackdropDataset(folder=separated, separated=True)
    packed = pickle.dumps(made)
    assert len(packed) < made.video.nbytes / 10
    there, here = clip(pickle.loads(packed), 3), clip(made, 3)
    assert torch.equal(there.video, here.video)
    assert torch.equal(there.background, here.background)


@pytest.mark.parametrize(
    "wrong", [{"transform": TransformConfig(other_scene=0.5)}, {"fold": 2},
              {"clip": ClipConfig(tempo_jitter=0.2)}],
)  # fmt: skip
def test_settings_without_effect_are_refused(wrong: dict) -> None:
    with pytest.raises(WhyactError, match="has no effect on Backdrop's clips"):
        build_dataset(DataConfig(type="backdrop", **wrong), "train", train=True, seed=0)


def test_films_are_seen_whole_as_the_clips_are() -> None:
    """At a short side of 256, which is the default, a crop of 32 would be an eighth of a film."""
    config = DataConfig(type="backdrop", transform=TransformConfig(size=32))
    film = torch.zeros(3, 4, 64, 64, dtype=torch.uint8)
    film[:, :, :8], film[..., :8] = 200, 200
    seen = transforms(config, ACTIONS)[1](film, None)[0]
    assert (seen[:, :, 0] > 150).all() and (seen[..., 0] > 150).all()
