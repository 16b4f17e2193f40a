"""Ids to windows to batches."""

from hypothesis import given
from hypothesis import strategies as st

from classifier.encoding import BUCKETS, EncodingConfig, bucket, bucketed, make_batch, select_tokens

CONFIG = EncodingConfig(window_tokens=8, head_tokens=16, tail_tokens=8)
MESSAGES = st.lists(st.lists(st.integers(1, 99), max_size=24), min_size=1, max_size=20)


@given(MESSAGES)
def test_a_batch_holds_every_token_once(messages: list[list[int]]) -> None:
    """Cut into windows and joined again the ids are the same, in order, and windows follow their messages."""
    batch = make_batch(messages, CONFIG)
    joined: list[list[int]] = [[] for _ in messages]
    for row, length, owner in zip(batch.token_ids_WT, batch.lengths_W, batch.message_W, strict=True):
        joined[owner] += [token_id for token_id in row[:length].tolist() if token_id]
        assert not row[length:].any()
    assert joined == messages
    assert batch.token_ids_WT.shape[1] in BUCKETS
    assert batch.lengths_W.min() >= 1


@given(MESSAGES, st.integers(1, 400))
def test_groups_hold_every_message_once_within_the_budget(messages: list[list[int]], max_tokens: int) -> None:
    """Groups divide the messages; only a message that is too long alone exceeds the budget."""
    groups = list(bucketed(messages, CONFIG, max_tokens))
    assert sorted(place for group in groups for place in group) == list(range(len(messages)))
    for group in groups:
        size = make_batch([messages[place] for place in group], CONFIG).token_ids_WT.size
        assert size <= max_tokens or len(group) == 1


@given(st.lists(st.integers(1, 9), max_size=60))
def test_of_a_long_message_head_and_tail_are_read(token_ids: list[int]) -> None:
    """A message that fits is read whole; of a longer one the first and the last tokens."""
    selected, truncated = select_tokens(token_ids, CONFIG)
    assert truncated is (len(token_ids) > 24)
    assert list(selected) == (token_ids if not truncated else token_ids[:16] + token_ids[-8:])


def test_few_shapes() -> None:
    """Lengths up to a window share the bucket sizes, and no length is cut."""
    assert {bucket(length) for length in range(1, 257)} == set(BUCKETS)
    assert all(bucket(length) >= length for length in range(1, 2000))
