"""The table of explanation quality, on models whose explanations are known."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.tasks.test_explain import CLASSES, tiny_config
from tests.toys import ToyModel
from torch import Tensor, nn

from whyact.config import Config
from whyact.metrics.quality import CONTROLS, METRICS, TRUTH
from whyact.metrics.robustness import top_down
from whyact.models.builders import build_model
from whyact.ops.encode import write_video
from whyact.tasks.explainer_table import EXPLAINERS, build_method, pass_size
from whyact.tasks.explanation_bench import Bench, Measured, measure_batch
from whyact.tasks.explanations import _Fold, _key, measure_explanations, tabulate
from whyact.tasks.reasoning import Reasons, summarise_reasons
from whyact.training.checkpoint import load_model, save_checkpoint
from whyact.types import ActionOutput, WhyactError

METHODS = ("native", "grad_cam")
RERUN = ("sensitivity", "randomisation", "random_logit")
FAST = {"tube": (4, 8, 8), "steps": 2, "parts": 8, "fractions": (0.25, 0.5)}


def model() -> nn.Module:
    torch.manual_seed(0)
    made = build_model(tiny_config().model, classes=len(CLASSES), scenes=2, seed=3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return made.eval()


def clips(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


def masks(count: int = 4) -> Tensor:
    mask = torch.zeros(count, 8, 32, 32, dtype=torch.bool)
    mask[:, :, 8:24, 8:20] = True
    return mask


def test_randomisation_reaches_a_frozen_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its forward pass keeps no gradients of its own, by which parts of the score are found."""
    sizes: list[list[int]] = []

    def spy(model: nn.Module, score: Callable[[], Tensor]) -> list[list[nn.Parameter]]:
        stages = top_down(model, score)
        sizes.append([len(stage) for stage in stages])
        return stages

    monkeypatch.setattr("whyact.tasks.explanation_bench.top_down", spy)
    for frozen in (False, True):
        made = model()
        made.frozen = frozen
        bench = Bench(made, ["native"], (8, 32, 32))
        measure_batch(bench, clips(1), mask=None, limbs=None, rerun=True, settings=FAST)
    assert sizes[0] == sizes[1] and sum(sizes[0]) > 10


def test_nothing_beats_the_ceiling_of_occlusion_on_a_mask_of_whole_cells() -> None:
    """Its map has one value in each cell, so all of a cell is the most that it can show."""
    mask = torch.zeros(2, 8, 32, 32, dtype=torch.bool)
    mask[:, 2:4, 8:16, 8:16] = True  # a quarter of the clip in every direction
    bench = Bench(model(), ["occlusion"], (8, 32, 32))
    made, _ = measure_batch(bench, clips(2), mask=mask, limbs=None, rerun=False, settings=FAST)
    assert made.ceilings["occlusion"]["iou"] == [1] * 2
    assert made.ceilings["occlusion"]["pointing"] == [1] * 2


def test_rows_metrics_and_cost() -> None:
    bench = Bench(model(), METHODS, (8, 32, 32))
    mask = masks()
    mask[3] = False  # no actor: N/A, and counted
    made, targets = measure_batch(bench, clips(), mask=mask, limbs=None, rerun=True, settings=FAST)
    rows = {*CONTROLS, *METHODS, *(f"{m}_blurred" for m in METHODS)}
    assert set(made.rows) == {*rows, TRUTH} and targets.shape == (4,)
    truth = made.rows.pop(TRUTH)
    assert truth["iou"][:3] == [1] * 3 and math.isnan(truth["deletion_blur"][3])
    for values in made.rows.values():
        assert set(values) == set(METRICS)
        assert all(len(v) == 4 for v in values.values())
        assert math.isnan(values["energy"][3]) and math.isnan(values["score"][3])
        assert not math.isnan(values["energy"][0]) and math.isnan(values["iou_limbs"][0])
    # Controls see neither model nor class; the constant map is robust, empty and not focused.
    for control in CONTROLS:
        assert made.rows[control]["randomisation"] == made.rows[control]["random_logit"] == [1] * 4
    assert made.rows["constant"]["sensitivity"] == [0] * 4
    assert made.rows["constant"]["entropy"] == pytest.approx([1] * 4)
    assert made.rows["constant"]["energy"][:3] == pytest.approx([0] * 3)
    assert made.rows["random"]["justification"] == [0] * 4
    assert all(v < 0.99 for v in made.rows["native"]["randomisation"])
    # Every pass is counted.
    assert made.passes == {"native": [2.0], "grad_cam": [2.0]}
    assert made.judging[0] == made.judging[1] == 2 * 1 * 2 + 2 * 2
    assert 0 < made.ceilings["native"]["iou"][0] <= 1


