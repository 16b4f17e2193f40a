"""Why a message got its score."""

import dataclasses

import pytest
import torch

from classifier.network import SpamNetwork
from classifier.ngrams import NgramConfig, NgramEvidence, bucket_of_token
from classifier.text import BODY, SUBJECT
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from tests.classifier.models import ENCODING, small_artifact
from training.reasons import Reasons, reasons

TEXT = f"{SUBJECT} parcel {BODY} your parcel waits, pay the fee at once and the parcel comes"
NGRAMS = NgramConfig(bucket_bits=12)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.from_json(small_artifact().tokenizer_json)


@pytest.fixture
def model() -> WideAndDeep:
    artifact = small_artifact()
    torch.manual_seed(3)
    deep = SpamNetwork(artifact.network).eval()
    model = WideAndDeep(deep, NgramEvidence(NGRAMS)).eval()
    model.wide.rarity_F.uniform_(1, 5)
    model.wide.weight_F.normal_(std=0.5)
    model.wide.bias.fill_(-0.5)
    model.scales.copy_(torch.tensor([2.0, 3.0]))
    return model.requires_grad_(False)


def found(model: WideAndDeep, tokenizer: TextTokenizer, text: str = TEXT) -> Reasons:
    return reasons(model, tokenizer, tokenizer.encode(text), ENCODING, steps=64)


def test_the_weights_add_up_to_the_score(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """Of all words, and of all fields, from the score of a mail that says nothing."""
    why = found(model, tokenizer)
    assert abs(why.logit - why.baseline_logit) > 0.1
    assert why.gap < 0.01
    assert sum(word.weight for word in why.words) == pytest.approx(sum(why.by_field.values()))


def test_a_word_that_decides_has_the_greatest_weight(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """Planted in either half: in the n-grams, or as the only embedding that the network can see."""
    pieces = torch.tensor(tokenizer.encode(" fee"))
    model.wide.weight_F[bucket_of_token(pieces, NGRAMS)] = 50.0
    assert found(model, tokenizer).strongest(1)[0][0].text == "fee"
    model.wide.weight_F.zero_()
    others = torch.ones(len(model.deep.embedding.weight), dtype=torch.bool)
    others[pieces] = False
    model.deep.embedding.weight[others] = 0.0
    model.deep.embedding.weight[pieces] = 2.0
    weights = {word.text: abs(word.weight) for word in found(model, tokenizer).words}
    assert max(weights, key=lambda text: weights[text]) == "fee"


def test_words_keep_their_field(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """The same word in subject and body counts in each, and the marks of fields have names."""
    words = [(word.text, word.field) for word in found(model, tokenizer).words]
    assert words[:2] == [("[subject]", "subject"), ("parcel", "subject")]
    assert words.count(("parcel", "body")) == 2


def test_private_words_can_be_left_out(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """What is left says which fields weighed, and nothing of what stood there."""
    bare = found(model, tokenizer).without_words()
    assert not bare.words
    assert set(bare.by_field) == {"subject", "body"}
    assert "parcel" not in repr(dataclasses.asdict(bare))
