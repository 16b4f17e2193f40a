"""Why a message got its score: how much each of its words pulls the logit to spam or to ham.

In the wide half that is what its n-grams add, exactly. In the deep half it is found by integrated gradients
(Sundararajan et al. 2017): on the straight way from a message whose tokens are all embedded as padding to the message
itself, the logit's gradient at each token is averaged; times the token's embedding it is the token's weight. The
weights add up to the difference between the two logits.

Shape letters: T tokens that are read, S points on the way, R rows of an embedding, E embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import decoders
from torch import Tensor
from torch.func import functional_call

from classifier import text as marks
from classifier.encoding import EncodingConfig, make_batch, select_tokens
from classifier.network import SpamNetwork, score_batch
from classifier.ngrams import NgramEvidence
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep

FIELD_NAMES: Mapping[str, str] = {
    marks.SUBJECT: "subject",
    marks.SENDER: "sender",
    marks.REPLY_TO: "reply-to",
    marks.ATTACHMENT: "attachment",
    marks.LINK: "link host",
    marks.LINK_MISMATCH: "link text",
    marks.HIDDEN: "hidden text",
    marks.BODY: "body",
}
MARK_NAMES: Mapping[str, str] = {
    marks.URL: "[link]",
    marks.ADDRESS: "[address]",
    marks.CAPITALS: "[capitals]",
    marks.INVISIBLE: "[invisible characters]",
    marks.BIDI: "[turned direction]",
    marks.STYLED: "[styled letters]",
    marks.HOMOGLYPH: "[look-alike letters]",
    marks.SPACED: "[spaced letters]",
    marks.LONG_WORD: "[long word]",
}
_NO_FIELD = "before any field"
_WORD_START = "\u0120"  # how byte-level BPE writes the space before a word
_BYTES = decoders.ByteLevel()


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a message, or a mark that the normalised text has in its place."""

    text: str  # "[subject]" for the mark that opens the subject
    field: str
    weight: float  # nats, positive pulls to spam


@dataclass(frozen=True, slots=True)
class Reasons:
    """What made a message's logit. `by_field` tells nothing of what stands in the mail; `words` does."""

    logit: float
    baseline_logit: float  # of as many tokens that say nothing
    by_field: Mapping[str, float]  # nats, in the order of the fields
    words: Sequence[Word]

    @property
    def gap(self) -> float:
        """How far the weights are from adding up to the difference of the logits, in nats."""
        return abs(self.logit - self.baseline_logit - sum(self.by_field.values()))

    def without_words(self) -> "Reasons":
        """Return what may be shown of private mail."""
        return replace(self, words=())

    def strongest(self, count: int) -> tuple[list[Word], list[Word]]:
        """Return the words that pull most to spam and those that pull most to ham; a word counts once a field."""
        weights: dict[tuple[str, str], float] = {}
        for word in self.words:
            key = (word.text, word.field)
            weights[key] = weights.get(key, 0.0) + word.weight
        words = sorted((Word(*key, weight) for key, weight in weights.items()), key=lambda word: -word.weight)
        return [word for word in words[:count] if word.weight > 0], [
            word for word in words[: -count - 1 : -1] if word.weight < 0
        ]


def reasons(
    model: WideAndDeep,
    tokenizer: TextTokenizer,
    token_ids: Sequence[int],
    encoding: EncodingConfig,
    steps: int = 16,
) -> Reasons:
    """Return the reasons for the logit of one message.

    Args:
        model: in evaluation mode.
        token_ids: the whole message; of a long one head and tail are read.
        steps: points on the way; more bring the sum of the weights nearer to the difference of the logits.
    """
    selected, _ = select_tokens(token_ids, encoding)
    weights_T, logit, baseline_logit = _deep_weights(model.deep, selected, encoding, steps)
    scale, wide_scale = model.scales.tolist()
    wide_T, bias = _wide_weights(model.wide, selected, encoding), float(model.wide.bias)
    weights_T = scale * weights_T + wide_scale * wide_T
    logit = scale * logit + wide_scale * (float(wide_T.sum()) + bias)
    baseline_logit = scale * baseline_logit + wide_scale * bias
    words = _words(tokenizer, selected, weights_T.tolist())
    by_field = dict.fromkeys((*FIELD_NAMES.values(), _NO_FIELD), 0.0)
    for word in words:
        by_field[word.field] += word.weight
    there = {word.field for word in words}
    return Reasons(logit, baseline_logit, {name: by_field[name] for name in by_field if name in there}, words)


