"""Pretrains the language model (training.language_model) on the text of the train part. No label is looked at."""

import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from classifier.encoding import Batch, bucketed, make_batch, select_tokens
from classifier.tokenizer import TextTokenizer
from training.batches import Sampler
from training.checkpoint import Checkpoint, Progress, checkpoint_to_resume, save_checkpoint
from training.config import TrainingConfig
from training.corpus import Corpus
from training.fit import has_bfloat16, optimiser, pick_device
from training.language_model import Guesses, LanguageModel, Noise, Pretrained, vocabulary_sha256
from training.progress import progress as show
from training.progress import say
from training.split import Part
from training.steps import Stepper

_CHECKPOINT = "pretrain-checkpoint.pt"
# The parts of a preset that the weights depend on: a checkpoint belongs to them.
_MATTERS = ("seed", "network", "encoding", "shares", "pretrain", "fit")
_FEWEST_TOKENS = 2  # the first of a window is never a label


def pretrain(
    corpus: Corpus, tokenizer: TextTokenizer, config: TrainingConfig, folder: Path, *, resume: bool
) -> Pretrained:
    """Pretrain on the train part, pretrain.epochs times, and return the weights of the last epoch.

    Args:
        folder: checkpoints go here.
        resume: go on from the last checkpoint in `folder`, when it was made with the same settings.

    Raises:
        DivergedError: loss or gradient was not finite too many times in a row.
    """
    run = _Run(corpus, tokenizer, config, folder)
    model, history = run.run(resume)
    return Pretrained(model, tokenizer, corpus.ids_sha256(Part.TRAIN), history)


def perplexities(
    model: LanguageModel, corpus: Corpus, places: NDArray[np.int64], config: TrainingConfig, device: torch.device
) -> tuple[float, float]:
    """Return the perplexity forwards and backwards over the whole vocabulary, float32 arithmetic."""
    token_ids = corpus.token_ids()
    messages = [select_tokens(token_ids[place].tolist(), config.encoding)[0] for place in places.tolist()]
    groups = list(bucketed(messages, config.encoding, config.pretrain.batch_tokens))
    nats, labels = [0.0, 0.0], 0
    with torch.inference_mode():
        for group in show(groups, "perplexity", len(groups)):
            batch = make_batch([messages[place] for place in group], config.encoding)
            guesses = _guess(model, batch, device)
            for direction, each in enumerate(guesses):
                nats[direction] += float(model.full_losses(each).double().sum())
            labels += len(guesses[0].labels_N)
    return math.exp(nats[0] / labels), math.exp(nats[1] / labels)


def _guess(model: LanguageModel, batch: Batch, device: torch.device) -> tuple[Guesses, Guesses]:
    guesses: tuple[Guesses, Guesses] = model(
        torch.from_numpy(batch.token_ids_WT).to(device, non_blocking=True),
        torch.from_numpy(batch.lengths_W).to(device, non_blocking=True),
    )
    return guesses