def test_results_do_not_depend_on_the_batch() -> None:
    bench = Bench(model(), ("native",), (8, 32, 32))
    together, _ = measure_batch(
        bench, clips(2), mask=masks(2), limbs=masks(2), rerun=True, settings=FAST
    )
    apart = Measured()
    for b in range(2):
        one, _ = measure_batch(
            bench, clips(2)[b : b + 1], mask=masks(1), limbs=masks(1), rerun=True,
            settings={**FAST, "batch_size": 3},
        )  # fmt: skip
        apart.add(one)
    for row, values in together.rows.items():
        for name, value in values.items():
            assert apart.rows[row][name] == pytest.approx(value, abs=2e-4, nan_ok=True), (row, name)


class Corner(ToyModel):
    """Looks at the upper left quarter alone, and says so or says the opposite."""

    def __init__(self, honest: bool) -> None:
        super().__init__(classes=2)
        self.honest = honest
        self.backbone = nn.Identity()

    def forward(self, x: Tensor, traced: bool = False) -> ActionOutput:
        output = super().forward(x, traced)
        half = x.shape[-1] // 2
        score = 6 * x[..., :half, :half].mean((1, 2, 3, 4))
        frames = x.shape[2]
        contributions = torch.zeros(len(x), frames, 4, 2)
        told = 0 if self.honest else 3
        contributions[:, :, told, 0] = score[:, None] / frames
        assignment = torch.eye(4).expand(len(x), frames, 4, 4)
        return replace(
            output, contributions=contributions, assignment=assignment,
            bias=torch.tensor([0.0, 1.5]),
            logits=torch.stack([score, torch.full_like(score, 1.5)], 1),
            frame_logits=contributions.sum(2) * frames + torch.tensor([0.0, 1.5]),
            region_weights=torch.full((len(x), frames, 4), 1 / (4 * frames)),
        )  # fmt: skip


