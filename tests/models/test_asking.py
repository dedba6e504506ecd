"""Where wishes come from, and what they give away."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.nn.test_graph_split import Y, clips, model
from tests.toys import toy_batch

from whyact.config import BackboneConfig, ModelConfig, SpatialGraphConfig, SpecificationConfig
from whyact.metrics.recognition import recognition_scores
from whyact.models.asking import PROTOCOLS, asked_logits
from whyact.models.builders import build_model
from whyact.types import Batch

NAMES = [p.name for p in PROTOCOLS]
LABELS = torch.tensor([[1.0, 0, 1], [0, 1, 0]])


def batch(labels: torch.Tensor = LABELS) -> Batch:
    return replace(toy_batch(count=2), video=clips(), label=labels)


def test_each_protocol_asks_as_it_says() -> None:
    made = model()
    seen = dict(zip(NAMES, asked_logits(made, batch())[:, 0].unbind(1), strict=True))
    plain = made(clips()).logits
    torch.testing.assert_close(seen["no_prompt"], plain)
    for y in range(Y):
        alone = made(clips(), wanted=y).logits[:, y]
        torch.testing.assert_close(seen["label_free"][:, y], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen["oracle"], made(clips(), LABELS).logits, atol=1e-5, rtol=0)
    best = torch.nn.functional.one_hot(plain.argmax(1), Y).bool()
    wish = ((plain > 0) | best).float()
    torch.testing.assert_close(seen["predicted"], made(clips(), wish).logits, atol=1e-5, rtol=0)


def test_only_the_oracle_reads_the_labels() -> None:
    made, other = model(), 1 - LABELS
    first, second = asked_logits(made, batch()), asked_logits(made, batch(other))
    differs = [not torch.equal(first[:, :, i], second[:, :, i]) for i in range(len(PROTOCOLS))]
    assert differs == [p.reads_labels for p in PROTOCOLS] == [False, False, False, True]


def test_a_mirrored_view_is_asked_for_what_it_shows() -> None:
    """Classes 0 and 1 change places in the second clip, whose logits are read in that order."""
    made, order = model(), torch.tensor([[0, 1, 2], [1, 0, 2]])
    oracle = NAMES.index("oracle")
    shown = torch.stack([LABELS[0], LABELS[1][order[1]]])
    expected = asked_logits(made, batch(shown))[:, :, oracle]
    found = asked_logits(made, replace(batch(), class_order=order))[:, :, oracle]
    torch.testing.assert_close(found, expected)
    single = replace(batch(torch.tensor([2, 1])), class_order=order)
    wanted = asked_logits(made, batch(torch.tensor([2, 0])))[:, :, oracle]
    torch.testing.assert_close(asked_logits(made, single)[:, :, oracle], wanted)


def test_without_the_video_all_clips_score_alike_but_for_the_oracle_s_leak() -> None:
    blind = asked_logits(model(), batch())[:, 1]
    for number, protocol in enumerate(PROTOCOLS):
        same = torch.allclose(blind[0, number], blind[1, number], atol=1e-6)
        assert same == (protocol.name != "oracle")


def test_without_the_video_there_are_no_boxes_either() -> None:
    made = build_model(
        ModelConfig(
            backbone=BackboneConfig(type="small", width=16),
            spatial_graph=SpatialGraphConfig(type="boxes", kinds=2),
            specification=SpecificationConfig(type="split"),
        ),
        classes=Y,
    ).eval()
    boxes = (
        torch.tensor([[0.1, 0.1, 0.5, 0.9, 0], [0.5, 0.5, 0.9, 0.9, 1]]).expand(2, 4, 2, 5).clone()
    )
    boxes[1, :, 1] = torch.nan  # the second clip has no object
    same = torch.ones(2, Y)
    found = asked_logits(made, replace(batch(same), boxes=boxes))
    assert torch.equal(found[0, 1], found[1, 1])
    assert not torch.allclose(found[0, 0], found[1, 0], atol=1e-4)


def test_a_model_that_believes_its_wishes_scores_by_the_oracle_without_seeing() -> None:
    made = model()
    tokens = torch.zeros(1, 4, 16, made.backbone.width)
    with torch.no_grad():  # every region joins, and a wish makes what the head says yes to more
        seen = made.decode(tokens, (4, 4)).action_code.mean((0, 1, 2))
        made.head.classify.weight.copy_(seen.expand(Y, -1))
        made.specification.bias.fill_(9.0)
        split = made.specification
        split.scaling.weight.copy_((20 * seen / seen.square().sum()).expand(len(seen), -1))
        for edges in (split.spatial, *split.temporal):
            edges.message.weight.zero_()
    blind = asked_logits(made, batch())[:, 1]
    leak = recognition_scores(blind[:, NAMES.index("oracle")], LABELS, intervals=False)
    chance = recognition_scores(blind[:, NAMES.index("label_free")], LABELS, intervals=False)
    assert leak["map"] == 1.0 and abs(chance["map"] - 0.5) < 1e-6


def test_single_labels_make_wishes_too() -> None:
    made = model()
    single = asked_logits(made, batch(torch.tensor([2, -1])))
    wish = torch.tensor([[0.0, 0, 1], [0, 0, 0]])
    expected = made(clips(), wish).logits
    torch.testing.assert_close(single[:, 0, 3], expected, atol=1e-5, rtol=0)


def test_the_blind_backbone_gives_every_clip_the_same() -> None:
    output = model(backbone=BackboneConfig(type="blind", width=16))(clips())
    assert torch.equal(output.logits[0], output.logits[1]) and output.grid == (4, 4)
    seen = model()(clips())
    assert not torch.allclose(seen.logits[0], seen.logits[1])
