import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from tests.training.toy_runs import ToyClips, rows, toy_config, toy_loop

from whyact.config import BalanceConfig, TrainingConfig
from whyact.data.loader import collate_items
from whyact.training.checkpoint import load_state
from whyact.training.loop import Loop
from whyact.training.setup import cosine_with_warmup, make_accelerator
from whyact.types import WhyactError

SCRIPT = Path(__file__).with_name("toy_runs.py")
ROOT = Path(__file__).parents[2]


def weights(loop: Loop) -> torch.Tensor:
    """Of the model and of the objectives' own networks."""
    values = [*loop.evaluated.state_dict().values(), *loop.attached.state_dict().values()]
    return torch.cat([v.flatten().double() for v in values])


def run_script(folder: Path, settings: str, *launcher: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(folder), settings],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_schedule_warms_up_linearly_then_follows_half_a_cosine():
    scale = [cosine_with_warmup(s, warmup=2, total=10) for s in range(11)]
    assert scale[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert scale[6] == pytest.approx(0.5)
    assert scale[10] == pytest.approx(0.0)


def test_a_short_run_warms_up_over_its_first_third():
    assert cosine_with_warmup(0, warmup=1000, total=9) == pytest.approx(1 / 3)
    assert cosine_with_warmup(3, warmup=1000, total=9) == pytest.approx(1.0)


def test_a_run_does_not_inherit_the_device_of_the_run_before():
    make_accelerator(toy_config().training)
    PartialState._shared_state["device"] = torch.device("meta")  # as if it had been a GPU
    assert make_accelerator(toy_config().training).device == torch.device("cpu")


def test_training_lowers_the_loss(tmp_path):
    loop = toy_loop(tmp_path, toy_config(epochs=8, learning_rate=5e-3, frozen=False))
    loop.run()
    logged = rows(tmp_path)
    assert [r["epoch"] for r in logged] == list(range(1, 9))
    assert logged[-1]["step"] == 24
    assert logged[-1]["train/loss"] < 0.5 * logged[0]["train/loss"]


def test_objectives_are_told_how_far_the_training_is(tmp_path):
    """12 clips in batches of 4, 3 epochs: 9 steps, and both halves of a batch are of one step."""
    loop = toy_loop(tmp_path, toy_config(device_batch_size=2))
    told, prepare = [], loop.objectives.prepare

    def record(batch, model):
        told.append(batch.progress)
        return prepare(batch, model)

    loop.objectives.prepare = record
    loop.run()
    assert told == pytest.approx([step / 9 for step in range(9) for _ in range(2)])


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_resuming_gives_the_weights_of_a_run_never_stopped(tmp_path, stop):
    """Every random part is on: dropout, noise, views, batch statistics, a moving average, and
    objectives with networks of their own."""

    def start(name: str) -> Loop:
        networks = ("club", "gradient_reversal", "reconstruction", "prompt_alignment")
        networks += ("whitened_consistency",)
        on = {"hsic": 0.5, "background_mix": 1.0, "swap_contrast": 1.0, "foreground_paste": 1.0}
        on |= dict.fromkeys((*networks, "bottleneck"), 0.1)
        config = toy_config(on, average=0.9, checkpoint_steps=1, device_batch_size=2, frozen=False)
        config.model.dropout, config.model.code_noise = 0.3, 0.5
        config.objective_settings.foreground_paste_mask = "regions"
        config.objective_settings.foreground_paste_blend = 1.0  # nothing moves in noise
        return toy_loop(tmp_path / name, config)

    whole = start("whole")
    whole.run()
    broken = start("broken")
    update = broken._update

    def failing(group):
        if broken.progress.step == stop:
            raise KeyboardInterrupt
        return update(group)

    broken._update = failing
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = start("broken")
    resumed.resume(tmp_path / "broken" / "checkpoints" / "last")
    assert resumed.progress.step == stop
    resumed.run()
    assert torch.equal(weights(resumed), weights(whole))
    for a, b in zip(rows(tmp_path / "broken"), rows(tmp_path / "whole"), strict=True):
        assert a == pytest.approx(b)


def test_a_killed_process_resumes_to_the_same_weights(tmp_path):
    settings = '"checkpoint_steps": 2, "objectives": {"background_mix": 1.0}'
    killed = run_script(tmp_path / "killed", f'{{{settings}, "kill_at": 5}}')
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    config = toy_config({"background_mix": 1.0}, checkpoint_steps=2)
    resumed = toy_loop(tmp_path / "killed", config)
    resumed.resume(tmp_path / "killed" / "checkpoints" / "last")
    assert resumed.progress.step == 4
    resumed.run()
    whole = toy_loop(tmp_path / "whole", config)
    whole.run()
    assert torch.equal(weights(resumed), weights(whole))


def test_a_process_without_a_readable_clip_stands_in(tmp_path):
    """Clips one at a time: what one process cannot read, the other two thirds of a step make up."""
    loop = toy_loop(tmp_path, toy_config(device_batch_size=1), ToyClips(broken=(0, 1)))
    batches = [collate_items([(i, loop.dataset[i, 0])]) for i in range(4)]

    class Two:  # of two processes, the first
        num_processes, process_index, device = 2, 0, torch.device("cpu")

        def gather(self, mine):
            return torch.cat([mine, torch.tensor([1, 1])])

        def __getattr__(self, name):
            return getattr(loop_accelerator, name)

    loop_accelerator, loop.accelerator = loop.accelerator, Two()
    assert loop._weights([batches[0], batches[3]]) == [0, 2 / 3]
    loop._backward = lambda batch, weight: seen.append((batch.ids, weight)) or {}
    seen = []
    loop.optimizer = SimpleNamespace(param_groups=[], step=lambda: None, zero_grad=lambda: None)
    monkey = "whyact.training.loop.average_gradients"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monkey, lambda *_: None)
        loop._update([batches[0], batches[3]])
    assert seen == [(("toy/2",), 0), (("toy/3",), 2 / 3)]


