"""Parts of messages that are learned from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.message import parse_message
from classifier.text import ATTACHMENT, BODY, FIELD_MARKERS, LINK, SENDER, SUBJECT, message_text
from classifier.tokenizer import TextTokenizer
from tests.conftest import MAIL
from training.fields import Fields

Mail = tuple[NDArray[np.int64], TextTokenizer]


@pytest.fixture(scope="module")
def mail() -> Mail:
    """The ids of a mail with a sender and links, and the tokenizer that gave them."""
    text = message_text(parse_message((MAIL / "ham" / "receipt-app-html.eml").read_bytes()))
    tokenizer = TextTokenizer.learn(iter([text] * 3), 500)
    return np.array(tokenizer.encode(text)), tokenizer


def test_sender_and_links_go_and_what_is_said_stays(mail: Mail) -> None:
    """At 1 every field goes that names the collection, at 0 none; what stays keeps its marker and its order."""
    token_ids, tokenizer = mail
    fields, random = Fields(tokenizer), np.random.default_rng(0)
    assert fields.kept(token_ids, 0.0, random).all()
    left = token_ids[fields.kept(token_ids, 1.0, random)]
    marker_of = {tokenizer.marker_ids[marker]: marker for marker in FIELD_MARKERS}
    before, after = ([marker_of[i] for i in ids[fields.are_markers(ids)].tolist()] for ids in (token_ids, left))
    assert set(before) >= {SUBJECT, SENDER, LINK, BODY}
    assert after == [marker for marker in before if marker in (SUBJECT, ATTACHMENT, BODY)]
    bodies = [ids[np.flatnonzero(ids == tokenizer.marker_ids[BODY])[0] :].tolist() for ids in (token_ids, left)]
    assert bodies[0] == bodies[1]


def test_each_field_is_drawn_by_itself(mail: Mail) -> None:
    """At a half some stay, not always the same."""
    token_ids, tokenizer = mail
    fields, random = Fields(tokenizer), np.random.default_rng(0)
    kept = [int(fields.kept(token_ids, 0.5, random).sum()) for _ in range(50)]
    assert len(set(kept)) > 2
    assert min(kept) < len(token_ids) == max(kept)


def message(tokenizer: TextTokenizer, words: int) -> NDArray[np.int64]:
    """A subject, then a body whose tokens are all different from each other."""
    ids = tokenizer.marker_ids
    return np.array([ids[SUBJECT], 900, ids[BODY], *range(1000, 1000 + words)], np.int64)


def test_an_excerpt_is_one_run_of_the_body(mail: Mail) -> None:
    """All other fields stay whole; runs are of many lengths, up to three fifths, and begin anywhere."""
    fields, whole = Fields(mail[1]), message(mail[1], 200)
    lengths, starts = [], []
    for seed in range(300):
        kept = whole[fields.excerpt(whole, np.random.default_rng(seed))]
        assert kept[:3].tolist() == whole[:3].tolist()
        run = kept[3:]
        assert run.tolist() == list(range(run[0], run[0] + len(run)))
        lengths.append(len(run))
        starts.append(int(run[0]) - 1000)
    assert min(lengths) == 20
    assert 100 < max(lengths) <= 120
    assert min(starts) < 10
    assert max(starts) > 160
    assert any(start + length == 200 for start, length in zip(starts, lengths, strict=True))


@pytest.mark.parametrize("words", [0, 1, 20])
def test_a_short_body_is_its_own_excerpt(mail: Mail, words: int) -> None:
    """Twenty tokens are not cut any further, and a message without a body stays what it is."""
    fields, whole = Fields(mail[1]), message(mail[1], words)
    for each in (whole, whole[:2], whole[:0]):
        assert fields.excerpt(each, np.random.default_rng(1)).all()


def test_words_of_several_tokens_are_seen_as_unknown() -> None:
    """Each of their tokens, the first too; what the vocabulary has whole, and markers, stay."""
    tokenizer = TextTokenizer.learn(iter(["ten o'clock"] * 5), 400)
    token_ids = np.array(tokenizer.encode(f"{SUBJECT} ten zq{BODY}clock zq"))
    seen = Fields(tokenizer).with_unknown_words(token_ids).tolist()
    ids = tokenizer.marker_ids
    (ten,), (clock,) = tokenizer.encode("ten"), tokenizer.encode("clock")
    unknown = [tokenizer.unknown_id] * len(tokenizer.encode("zq"))
    assert len(unknown) > 1
    assert seen == [ids[SUBJECT], ten, *unknown, ids[BODY], clock, *unknown]