class _Run:
    """One run of pretrain, with its state."""

    def __init__(self, corpus: Corpus, tokenizer: TextTokenizer, config: TrainingConfig, folder: Path) -> None:
        self._corpus = corpus
        self._config = config
        matters = {name: value for name, value in asdict(config).items() if name in _MATTERS}
        mail = {"train": corpus.ids_sha256(Part.TRAIN), "vocabulary": vocabulary_sha256(tokenizer)}
        self._settings = {**matters, **mail}
        self._path = folder / _CHECKPOINT
        self._device = pick_device()
        self._autocast = has_bfloat16(self._device)
        torch.manual_seed(config.seed)
        self._model = LanguageModel(config.network)
        train = self._readable(Part.TRAIN)
        self._noise = Noise(_counts(corpus, train, config.network.vocabulary_size))
        self._model.start_from_frequencies(self._noise)
        self._model.to(self._device)
        self._validation = self._draw(self._readable(Part.VALIDATION), config.pretrain.validation_messages)
        # The words of a sentence as they stand, so none is left out; a campaign counts as it does for the classifier.
        fit = replace(
            config.fit,
            batch_tokens=config.pretrain.batch_tokens,
            learning_rate=config.pretrain.learning_rate,
            token_dropout=0.0,
            field_dropout=0.0,
            fieldless_chance=0.0,
            excerpt_chance=0.0,
        )
        sizes = np.bincount(corpus.clusters[train], minlength=int(corpus.clusters.max()) + 1)[corpus.clusters]
        chances = np.maximum(sizes, 1.0) ** -config.fit.cluster_discount
        self._sampler = Sampler(
            corpus.token_ids(), train, tokenizer, config.encoding, fit, config.seed, chances=chances
        )
        self._optimiser = optimiser(self._model, fit)
        steps = len(self._sampler.plan(0)) * config.pretrain.epochs  # a few more or less, as epochs are drawn
        self._stepper = Stepper(self._model, self._optimiser, fit, steps, "pretrain")
        self._progress = Progress()

    def run(self, resume: bool) -> tuple[LanguageModel, list[dict[str, float]]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if resume:
            self._resume()
        where = f"{self._device}, {'bfloat16' if self._autocast else 'float32'}"
        say(f"pretraining on {where}: {sum(p.numel() for p in self._model.parameters()):,} parameters")
        while self._progress.epoch < self._config.pretrain.epochs:
            self._epoch()
        return self._model.cpu(), self._progress.history

    def _readable(self, part: Part) -> NDArray[np.int64]:
        places = self._corpus.places(part)
        return places[self._corpus.token_ids().lengths[places] >= _FEWEST_TOKENS]

    def _draw(self, places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        drawn = np.random.default_rng(self._config.seed).permutation(places)[:most]
        return np.sort(drawn)

    def _epoch(self) -> None:
        state = self._progress
        total = len(self._sampler.plan(state.epoch))
        started = saved = time.monotonic()
        tokens = 0
        batches = self._sampler.batches(state.epoch, state.batch)
        for batch in show(batches, f"epoch {state.epoch + 1}", total, state.batch):
            state.epoch_loss += self._step(batch.batch)
            state.batch += 1
            tokens += batch.batch.token_ids_WT.size
            if time.monotonic() - saved > self._config.fit.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        seconds = time.monotonic() - started
        loss = state.epoch_loss / total
        forwards, backwards = perplexities(self._model, self._corpus, self._validation, self._config, self._device)
        state.history.append(
            {
                "epoch": state.epoch + 1,
                "train_loss": loss,
                "forwards_perplexity": forwards,
                "backwards_perplexity": backwards,
            }
        )
        say(
            f"epoch {state.epoch + 1}: train loss {loss:.4f} (sampled), validation perplexity {forwards:.2f} forwards, "
            f"{backwards:.2f} backwards, {tokens / seconds:,.0f} padded tokens/s"
        )
        state.epoch, state.batch, state.epoch_loss = state.epoch + 1, 0, 0.0
        self._save()

    def _step(self, batch: Batch) -> float:
        """One step; returns the loss, or 0 for a step that was left out because something was not finite."""
        negatives = self._noise.draw(self._config.pretrain.negatives, self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            forwards, backwards = _guess(self._model, batch, self._device)
            losses = [self._model.sampled_losses(guesses, negatives) for guesses in (forwards, backwards)]
        loss = torch.cat(losses).mean()
        return float(loss.detach()) if self._stepper.take(loss, self._progress) else 0.0

    def _save(self) -> None:
        save_checkpoint(
            Checkpoint(
                progress=self._progress,
                weights=self._model.state_dict(),
                average={},
                optimiser=self._optimiser.state_dict(),
                random_state=torch.get_rng_state(),
                settings=self._settings,
            ),
            self._path,
        )

    def _resume(self) -> None:
        checkpoint = checkpoint_to_resume(self._path, self._settings)
        if checkpoint is None:
            return
        self._progress = checkpoint.progress
        self._model.load_state_dict(checkpoint.weights)
        self._optimiser.load_state_dict(checkpoint.optimiser)
        torch.set_rng_state(checkpoint.random_state)


def _counts(corpus: Corpus, places: NDArray[np.int64], vocabulary_size: int) -> NDArray[np.int64]:
    """How often each id stands in these messages."""
    token_ids = corpus.token_ids()
    counts_V = np.zeros(vocabulary_size, np.int64)
    for place in places.tolist():
        np.add.at(counts_V, token_ids[place], 1)
    return counts_V