def test_two_processes_give_the_losses_of_one(tmp_path):
    settings = '{"objectives": {"hsic": 1.0, "deep_supervision": 0.5}, "batch_size": 6}'
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    two = run_script(tmp_path / "two", settings, *launch)
    assert two.returncode == 0, two.stderr
    config = toy_config({"hsic": 1.0, "deep_supervision": 0.5}, batch_size=6)
    toy_loop(tmp_path / "one", config).run()
    for a, b in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_every_process_tells_what_it_could_not_read(tmp_path):
    """Which of two processes reads a clip is drawn anew every epoch; the last one is enough."""
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    settings = '{"batch_size": 6, "epochs": 1, "broken": [0, 1, 2, 5, 7]}'
    two = run_script(tmp_path, settings, *launch)
    assert two.returncode == 0, two.stderr
    state = load_state(tmp_path / "checkpoints" / "last")
    assert set(state["progress"]["unreadable"]) == {f"toy/{i}" for i in (0, 1, 2, 5, 7)}


def test_accumulation_gives_the_losses_of_one_large_batch(tmp_path):
    for name, size in (("whole", 0), ("parts", 2)):
        toy_loop(tmp_path / name, toy_config(device_batch_size=size)).run()
    for a, b in zip(rows(tmp_path / "parts"), rows(tmp_path / "whole"), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_unreadable_clips_leave_every_other_clip_the_same_share(tmp_path):
    """With one batch of all clips, accumulation over uneven parts must not change the result."""
    for name, size in (("whole", 0), ("parts", 3)):
        config = toy_config(batch_size=12, device_batch_size=size)
        loop = toy_loop(tmp_path / name, config, ToyClips(broken=(0, 1, 2, 5)))
        loop.run()
        assert set(loop.progress.unreadable) == {"toy/0", "toy/1", "toy/2", "toy/5"}
    for a, b in zip(rows(tmp_path / "parts"), rows(tmp_path / "whole"), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_batch_without_any_readable_clip_names_the_files(tmp_path):
    loop = toy_loop(tmp_path, toy_config(batch_size=12), ToyClips(broken=tuple(range(12))))
    with pytest.raises(WhyactError, match=r"No clip .* read: toy/\d+: broken on purpose"):
        loop.run()


def test_best_is_chosen_by_the_metric_and_last_is_the_end(tmp_path):
    scores = iter([0.2, 0.6, 0.4])
    loop = toy_loop(tmp_path, toy_config(), validate=lambda model: {"top1": next(scores)})
    seen = []
    save = loop.save
    loop.save = lambda name: (seen.append((name, loop.progress.epoch)), save(name))
    loop.run()
    assert seen == [("best", 1), ("last", 1), ("best", 2), ("last", 2), ("last", 3)]
    assert loop.progress.best == 0.6


def test_select_last_takes_the_final_weights(tmp_path):
    scores = iter([0.9, 0.6, 0.4])
    config = toy_config(select="last")
    loop = toy_loop(tmp_path, config, validate=lambda model: {"top1": next(scores)})
    loop.run()
    best = loop.progress.best
    assert best == loop.progress.step == 9


def test_an_unknown_metric_to_select_by_lists_the_measured_ones(tmp_path):
    loop = toy_loop(tmp_path, toy_config(select="top2"))
    with pytest.raises(WhyactError, match=r"select is 'top2'.*\['top1'\].*'last'"):
        loop.run()


def test_a_set_smaller_than_the_batch_is_one_batch(tmp_path):
    loop = toy_loop(tmp_path, toy_config(batch_size=256, device_batch_size=8))
    assert (loop.batch_size, loop.steps_per_update, loop.total) == (8, 1, 3)


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(WhyactError, match="batch_size 4 is no multiple of 3"):
        toy_loop(tmp_path, toy_config(device_batch_size=3))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    loop = toy_loop(tmp_path, toy_config())
    next(p for p in loop.model.parameters() if p.requires_grad).data.fill_(float("nan"))
    with pytest.raises(WhyactError, match="loss is nan at step 1"):
        loop.run()


def test_networks_of_objectives_learn_at_their_own_rate_and_stay_out_of_the_weights(tmp_path):
    config = toy_config({"gradient_reversal": 1.0}, epochs=1, learning_rate=0.0)
    config.training.critic_learning_rate = 0.01
    loop = toy_loop(tmp_path, config)
    before, model = (
        {k: v.clone() for k, v in m.state_dict().items()} for m in (loop.attached, loop.model)
    )
    loop.run()
    assert [g["lr"] for g in loop.optimizer.param_groups] == [0.0, 0.01]
    for name, value in loop.attached.state_dict().items():
        assert 0.001 < (value - before[name]).abs().max() < 0.04, name
    assert all(torch.equal(value, model[k]) for k, value in loop.model.state_dict().items())
    stored = load_file(tmp_path / "checkpoints" / "last" / "model.safetensors")
    assert set(stored) == set(model)
    assert set(load_state(tmp_path / "checkpoints" / "last")["attached"]) == set(before)


def test_a_run_whose_objectives_kept_something_else_is_refused(tmp_path, monkeypatch):
    config = toy_config({"gradient_reversal": 1.0}, epochs=1)
    loop = toy_loop(tmp_path, config)
    loop.run()
    last = tmp_path / "checkpoints" / "last"
    state = load_state(last)
    gone = sorted(state["attached"])[0]
    del state["attached"][gone]
    monkeypatch.setattr("whyact.training.loop.load_state", lambda folder: state)
    with pytest.raises(
        WhyactError, match=rf"last: the objectives keep {gone} only before or after"
    ):
        toy_loop(tmp_path, config).resume(last)


def test_networks_are_made_for_the_first_clip_that_can_be_read(tmp_path):
    config = toy_config({"club": 1.0})
    late = toy_loop(tmp_path / "late", config, ToyClips(broken=(0, 1)))
    first = toy_loop(tmp_path / "first", config)
    assert torch.equal(weights(late), weights(first))
    with pytest.raises(WhyactError, match="No training clip could be read"):
        toy_loop(tmp_path / "c", config, ToyClips(broken=tuple(range(12))))


def test_balanced_groups_are_what_the_loop_draws(tmp_path):
    table = tmp_path / "groups.csv"
    names = ToyClips().ids  # label 0 is clips 0, 3, 6, 9; clip 0 is alone in its group
    table.write_text("id,scene\n" + "".join(f"{n},{int(n != 'toy/0')}\n" for n in names))
    config = toy_config(batch_size=12)
    config.data.balance = BalanceConfig(column="scene", table=str(table))
    loop = toy_loop(tmp_path / "run", config)
    drawn = Counter(i for epoch in range(200) for i, _ in loop._batches(epoch)[0])
    # Four groups share 2400 draws: {0}, {3, 6, 9}, {1, 4, 7, 10}, {2, 5, 8, 11}.
    assert drawn[0] == pytest.approx(600, abs=80)
    assert drawn[3] == pytest.approx(200, abs=60) and drawn[1] == pytest.approx(150, abs=50)


@pytest.mark.parametrize(("found", "taken"), [({"avx512_bf16": True}, "bf16"), ({}, "no")])
def test_auto_precision_is_what_the_cpu_computes(monkeypatch, found, taken):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    config = TrainingConfig(device="cpu")
    assert make_accelerator(config).mixed_precision == taken
    config.mixed_precision = "no"  # another run in the same process
    assert make_accelerator(config).mixed_precision == "no"
