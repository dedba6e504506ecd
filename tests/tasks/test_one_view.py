"""What is explained or probed of a clip is its middle, whatever views an evaluation takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.tiny import tiny_config, write_folder

from whyact.models.builders import build_model
from whyact.tasks.ablation.explained import explain_run
from whyact.tasks.ablation.leaking import leak_run
from whyact.tasks.explanations import measure_explanations
from whyact.tasks.named import measure_named
from whyact.training.checkpoint import save_checkpoint


class Read(Exception):
    """The data set was asked for."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model whose protocol is of six views."""
    place = tmp_path_factory.mktemp("views")
    write_folder(place / "clips", splits=("test",))
    config = tiny_config(place / "clips", place, data__protocol="2x3")
    model = build_model(config.model, classes=2, scenes=0)
    save_checkpoint(
        place / "run" / "checkpoints" / "best", weights=model.state_dict(), config=config,
        classes=("a", "b"), scenes=(), state={},
    )  # fmt: skip
    return place / "run"


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("ablation.leaking", lambda run: leak_run(run, split="test")),
        ("ablation.explained", lambda run: explain_run(run, split="test", clips=2)),
        ("explanations", lambda run: measure_explanations(run, ["native"], split="test")),
        ("named", lambda run: measure_named(run, split="test")),
    ],
)
def test_the_middle_is_read(
    run: Path, module: str, call: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(config: Any, *_: Any, **__: Any) -> None:
        assert config.protocol == "1x1"
        raise Read

    monkeypatch.setattr(f"whyact.tasks.{module}.build_dataset", spy)
    with pytest.raises(Read):
        call(run)
