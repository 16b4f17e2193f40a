"""Rivals of the LSTM: other networks on the same windows of ids, and a bag of n-grams with logistic regression.

Shape letters: B messages, W windows (at least one a message), T tokens of the longest window, E embedding width,
H hidden width, R readout width, N texts, F n-gram features.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from classifier.encoding import bucket
from classifier.errors import ConfigError
from classifier.network import Cell, NetworkConfig, SpamNetwork
from classifier.pooling import pool_windows
from classifier.tokenizer import PADDING_ID
from training.config import TrainingConfig
from training.measures import IsSpam, Scores
from training.progress import progress

_HEADS = 4
_LAYERS = 2
_WIDTHS = (3, 4, 5)
# Twice what the network reads of a long message. The mean text is 1,850 characters long.
_HEAD_CHARACTERS, _TAIL_CHARACTERS = 4_000, 2_000
_FEATURES = 1 << 20
_COUNTED_TOGETHER = 1_000
_WORD = r"\w+|[^\w\s]"  # punctuation and the markers of fields count as words
_PLAIN_COUNTS = {"alternate_sign": False, "norm": None, "lowercase": False, "dtype": np.float32}


class FeedForward(nn.Module):
    """One-to-one: the mean of a message's embeddings through one hidden layer. Order is not seen."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        network = config.network
        self.embedding = _embedding(network)
        self.hidden = nn.Linear(network.embedding_width, network.readout_width)
        self.logit = nn.Linear(network.readout_width, 1)
        self.dropout = nn.Dropout(config.fit.dropout)

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message, as SpamNetwork.forward does."""
        # Padding is embedded as zeros, so it adds nothing to a sum.
        sum_WE = self.embedding(token_ids_WT).sum(1)
        sum_BE = sum_WE.new_zeros(messages, sum_WE.shape[1]).index_add(0, message_W, sum_WE)
        tokens_B = lengths_W.new_zeros(messages).index_add(0, message_W, lengths_W)
        hidden_BR = torch.relu(self.hidden(self.dropout(sum_BE / tokens_B[:, None])))
        logit: Tensor = self.logit(self.dropout(hidden_BR)).squeeze(-1)
        return logit.float()


class Convolutional(nn.Module):
    """Filters over 3, 4 and 5 tokens, each one's maximum over time (Kim 2014); windows pooled as SpamNetwork does."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        network = config.network
        self.embedding = _embedding(network)
        self.filters = nn.ModuleList(
            nn.Conv1d(network.embedding_width, network.hidden_width, width) for width in _WIDTHS
        )
        self.logit = nn.Linear(2 * len(_WIDTHS) * network.hidden_width, 1)
        self.dropout = nn.Dropout(config.fit.dropout)

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message, as SpamNetwork.forward does."""
        padding_WT = _padding(token_ids_WT, lengths_W)
        embedded_WET = self.dropout(self.embedding(token_ids_WT)).transpose(1, 2)
        strongest = []
        for width, filters in zip(_WIDTHS, self.filters, strict=True):
            # Zeros behind, as many as padding would be: a filter starts at every token, whatever T is.
            found_WHT = torch.relu(filters(nn.functional.pad(embedded_WET, (0, width - 1))))
            strongest.append(found_WHT.masked_fill(padding_WT[:, None, :], 0.0).amax(2))
        message_BR = pool_windows(torch.cat(strongest, dim=1), message_W, messages)
        logit: Tensor = self.logit(self.dropout(message_BR)).squeeze(-1)
        return logit.float()


class Transformer(nn.Module):
    """Two layers of four heads over each window, positions learned (Vaswani et al. 2017, normalised first)."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        network, width = config.network, config.network.embedding_width
        if width % _HEADS:
            raise ConfigError(f"network.embedding_width must be a multiple of {_HEADS} (attention heads), got {width}")
        self.embedding = _embedding(network)
        self.embedding_of_position = nn.Embedding(bucket(config.encoding.window_tokens), width)
        nn.init.normal_(self.embedding_of_position.weight, std=0.1)
        layer = nn.TransformerEncoderLayer(
            width, _HEADS, 4 * width, config.fit.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # fused attention has none; a step takes half as long with it
        self.layers = nn.TransformerEncoder(layer, _LAYERS, nn.LayerNorm(width), enable_nested_tensor=False)
        self.readout = nn.Linear(2 * width, network.readout_width)
        self.logit = nn.Linear(2 * network.readout_width, 1)
        self.dropout = nn.Dropout(config.fit.dropout)

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor, message_W: Tensor, messages: int) -> Tensor:
        """Return one logit per message, as SpamNetwork.forward does."""
        padding_WT = _padding(token_ids_WT, lengths_W)
        position_T = torch.arange(token_ids_WT.shape[1], device=token_ids_WT.device)
        embedded_WTE = self.embedding(token_ids_WT) + self.embedding_of_position(position_T)
        states_WTE = self.layers(self.dropout(embedded_WTE), src_key_padding_mask=padding_WT)
        highest_WE = states_WTE.masked_fill(padding_WT[:, :, None], float("-inf")).amax(1)
        mean_WE = states_WTE.masked_fill(padding_WT[:, :, None], 0.0).sum(1) / lengths_W[:, None]
        window_WR = torch.tanh(self.readout(self.dropout(torch.cat([highest_WE, mean_WE], dim=1))))
        message_BR = pool_windows(window_WR, message_W, messages)
        logit: Tensor = self.logit(self.dropout(message_BR)).squeeze(-1)
        return logit.float()


