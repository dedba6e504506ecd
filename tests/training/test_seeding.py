import random

import numpy as np
import torch

from whyact.training.record import environment, package_versions
from whyact.training.seeding import derive, seed_everything, set_determinism


def test_streams_differ_by_seed_and_by_name():
    seeds = {derive(s, n, i) for s in (0, 1) for n in ("order", "step") for i in range(50)}
    assert len(seeds) == 200
    assert derive(42, "order") == derive(42, "order")


def test_one_seed_governs_python_numpy_and_torch():
    def draw():
        seed_everything(7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()


def test_what_stays_nondeterministic_is_said():
    assert set_determinism(False) == ["training.deterministic is off"]
    assert not torch.are_deterministic_algorithms_enabled()
    left = set_determinism(True)
    assert torch.are_deterministic_algorithms_enabled()
    assert left == [] or torch.cuda.is_available()


def test_the_record_names_versions_and_device():
    found = environment(torch.device("cpu"), ["x"])
    assert found["versions"] == package_versions() and found["versions"]["torch"]
    assert found["device"] == "cpu" and found["nondeterministic"] == ["x"]
