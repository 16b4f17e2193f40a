"""The wide half, and both halves together."""

import math

import numpy as np
import pytest
import torch

from classifier.encoding import EncodingConfig, make_batch
from classifier.network import NetworkConfig, score_batch
from classifier.ngrams import READING_SHARES, READINGS, NgramConfig, NgramEvidence, bucket_of_pair, bucket_of_token
from classifier.wide_and_deep import WideAndDeep

CONFIG = NgramConfig(bucket_bits=16)
ENCODING = EncodingConfig(window_tokens=16, head_tokens=32, tail_tokens=16)
CPU = torch.device("cpu")
VOCABULARY = 50
UNKNOWN = VOCABULARY  # what stands for a token of a word of several


def messages(count: int = 12) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.integers(1, 50, random.integers(1, 48)).tolist() for _ in range(count)]


def evidence() -> NgramEvidence:
    torch.manual_seed(1)
    built = NgramEvidence(CONFIG, VOCABULARY)
    built.rarity_F.uniform_(1, 5)
    built.weight_F.normal_(std=5)
    built.bias.fill_(0.25)
    return built


def present(message: list[int], *continuing: int) -> list[set[int]]:
    """The features of both readings where those tokens go on with the word before them."""
    batch = make_batch([message], ENCODING)
    wide = NgramEvidence(CONFIG, VOCABULARY)
    wide.continues_V[list(continuing)] = True
    reading_K, bucket_K = wide.present(
        torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W), torch.from_numpy(batch.message_W)
    )
    return [set(bucket_K[reading_K == reading].tolist()) for reading in range(READINGS)]


def token(token_id: int) -> int:
    return int(bucket_of_token(torch.tensor(token_id), CONFIG))


def pair(first: int, second: int) -> int:
    return int(bucket_of_pair(torch.tensor(first), torch.tensor(second), CONFIG))


def test_a_message_has_its_tokens_and_its_pairs_once() -> None:
    """However often they stand there; nothing of padding. Without a word of several tokens both readings are one."""
    assert present([5, 6, 5, 6]) == [{token(5), token(6), pair(5, 6), pair(6, 5)}] * READINGS
    assert present([5]) == [{token(5)}] * READINGS
    assert present([]) == [set()] * READINGS


def test_words_of_several_tokens_are_unknown_to_the_second_reading() -> None:
    """All of their tokens, from the one that the others go on with."""
    as_written, unknown = present([5, 6, 7, 8, 9], 7, 8)
    assert as_written == {*map(token, [5, 6, 7, 8, 9]), pair(5, 6), pair(6, 7), pair(7, 8), pair(8, 9)}
    assert unknown == {
        *map(token, [5, UNKNOWN, 9]),
        pair(5, UNKNOWN),
        pair(UNKNOWN, UNKNOWN),
        pair(UNKNOWN, 9),
    }


def test_every_window_counts_and_a_pair_across_two_is_not_seen() -> None:
    """The last token of one window and the first of the next do not meet."""
    for found in present([7] * 16 + [8]):
        assert token(8) in found
        assert pair(7, 8) not in found


def test_the_logit_is_the_weight_of_what_is_there() -> None:
    """By hand, of both readings, as much as each counts: the sum of weight and rarity over the norm of the rarities."""
    wide = evidence()
    wide.continues_V[6] = True
    logits = []
    for found in present([5, 6, 9], 6):
        rarity, weight = (of_F[sorted(found)].double() for of_F in (wide.rarity_F, wide.weight_F))
        logits.append(float((rarity * weight).sum()) / math.sqrt(float(rarity.square().sum())))
    assert logits[0] != logits[1]
    mean = sum(share * logit for share, logit in zip(READING_SHARES, logits, strict=True))
    scored = float(score_batch(wide, make_batch([[5, 6, 9]], ENCODING), CPU))
    assert scored == pytest.approx(mean + 0.25, rel=1e-5)


def test_a_score_does_not_depend_on_its_batch_mates() -> None:
    """Of both halves together, to the last bit for the wide one; an empty message gets the bias."""
    model = WideAndDeep.of_sizes(NetworkConfig(VOCABULARY, 8, 12, 6), CONFIG).eval()
    model.wide.load_state_dict(evidence().state_dict())
    with torch.inference_mode():
        for part, tolerance in ((model, 1e-5), (model.wide, 0.0)):
            together = score_batch(part, make_batch([*messages(), []], ENCODING), CPU)
            alone = torch.cat([score_batch(part, make_batch([each], ENCODING), CPU) for each in [*messages(), []]])
            assert together.std() > 0.1
            torch.testing.assert_close(together, alone, atol=tolerance, rtol=0)
        assert float(together[-1]) == 0.25


def test_the_weights_of_tokens_add_up_to_the_logit() -> None:
    """For every message of a batch; what is not there has none, and a feature that stands twice is shared."""
    wide = evidence()
    wide.continues_V[20:30] = True
    batch = make_batch([*messages(), [5, 6, 5]], ENCODING)
    token_ids_WT, lengths_W = torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W)
    message_W = torch.from_numpy(batch.message_W)
    weights_WT = wide.token_weights(token_ids_WT, lengths_W, message_W, batch.messages)
    sums_B = torch.zeros(batch.messages).index_add(0, message_W, weights_WT.sum(1))
    torch.testing.assert_close(sums_B + wide.bias, score_batch(wide, batch, CPU), atol=1e-4, rtol=1e-4)
    assert not weights_WT[torch.arange(weights_WT.shape[1]) >= lengths_W[:, None]].any()
    found = sorted(present([5, 6, 5])[0])
    norm = wide.rarity_F[found].square().sum().sqrt()
    added = {bucket: float(wide.rarity_F[bucket] * wide.weight_F[bucket] / norm) for bucket in found}
    first = added[token(5)] / 2 + added[pair(5, 6)] / 2
    assert float(weights_WT[-1, 0]) == pytest.approx(first, rel=1e-4)


def test_the_halves_are_summed_as_scaled() -> None:
    """2 x deep + 3 x wide."""
    torch.manual_seed(2)
    model = WideAndDeep.of_sizes(NetworkConfig(VOCABULARY, 8, 12, 6), CONFIG).eval()
    model.wide.load_state_dict(evidence().state_dict())
    model.scales.copy_(torch.tensor([2.0, 3.0]))
    batch = make_batch(messages(), ENCODING)
    with torch.inference_mode():
        deep, wide, both = (score_batch(part, batch, CPU) for part in (model.deep, model.wide, model))
    torch.testing.assert_close(both, 2 * deep + 3 * wide)


def test_buckets_are_filled_evenly() -> None:
    """65,536 pairs of neighbouring ids take as many buckets as lots drawn at random would: 63 %."""
    first, second = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    share = len(torch.unique(bucket_of_pair(first, second, CONFIG))) / CONFIG.buckets
    assert 0.55 < share <= 1
    assert len(torch.unique(bucket_of_token(torch.arange(16384), CONFIG))) > 0.9 * 16384 * 0.88