def _recurrent(cell: Cell) -> Callable[[TrainingConfig], nn.Module]:
    """Hamlet's own network with this cell."""

    def build(config: TrainingConfig) -> nn.Module:
        return SpamNetwork(replace(config.network, cell=cell), config.fit.dropout)

    return build


# By the names that the command line takes. All read the same windows and are fitted by the same code.
NETWORKS: dict[str, Callable[[TrainingConfig], nn.Module]] = {
    "lstm": _recurrent("lstm"),
    "gru": _recurrent("gru"),
    "rnn": _recurrent("rnn"),
    "feed_forward": FeedForward,
    "cnn": Convolutional,
    "transformer": Transformer,
}


class TfidfRegression:
    """TF-IDF of words (1-2) and of characters within words (3-5), then logistic regression.

    It scores rows of `ngram_counts`: the n-grams are hashed, so counting learns nothing and is done once for any number
    of splits; how rare an n-gram is gets learned on the rows it is fitted on alone.
    """

    def __init__(self) -> None:
        self._transformers = (TfidfTransformer(sublinear_tf=True), TfidfTransformer(sublinear_tf=True))
        self._regression = LogisticRegression(C=10.0, max_iter=1000)

    def fit(self, counts_NF: scipy.sparse.csr_matrix, is_spam_N: IsSpam, weights_N: NDArray[np.float64]) -> None:
        """Learn from rows of counts; `weights_N` is how much each counts in the loss."""
        for transformer, half in zip(self._transformers, _halves(counts_NF), strict=True):
            transformer.fit(half)
        self._regression.fit(self._weighed(counts_NF), is_spam_N, sample_weight=weights_N)

    def score(self, counts_NF: scipy.sparse.csr_matrix) -> Scores:
        """Return the log-odds of spam of each row."""
        return np.asarray(self._regression.decision_function(self._weighed(counts_NF)), np.float64)

    def _weighed(self, counts_NF: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        halves = zip(self._transformers, _halves(counts_NF), strict=True)
        return scipy.sparse.hstack([transformer.transform(half) for transformer, half in halves], format="csr")


def ngram_counts(texts: Sequence[str], path: Path) -> scipy.sparse.csr_matrix:
    """Return the n-gram counts of normalised texts, float32 (N, F), kept in `path` or taken from there.

    Of a long text the head and the tail are counted, twice what the network reads of it.
    """
    if path.exists():
        return scipy.sparse.load_npz(path)
    words = HashingVectorizer(ngram_range=(1, 2), token_pattern=_WORD, n_features=_FEATURES, **_PLAIN_COUNTS)
    characters = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), n_features=_FEATURES, **_PLAIN_COUNTS)
    rows = []
    chunks = range(0, len(texts), _COUNTED_TOGETHER)
    for start in progress(chunks, f"counting n-grams ({_COUNTED_TOGETHER} messages a step)", len(chunks)):
        some = [_cut(texts[place]) for place in range(start, min(start + _COUNTED_TOGETHER, len(texts)))]
        rows.append(scipy.sparse.hstack([words.transform(some), characters.transform(some)], format="csr"))
    counts_NF = scipy.sparse.vstack(rows, format="csr")
    beside = path.with_suffix(".new.npz")
    scipy.sparse.save_npz(beside, counts_NF, compressed=False)
    beside.replace(path)
    return counts_NF


def _cut(text: str) -> str:
    if len(text) <= _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        return text
    return f"{text[:_HEAD_CHARACTERS]} {text[-_TAIL_CHARACTERS:]}"


def _halves(counts_NF: scipy.sparse.csr_matrix) -> tuple[scipy.sparse.csr_matrix, scipy.sparse.csr_matrix]:
    """Words and characters: each is brought to length 1 by itself."""
    return counts_NF[:, :_FEATURES], counts_NF[:, _FEATURES:]


def _embedding(network: NetworkConfig) -> nn.Embedding:
    """Token vectors that start as SpamNetwork's do, padding at zero."""
    embedding = nn.Embedding(network.vocabulary_size, network.embedding_width, padding_idx=PADDING_ID)
    nn.init.normal_(embedding.weight, std=0.1)
    with torch.no_grad():
        embedding.weight[PADDING_ID].zero_()
    return embedding


def _padding(token_ids_WT: Tensor, lengths_W: Tensor) -> Tensor:
    """True where a window has ended, bool (W, T)."""
    return torch.arange(token_ids_WT.shape[1], device=token_ids_WT.device) >= lengths_W[:, None]
