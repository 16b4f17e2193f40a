"""Why a message got its score."""

import dataclasses

import pytest
import torch

from classifier.encoding import make_batch
from classifier.network import score_batch
from classifier.ngrams import bucket_of_token
from classifier.text import BODY, SUBJECT
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from tests.classifier.models import ENCODING, NGRAMS, random_model, small_artifact
from training.reasons import Reasons, reasons

TEXT = f"{SUBJECT} parcel {BODY} your parcel waits, pay the fee at once and the parcel comes"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.from_json(small_artifact().tokenizer_json)


@pytest.fixture
def model(tokenizer: TextTokenizer) -> WideAndDeep:
    return random_model(tokenizer.vocabulary_size)


def found(model: WideAndDeep, tokenizer: TextTokenizer, text: str = TEXT) -> Reasons:
    return reasons(model, tokenizer, tokenizer.encode(text), ENCODING)


def test_fields_and_words_add_up_to_the_score(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """From the score of a mail of which nothing is read."""
    why = found(model, tokenizer)
    with torch.inference_mode():
        logit = score_batch(model, make_batch([tokenizer.encode(TEXT)], ENCODING), torch.device("cpu")).item()
    assert abs(why.logit - why.baseline_logit) > 0.1
    assert why.logit == pytest.approx(logit, abs=1e-3)
    assert sum(word.weight for word in why.words) == pytest.approx(sum(why.by_field.values()))


def test_a_word_that_decides_is_the_strongest(model: WideAndDeep, tokenizer: TextTokenizer) -> None:
    """Its tokens are put together."""
    pieces = torch.tensor(tokenizer.encode(" fee"))
    model.wide.weight_F[bucket_of_token(pieces, NGRAMS)] = 50.0
    assert found(model, tokenizer).strongest(1)[0][0].text == "fee"


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
