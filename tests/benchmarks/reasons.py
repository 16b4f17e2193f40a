"""`python -m tests.benchmarks.reasons`: how faithful reasons are, beside other methods, and what they cost.

Faithful: where the tokens of highest weight are deleted from held-out spam, the logit falls much further than where as
many tokens drawn at random are. Reads the corpora of HAMLET_CORPORA, and needs minutes to prepare them anew. Times are
those of the CPU, in one thread.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from classifier.artifact import active_folder, bundled_models
from classifier.encoding import EncodingConfig, PreparedMessage, make_batch, select_tokens
from classifier.explanation import token_weights
from classifier.network import score_batch
from classifier.pipeline import SpamClassifier
from classifier.reasons import ExplainableMessage
from classifier.wide_and_deep import WideAndDeep
from tests.benchmarks.mail import sample_mail
from training.config import load_preset
from training.corpus import Corpus
from training.prepare import prepare
from training.split import Part

DELETED = 0.1
RANDOM_DRAWS = 5
FEWEST_TOKENS = 10
BATCHES = (1, 4, 16)
INTEGRATION_STEPS = 16
SEED = 1

Message = Sequence[int]
Weights = NDArray[np.float32]
Weigh = Callable[[WideAndDeep, Sequence[Message], EncodingConfig], Sequence[Weights]]


def held_out_spam(corpus: Corpus, encoding: EncodingConfig, most: int) -> list[Message]:
    """Return spam of the test part, as the network reads it, drawn at random."""
    places = corpus.places(Part.TEST)
    drawn = np.random.default_rng(SEED).permutation(places[corpus.is_spam[places]])
    token_ids = corpus.token_ids()
    messages = (select_tokens(token_ids[place].tolist(), encoding)[0] for place in drawn.tolist())
    return [message for message in messages if len(message) >= FEWEST_TOKENS][:most]


def falls(classifier: SpamClassifier, messages: Sequence[Message], weights: Sequence[Weights]) -> NDArray[np.float64]:
    """Return how far each message's logit falls when the tenth of its tokens with the highest weights is deleted."""
    left = []
    for message, of_message in zip(messages, weights, strict=True):
        deleted = np.argsort(-of_message, kind="stable")[: max(round(DELETED * len(message)), 1)]
        left.append(np.delete(np.array(message), deleted).tolist())
    return _logits(classifier, messages) - _logits(classifier, left)


def random_falls(classifier: SpamClassifier, messages: Sequence[Message]) -> NDArray[np.float64]:
    """Return the same of a tenth drawn at random, the mean of some draws."""
    random = np.random.default_rng(SEED)
    draws = [[random.random(len(message), np.float32) for message in messages] for _ in range(RANDOM_DRAWS)]
    mean: NDArray[np.float64] = np.mean([falls(classifier, messages, draw) for draw in draws], axis=0)
    return mean


def weigh_in_batches(
    weigh: Weigh, model: WideAndDeep, messages: Sequence[Message], encoding: EncodingConfig
) -> list[Weights]:
    """Return the weights by a method, 16 messages at a time."""
    weights: list[Weights] = []
    for start in range(0, len(messages), 16):
        weights += weigh(model, messages[start : start + 16], encoding)
    return weights


def seconds(job: Callable[[], object], at_least_s: float = 1.0) -> float:
    """Return the mean CPU time of a job that is done over and over, set-up left out."""
    job()
    runs, started = 0, time.process_time()
    while (elapsed_s := time.process_time() - started) < at_least_s:
        job()
        runs += 1
    return elapsed_s / runs


def n_grams_alone(model: WideAndDeep, messages: Sequence[Message], encoding: EncodingConfig) -> list[Weights]:
    """Only what the wide half says."""
    batch = make_batch(messages, encoding)
    lengths_W = torch.from_numpy(batch.lengths_W)
    with torch.inference_mode():
        weights_WT = model.wide.token_weights(
            torch.from_numpy(batch.token_ids_WT), lengths_W, torch.from_numpy(batch.message_W), batch.messages
        )
    weights_N = float(model.scales[1]) * weights_WT[torch.arange(weights_WT.shape[1]) < lengths_W[:, None]]
    return [weights.numpy() for weights in torch.split(weights_N, [len(message) for message in messages])]


def integrated_gradients(steps: int) -> Weigh:
    """The deep half by integrated gradients (Sundararajan et al. 2017); one step is gradient times input, half way."""

    def weigh(model: WideAndDeep, messages: Sequence[Message], encoding: EncodingConfig) -> list[Weights]:
        token_ids_N = torch.tensor([token_id for message in messages for token_id in message])
        embedded_NE = model.deep.embedding.weight.detach()[token_ids_N]
        lengths = [len(message) for message in messages]
        starts = np.cumsum([1, *lengths])
        # A row of the embedding for each token, so that a row's gradient is that of one token. Row 0 is padding.
        rows = [range(start, start + length) for start, length in zip(starts, lengths, strict=False)]
        batch, gradient_NE = make_batch(rows, encoding), torch.zeros_like(embedded_NE)
        for step in range(steps):
            table_RE = torch.cat([torch.zeros_like(embedded_NE[:1]), (step + 0.5) / steps * embedded_NE])
            table_RE.requires_grad_()
            logits_B = score_batch(_WithEmbedding(model.deep, table_RE), batch, torch.device("cpu"))
            gradient_NE += torch.autograd.grad(logits_B.sum(), table_RE)[0][1:] / steps
        deep_N = float(model.scales[0]) * (gradient_NE * embedded_NE).sum(1)
        wide = n_grams_alone(model, messages, encoding)
        return [deep.numpy() + of_wide for deep, of_wide in zip(torch.split(deep_N, lengths), wide, strict=True)]

    return weigh