@pytest.mark.parametrize("honest", [True, False])
def test_an_honest_explanation_beats_the_controls_and_a_lie_does_not(honest: bool) -> None:
    made = Measured()
    x = 0.05 * clips(8)
    x[..., :16, :16] += 0.8
    mask = torch.zeros(8, 8, 32, 32, dtype=torch.bool)
    mask[..., :16, :16] = True
    bench = Bench(Corner(honest), ("native",), (8, 32, 32))  # type: ignore[arg-type]
    part, _ = measure_batch(bench, x, mask=mask, limbs=mask, rerun=False, settings=FAST)
    part.ids, part.hits = [str(i) for i in range(8)], [1.0] * 8
    made.add(part)
    table = tabulate(made, ["native"])
    verdicts = table["verdicts"]["native"]
    rows = table["rows"]
    if honest:
        assert not verdicts["deletion_blur"]["not_beaten"]
        assert not verdicts["insertion_mean"]["not_beaten"]
        assert not verdicts["energy"]["not_beaten"] and not verdicts["infidelity"]["not_beaten"]
        assert rows["native"]["score"]["mean"] > rows["random"]["score"]["mean"] + 0.2
    else:
        for name in ("deletion_blur", "insertion_mean", "energy", "iou", "infidelity"):
            assert set(verdicts[name]["not_beaten"]) >= {"constant"}, name
        assert rows["native"]["relevance"]["mean"] == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and three clips without masks."""
    root = tmp_path_factory.mktemp("explained")
    config = tiny_config()
    config.data.root, config.data.test = str(root / "videos"), ["test"]
    config.data.transform.flip_pairs = []
    generator = torch.Generator().manual_seed(0)
    for name in CLASSES:
        frames = torch.randint(0, 255, (12, 40, 48, 3), generator=generator, dtype=torch.uint8)
        write_video(root / "videos" / "test" / name / "a.mp4", frames, 10)
    save_checkpoint(
        root / "checkpoint", weights=model().state_dict(), config=config,
        classes=sorted(CLASSES), scenes=("a", "b"), state={},
    )  # fmt: skip
    return root / "checkpoint"


def test_the_files_of_a_set_without_masks(run: Path, tmp_path: Path) -> None:
    table = measure_explanations(
        run, ["native", "occlusion"], clips=9, rerun=0, output=tmp_path, settings=FAST
    )
    assert table["clips"] == 3 and table["about"]["expected"] == 3
    energy = table["rows"]["native"]["energy"]
    assert energy["mean"] is None and energy["undefined"] == 3
    assert not any(name in table["rows"]["native"] for name in RERUN)
    stored = json.loads((tmp_path / "table.json").read_text())
    assert stored["values"]["id"] == table["values"]["id"] and len(stored["values"]["id"]) == 3
    assert stored["values"]["rows"]["native"]["energy"] == [None] * 3
    told = (tmp_path / "table.md").read_text()
    assert "| native | method | N/A (3) |" in told and "nan" not in told.lower()
    assert "| occlusion |" in told and "motion_magnitude | control" in told
    assert "strongest minus random path" in told
    assert table["cost"]["occlusion"]["passes"] <= 1.2 * table["cost"]["occlusion"]["needed"]
    assert (tmp_path / "table.png").stat().st_size > 10_000


def test_no_readable_clip(run: Path, tmp_path: Path) -> None:
    broken = load_model(run).config
    for name in CLASSES:
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "a.mp4").write_bytes(b"broken")
    broken.data.root = str(tmp_path)
    with pytest.raises(WhyactError, match="No clip of 'test' could be read; `whyact data check`"):
        measure_explanations(run, ["native"], data=broken, output=tmp_path / "out")


def test_errors(run: Path) -> None:
    with pytest.raises(WhyactError, match=r"no explainer 'gradcam'. Did you mean 'grad_cam'\?"):
        measure_explanations(run, ["gradcam"])
    with pytest.raises(WhyactError, match="one or more different explainers"):
        measure_explanations(run, ["native", "native"])
    with pytest.raises(WhyactError, match="at least one clip"):
        measure_explanations(run, ["native"], clips=0)
    with pytest.raises(WhyactError, match="backbone has no attention layers"):
        Bench(model(), ["attention_rollout"], (8, 32, 32))


@pytest.mark.parametrize("name", [n for n in EXPLAINERS if n != "attention_rollout"])
def test_every_explainer_of_the_table_runs_within_its_passes(name: str) -> None:
    made = model()
    sizes: list[int] = []

    def counted(x: Tensor, traced: bool = False) -> ActionOutput:
        sizes.append(len(x))
        return made(x, traced=traced)

    method = build_method(name, model=made, run=counted, size=(8, 32, 32), grid=(8, 4, 4))  # type: ignore[arg-type]
    if name == "rise":
        method.explainer.masks = 20  # type: ignore[attr-defined]
        method = replace(method, needs=20)
    (one,) = method.explainer(clips(1))
    assert one.heat.shape == (8, 32, 32) and bool(torch.isfinite(one.heat).all())
    assert sum(sizes) <= 1.2 * method.needs


def test_the_command_takes_a_list(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    from whyact import cli
    from whyact.tasks import explanations

    asked: list[SimpleNamespace] = []

    def measure(checkpoint: str, methods: list[str], **options: object) -> dict:
        asked.append(SimpleNamespace(checkpoint=checkpoint, methods=methods, **options))
        raise WhyactError("stop here")

    monkeypatch.setattr(explanations, "measure_explanations", measure)
    code = cli.main(
        ["evaluate", str(run), "--explain", "native,rise", "--clips", "20", "--workers", "2"]
    )
    assert code == 2 and asked[0].methods == ["native", "rise"]
    assert (asked[0].clips, asked[0].workers) == (20, 2)
    assert asked[0].data == load_model(run).config
    assert asked[0].settings == {} and not hasattr(asked[0], "bf16")  # the function knows


def test_the_command_takes_the_folds_of_a_run_and_cheaper_metrics(
    monkeypatch: pytest.MonkeyPatch, run: Path, tmp_path: Path
) -> None:
    from whyact import cli
    from whyact.tasks import explanations

    asked: list[dict] = []

    def measure(checkpoint: str, methods: list[str], **options: object) -> dict:
        asked.append(options)
        raise WhyactError("stop here")

    monkeypatch.setattr(explanations, "measure_explanations", measure)
    (tmp_path / "fold_0" / "checkpoints").mkdir(parents=True)
    (tmp_path / "fold_0" / "checkpoints" / "best").symlink_to(run)
    assert cli.main(["evaluate", str(tmp_path), "--explain", "native", "--metric-steps", "2",
                     "--bf16"]) == 2  # fmt: skip
    assert asked[0]["settings"] == {"steps": 2, "parts": 8, "fractions": ()}
    assert asked[0]["bf16"] is True


def test_every_fold_explains_its_own_part(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyact.tasks import explanations

    asked: list[int] = []
    inner = explanations._dataset

    def dataset(config: Config, split: str, seed: int) -> object:
        asked.append(config.data.fold)
        return inner(config, split, seed)

    monkeypatch.setattr(explanations, "_dataset", dataset)
    given = load_model(run).config
    given.data.fold = 7
    table = measure_explanations(
        run, ["native"], clips=1, rerun=0, output=tmp_path, data=given, bf16=True,
        settings={**FAST, "fractions": ()},
    )  # fmt: skip
    assert table["rows"]["native"]["road"]["undefined"] == 1
    assert set(asked) == {load_model(run).config.data.fold}
    assert table["about"]["bf16"] is True and table["clips"] == 1


def test_an_interrupted_table_goes_on_and_folds_are_put_together(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyact.tasks import explanations

    monkeypatch.setattr(explanations, "BATCH", 1)
    done: list[int] = []
    inner = explanations._job

    def job(start: int, **options: object) -> tuple:
        done.append(start)
        return inner(start, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(explanations, "_job", job)

    def measure(source: Path, clips: int) -> dict:
        return measure_explanations(
            source, ["native"], clips=clips, rerun=0, output=tmp_path / "out", settings=FAST
        )

    first = measure(run, 2)
    assert done == [0, 1] and first["clips"] == 2
    table = measure(run, 3)
    assert done == [0, 1, 2] and table["clips"] == 3  # only the new clip was measured
    assert (
        table["values"]["rows"]["native"]["entropy"][:2]
        == (first["values"]["rows"]["native"]["entropy"])
    )
    monkeypatch.setattr(explanations, "VERSION", explanations.VERSION + 1)
    measure(run, 1)
    assert done == [0, 1, 2, 0]  # what another version measured is not taken
    for fold in (0, 1):
        checkpoints = tmp_path / "folds" / f"fold_{fold}" / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / "best").symlink_to(run)
    both = measure(tmp_path / "folds", 4)
    assert both["clips"] == 4 and len(both["about"]["checkpoints"]) == 2


def test_large_clips_go_through_the_model_a_few_at_once() -> None:
    """As many as have the pixels of 16 clips of 8 x 112 x 112, and no more than 16."""
    assert [pass_size((8, side, side)) for side in (64, 112, 224, 448, 896)] == [16, 16, 4, 1, 1]
    seen = []

    def counted(clips: Tensor) -> Tensor:
        seen.append(len(clips))
        return clips.mean((2, 3, 4))

    for name in ("integrated_gradients", "smooth_grad", "gradient_shap", "occlusion"):
        method = build_method(name, model=model(), run=counted, size=(8, 224, 224), grid=(8, 4, 4))  # type: ignore[arg-type]
        method.explainer(torch.rand(1, 3, 8, 224, 224), torch.tensor([0]))
    assert max(seen) == 4


def test_parts_of_clips_that_are_read_otherwise_are_not_taken(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    dataset, job = SimpleNamespace(fingerprint="clips"), partial(print)
    job.keywords.update({"methods": ("native",), "settings": {}, "bf16": False})

    def key(change: str, value: object) -> str:
        config = Config()
        setattr(config.data.clip if change == "stride" else config.data, change, value)
        loaded = SimpleNamespace(folder=tmp_path, config=config)
        return _key(_Fold(loaded, None, "test", dataset), job)

    assert key("root", "here") == key("workers", 3) != key("stride", 7)


def test_reasons_of_several_models_are_compared_within_each() -> None:
    """Ten models whose prompts tell nothing of a clip: their own names would tell which fold."""
    made = [Reasons(), Reasons()]
    noise = torch.randn(2, 6, 4, 1, 5, generator=torch.Generator().manual_seed(0))
    for i, one in enumerate(made):
        one.mixtures = [torch.full((6, 3), float(i))]
        one.content = [torch.full((6, 4), float(i))]
        one.codes = {"action": [noise[i] + 99 * i]}
        one.values = {"region_fit": [torch.ones(6)]}
    table = summarise_reasons(model(), made)
    assert "prompt_alignment" not in table and "prompt_bank" not in table
    # Within a model frames differ as clips do; between the two everything is far away.
    assert table["action_code_stability"]["mean"] > 1
