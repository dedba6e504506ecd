"""A tiny encoder written on the spot: pooling is worked out from its own states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from whyact.models.sentence_encoder import load_encoder
from whyact.models.vocabulary import Vocabulary
from whyact.types import WhyactError

transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "throw", "a", "punch", "wave"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("encoder")
    (place / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(place / "vocab.txt")).save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(place)
    return place


def pooling(folder: Path, **modes: bool) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    text = json.dumps({"word_embedding_dimension": 8, **modes})
    (folder / "1_Pooling" / "config.json").write_text(text)


def test_a_sentence_is_the_mean_of_its_own_tokens(folder: Path) -> None:
    encode = load_encoder(folder)
    both = encode(["throw a punch", "wave"])
    assert both.shape == (2, 8)
    torch.testing.assert_close(both[1:], encode(["wave"]), atol=1e-5, rtol=0)  # padding is left out
    assert not torch.allclose(both[0], both[1])


def test_pooling_is_read_from_the_folder(folder: Path) -> None:
    mean = load_encoder(folder)(["wave"])
    pooling(folder, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    assert not torch.allclose(load_encoder(folder)(["wave"]), mean)
    pooling(folder, pooling_mode_max_tokens=True)
    with pytest.raises(WhyactError, match=r"only mean or first-token.*max_tokens"):
        load_encoder(folder)
    pooling(folder, pooling_mode_cls_token=False, pooling_mode_mean_tokens=True)
    torch.testing.assert_close(load_encoder(folder)(["wave"]), mean)


def test_a_class_is_like_itself(folder: Path) -> None:
    pooling(folder, pooling_mode_mean_tokens=True)
    words = Vocabulary(names=["wave", "punch"], encoder=load_encoder(folder), margin=0.0, least=-1)
    assert words.specification(" PUNCH ").tolist() == [0, 1]
    assert words.specification("throw a punch").sum() >= 1


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WhyactError, match=r"no config\.json"):
        load_encoder(tmp_path)