def occlusion(model: WideAndDeep, messages: Sequence[Message], encoding: EncodingConfig) -> list[Weights]:
    """How far the logit falls without the token: the truth of one token, for an inference a token."""
    weights: list[Weights] = []
    with torch.inference_mode():
        for message in messages:
            variants = [message, *([*message[:place], *message[place + 1 :]] for place in range(len(message)))]
            logits_B = score_batch(model, make_batch(variants, encoding), torch.device("cpu")).numpy()
            weights.append(logits_B[0] - logits_B[1:])
    return weights


METHODS: dict[str, Weigh] = {
    "cells taken apart (classifier.explanation)": token_weights,
    "n-grams alone": n_grams_alone,
    "gradient times input, half way": integrated_gradients(1),
    f"integrated gradients, {INTEGRATION_STEPS} steps": integrated_gradients(INTEGRATION_STEPS),
    "occlusion, one token at a time": occlusion,
}


class _WithEmbedding(torch.nn.Module):
    """The network with other rows in its embedding."""

    def __init__(self, network: torch.nn.Module, table_RE: Tensor) -> None:
        super().__init__()
        self._network = network
        self._table = {"embedding.weight": table_RE}

    def forward(self, *batch: Tensor | int) -> Tensor:
        logits: Tensor = functional_call(self._network, self._table, batch)
        return logits


def _logits(classifier: SpamClassifier, messages: Sequence[Message]) -> NDArray[np.float64]:
    prepared = [PreparedMessage(message, False) for message in messages]
    return np.array([score.logit for score in classifier.score(prepared, read_all=True)])


def _faithfulness(classifier: SpamClassifier, messages: Sequence[Message]) -> None:
    by_chance = float(random_falls(classifier, messages).mean())
    mean_logit = float(_logits(classifier, messages).mean())
    print(f"{len(messages)} spam of `test`, logit {mean_logit:.2f} on average; a random tenth: -{by_chance:.2f}\n")
    print("| weights by | the highest tenth | times a random one | ms a message |\n|---|---|---|---|")

    def of_service(_: WideAndDeep, messages: Sequence[Message], __: EncodingConfig) -> Sequence[Weights]:
        return classifier.token_weights(messages)

    for name, weigh in {"what the service says": of_service, **METHODS}.items():
        started = time.process_time()
        weights = weigh_in_batches(weigh, classifier.network, messages, classifier.encoding)
        took_ms = 1000 * (time.process_time() - started) / len(messages)
        fall = float(falls(classifier, messages, weights).mean())
        print(f"| {name} | -{fall:.2f} | {fall / by_chance:.1f} | {took_ms:.1f} |", flush=True)


def _cost(classifier: SpamClassifier) -> None:
    classifier.use_bfloat16()
    raws = sample_mail(256).raws
    read_ms = 1000 * seconds(lambda: [classifier.prepare(raw) for raw in raws], 5) / len(raws)
    explainable = [classifier.prepare_to_explain(raw) for raw in raws]
    traced_ms = 1000 * seconds(lambda: [classifier.prepare_to_explain(raw) for raw in raws], 5) / len(raws)
    weighed = classifier.weigh(explainable)
    told_ms = 1000 * seconds(lambda: [one.explanation() for one in weighed], 2) / len(raws)
    print(f"\nReading a mail takes {read_ms:.2f} ms, to be explained {traced_ms:.2f} ms, telling {told_ms:.2f} ms.\n")
    print("| messages in a batch | score, ms | weigh, ms | times |\n|---|---|---|---|")
    for size in BATCHES:
        batches = [explainable[start : start + size] for start in range(0, len(explainable), size)]
        score_ms = 1000 * seconds(partial(_each, classifier.score, batches), 5) / len(batches)
        weigh_ms = 1000 * seconds(partial(_each, classifier.weigh, batches), 5) / len(batches)
        print(f"| {size} | {score_ms:.1f} | {weigh_ms:.1f} | {weigh_ms / score_ms:.1f} |", flush=True)


def _each(job: Callable[[list[ExplainableMessage]], object], batches: Sequence[list[ExplainableMessage]]) -> None:
    for batch in batches:
        job(batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reasons", description=__doc__)
    parser.add_argument("--prepared", type=Path, metavar="FOLDER", help="keep the prepared corpora here, or take them")
    parser.add_argument(
        "--messages", type=int, default=200, help="spam to delete tokens from; occlusion takes seconds each"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    classifier = SpamClassifier.load(active_folder(bundled_models()))
    with tempfile.TemporaryDirectory() as folder:
        corpus, _ = prepare(
            [os.environ["HAMLET_CORPORA"]],
            load_preset("default"),
            options.prepared or Path(folder),
            tokenizer=classifier.tokenizer,
        )
        _faithfulness(classifier, held_out_spam(corpus, classifier.encoding, options.messages))
    _cost(classifier)


if __name__ == "__main__":
    main()