def _deep_weights(
    network: SpamNetwork, token_ids: Sequence[int], encoding: EncodingConfig, steps: int
) -> tuple[Tensor, float, float]:
    """Weight of each token (T,), the message's logit and the baseline's."""
    tokens = len(token_ids)
    embedded_TE = network.embedding.weight.detach()[torch.tensor(token_ids, dtype=torch.int64)].float()
    share_S = torch.cat([(torch.arange(steps) + 0.5) / steps, torch.tensor([1.0, 0.0])])  # then the two ends
    # A row for each token at each point, so that a row's gradient is that of one token, wherever the network looks
    # it up. Row 0 is padding.
    rows_RE = (share_S[:, None, None] * embedded_TE).flatten(0, 1).requires_grad_()
    points = [range(1 + point * tokens, 1 + (point + 1) * tokens) for point in range(len(share_S))]
    table_RE = torch.cat([embedded_TE.new_zeros(1, embedded_TE.shape[1]), rows_RE])
    batch = make_batch([list(point) for point in points], encoding)
    with torch.enable_grad():
        logits_S = score_batch(_WithEmbedding(network, table_RE), batch, torch.device("cpu"))
        (gradient_RE,) = torch.autograd.grad(logits_S[:steps].sum(), rows_RE)
    gradient_TE = gradient_RE.reshape(len(share_S), tokens, -1)[:steps].mean(0)
    logit, baseline_logit = logits_S.detach()[steps:].tolist()
    return (gradient_TE * embedded_TE).sum(1), logit, baseline_logit


def _wide_weights(wide: NgramEvidence, token_ids: Sequence[int], encoding: EncodingConfig) -> Tensor:
    """Weight of each token (T,), exact."""
    batch = make_batch([token_ids], encoding)
    lengths_W = torch.from_numpy(batch.lengths_W)
    weights_WT = wide.token_weights(
        torch.from_numpy(batch.token_ids_WT), lengths_W, torch.from_numpy(batch.message_W), batch.messages
    )
    return torch.cat([row[:length] for row, length in zip(weights_WT, lengths_W.tolist(), strict=True)])


class _WithEmbedding(torch.nn.Module):
    """The network with other rows in its embedding."""

    def __init__(self, network: SpamNetwork, table_RE: Tensor) -> None:
        super().__init__()
        self._network = network
        self._table = {"embedding.weight": table_RE}

    def forward(self, *batch: Tensor | int) -> Tensor:
        logits: Tensor = functional_call(self._network, self._table, batch)
        return logits


def _words(tokenizer: TextTokenizer, token_ids: Sequence[int], weights: Sequence[float]) -> list[Word]:
    """Tokens put together to words, in their order."""
    words: list[Word] = []
    field, opens_word = _NO_FIELD, True
    pieces: list[str] = []  # tokens of the last word: letters of more than one byte may be torn between two
    for token, weight in zip(tokenizer.tokens(token_ids), weights, strict=True):
        if token in marks.MARKERS:
            field = FIELD_NAMES.get(token, field)
            words.append(Word(MARK_NAMES.get(token, f"[{field}]"), field, weight))
            opens_word = True
            continue
        if opens_word or token.startswith(_WORD_START):
            pieces = []
            words.append(Word("", field, 0.0))
        pieces.append(token)
        words[-1] = Word(_BYTES.decode(pieces).strip(), field, words[-1].weight + weight)
        opens_word = False
    return words
