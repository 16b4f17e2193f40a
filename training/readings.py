"""Messages as the wide half reads them: a sparse row for each reading, a column for each n-gram, to fit weights on.

Shape letters: N messages, R readings of them (READINGS each), F buckets of n-grams, K what is present.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray

from classifier.encoding import make_batch, select_tokens
from classifier.ngrams import READING_SHARES, READINGS, NgramEvidence
from training.config import TrainingConfig
from training.progress import progress

_READ_TOGETHER = 64


def features(
    messages: Iterable[NDArray[np.int64]], count: int, what: str, evidence: NgramEvidence, config: TrainingConfig
) -> scipy.sparse.csr_matrix:
    """Which n-grams each reading of each message has, as the network will see them: 1 or 0, (R, F)."""
    columns: list[NDArray[np.int32]] = []
    found_R: list[NDArray[np.int64]] = []
    group: list[Sequence[int]] = []

    def take() -> None:
        batch = make_batch(group, config.encoding)
        reading_K, bucket_K = evidence.present(
            torch.from_numpy(batch.token_ids_WT), torch.from_numpy(batch.lengths_W), torch.from_numpy(batch.message_W)
        )
        columns.append(bucket_K.numpy().astype(np.int32))
        found_R.append(np.bincount(reading_K.numpy(), minlength=READINGS * batch.messages))
        group.clear()

    for token_ids in progress(messages, what, count):
        group.append(select_tokens(token_ids.tolist(), config.encoding)[0])
        if len(group) == _READ_TOGETHER:
            take()
    if group:
        take()
    ends = np.concatenate([[0], np.cumsum(np.concatenate(found_R))])
    ones = np.ones(int(ends[-1]), np.float32)
    shape = (READINGS * count, evidence.config.buckets)
    return scipy.sparse.csr_matrix((ones, np.concatenate(columns), ends), shape)


def rarity(present_RF: scipy.sparse.csr_matrix) -> NDArray[np.float32]:
    """Inverse document frequency, smoothed as scikit-learn does: no feature counts nothing or without end."""
    readings_F = np.bincount(present_RF.indices, minlength=present_RF.shape[1])
    rarity_F: NDArray[np.float32] = (np.log((1 + present_RF.shape[0]) / (1 + readings_F)) + 1).astype(np.float32)
    return rarity_F


def scaled(present_RF: scipy.sparse.csr_matrix, rarity_F: NDArray[np.float32]) -> scipy.sparse.csr_matrix:
    """Each feature as its rarity, each reading scaled to length 1."""
    weighed_RF = present_RF @ scipy.sparse.diags_array(rarity_F)
    norm_R = np.sqrt(np.asarray(weighed_RF.multiply(weighed_RF).sum(axis=1)).ravel())
    inverse_R = (1 / np.maximum(norm_R, 1e-6)).astype(np.float32)
    return scipy.sparse.csr_matrix(scipy.sparse.diags_array(inverse_R) @ weighed_RF)


def of_messages(scaled_RF: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    """The weighted mean of each message's readings (N, F): what the logit is linear in."""
    of_readings = (share * scaled_RF[reading::READINGS] for reading, share in enumerate(READING_SHARES))
    return scipy.sparse.csr_matrix(sum(of_readings))
