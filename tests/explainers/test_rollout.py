"""Attention roll-out of transformers whose attention is written by hand."""

import pytest
import torch
from torch import Tensor, nn

from whyact.explainers.rollout import AttentionRollout
from whyact.types import WhyactError


class Fixed(nn.Module):
    """Gives the same attention for every clip, whatever comes in."""

    def __init__(self, attention: Tensor) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention.expand(len(x), *self.attention.shape)


class Stack(nn.Module):
    def __init__(self, *attention: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Fixed(a) for a in attention)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            layer(x)
        return torch.stack([x.mean((1, 2, 3, 4)), -x.mean((1, 2, 3, 4))], 1)


def clips() -> Tensor:
    return torch.rand(2, 3, 1, 1, 2, generator=torch.Generator().manual_seed(0))


def test_two_layers_by_hand() -> None:
    """A class token and two cells; the first layer moves cell 1 to cell 2, the second to class."""
    first = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])
    second = torch.tensor([[0.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    model = Stack(first, second)
    explainer = AttentionRollout(model=model, layers=list(model.layers), grid=(1, 1, 2), prefix=1)
    for one in explainer(clips()):
        # Class reads itself and cell 2 by half each; cell 2 read itself and cell 1 by half each.
        assert one.heat.flatten().tolist() == pytest.approx([0.25, 0.25])
        assert one.method == "attention_rollout"


def test_without_class_token_rows_are_averaged_and_heads_too() -> None:
    heads = torch.stack([torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[0.0, 1], [1, 0]])])
    model = Stack(heads)
    (one, _) = AttentionRollout(model=model, layers=[model.layers[0]], grid=(1, 1, 2))(clips())
    # Mean over heads [[.5, .5], [1, 0]], plus identity, halved: rows [.75, .25] and [.5, .5].
    assert one.heat.flatten().tolist() == pytest.approx([0.625, 0.375])


def test_a_class_token_that_nobody_reads_is_left_out() -> None:
    """It looks at cell 1 alone; each cell at itself."""
    attention = torch.tensor([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    model = Stack(attention)
    given = {"model": model, "layers": list(model.layers), "grid": (1, 1, 2), "prefix": 1}
    (read, _) = AttentionRollout(**given)(clips())
    assert read.heat.flatten().tolist() == pytest.approx([0.5, 0])
    (unread, _) = AttentionRollout(**given, class_token=False)(clips())
    assert unread.heat.flatten().tolist() == pytest.approx([0.5, 0.5])


class Encoder(nn.Module):
    """A real transformer over eight pixels as tokens, which asks for no weights itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(3, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.classify = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.encoder(self.embed(x.flatten(2).transpose(1, 2))).mean(1))


def test_real_attention_layers() -> None:
    model = Encoder().eval()
    x = torch.rand(2, 3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    layers = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    with torch.no_grad():
        before = model(x)
    found = AttentionRollout(model=model, layers=layers, grid=(2, 2, 2))(x)
    tokens = model.embed(x.flatten(2).transpose(1, 2))
    flow = torch.eye(8).expand(2, 8, 8)
    for layer in model.encoder.layers:
        attention = layer.self_attn(tokens, tokens, tokens)[1]
        flow = (0.5 * attention + 0.5 * torch.eye(8)) @ flow
        tokens = layer(tokens)
    wanted = flow.mean(1).view(2, 2, 2, 2)
    assert torch.allclose(torch.stack([e.heat for e in found]), wanted, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(model(x), before, atol=1e-6)  # the hooks are gone
    assert not layers[0]._forward_hooks and not layers[0]._forward_pre_hooks


def test_errors() -> None:
    model = Stack(torch.eye(3))
    with pytest.raises(WhyactError, match="for transformers"):
        AttentionRollout(model=model, layers=[], grid=(1, 1, 2))
    with pytest.raises(WhyactError, match=r"Expected attention \(n, 2, 2\).*got \(2, 3, 3\)"):
        AttentionRollout(model=model, layers=[model.layers[0]], grid=(1, 1, 2))(clips())
    with pytest.raises(WhyactError, match="ran 0 times"):
        AttentionRollout(model=model, layers=[Fixed(torch.eye(2))], grid=(1, 1, 2))(clips())
