"""Fits the network: back-propagation through time over windows, clipped, in bfloat16 where the hardware has it.

Shape letters: B messages of a batch.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from classifier.encoding import bucketed, make_batch, select_tokens
from classifier.network import SpamNetwork, score_batch
from classifier.tokenizer import TextTokenizer
from training.augment import Augmenter
from training.batches import Sampler, TrainingBatch
from training.checkpoint import Checkpoint, Progress, checkpoint_to_resume, save_checkpoint
from training.config import FitConfig, TrainingConfig
from training.corpus import Corpus
from training.language_model import Pretrained, vocabulary_sha256
from training.progress import progress as show
from training.progress import say
from training.ranks import averaging, local_rank, rank, ranks, seed_step, summed, wait_for_all
from training.split import Part
from training.steps import Stepper
from training.weights import chances_to_be_seen, message_weights

Network = TypeVar("Network", bound=nn.Module)
Tensors = tuple[Tensor, ...] | list[Tensor]

_CHECKPOINT = "checkpoint.pt"
_EVALUATION_TOKENS = 16384
# The parts of a preset that the weights depend on: a checkpoint belongs to them.
_MATTERS = ("seed", "network", "encoding", "shares", "fit")
# When a pretrained layer may move, in frozen_epochs: what is nearest to the words last. All others from the first.
_THAWS = {"forwards": 1, "backwards": 1, "embedding": 2}


def fit(
    corpus: Corpus,
    tokenizer: TextTokenizer,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
    pretrained: Pretrained | None = None,
) -> tuple[SpamNetwork, list[dict[str, float]]]:
    """Fit Hamlet's network, from a language model's embedding and cells when there is one; see `fit_network`."""
    if pretrained is None:
        return fit_network(_spam_network, corpus, tokenizer, config, folder, resume=resume)

    def build(config: TrainingConfig) -> SpamNetwork:
        network = _spam_network(config)
        pretrained.start(network, tokenizer)
        return network

    return _Run(build, corpus, tokenizer, config, folder, pretrained.fingerprint).run(resume)


def fit_network(
    build: Callable[[TrainingConfig], Network],
    corpus: Corpus,
    tokenizer: TextTokenizer,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
) -> tuple[Network, list[dict[str, float]]]:
    """Fit a network on the train part; return its averaged weights after the last epoch, and the history.

    Not those of the epoch that is best on the validation part: its loss does not tell how the network adds to the
    n-grams, and stopped there the model was worse on held-out and later mail (docs/experiments.md, 2026-11-30).

    Args:
        build: makes the network, whose arguments are those of SpamNetwork.
        folder: checkpoints go here; a folder for each kind of network.
        resume: go on from the last checkpoint in `folder`, when it was made with the same settings.

    Raises:
        DivergedError: loss or gradient was not finite too many times in a row.
    """
    return _Run(build, corpus, tokenizer, config, folder).run(resume)


def pick_device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # mkldnn alone also says yes where it emulates, on AVX-512 without the bfloat16 instructions.
    return all((torch.ops.mkldnn._is_mkldnn_bf16_supported(), torch.cpu._is_avx512_bf16_supported()))


def predict_logits(
    network: nn.Module, corpus: Corpus, places: NDArray[np.int64], config: TrainingConfig, device: torch.device
) -> NDArray[np.float64]:
    """Return the logit of each message, float32 arithmetic, in the order of `places`."""
    token_ids = corpus.token_ids()
    messages = [select_tokens(token_ids[place].tolist(), config.encoding)[0] for place in places.tolist()]
    logits = np.zeros(len(places), np.float64)
    network.eval()
    with torch.inference_mode():
        for group in bucketed(messages, config.encoding, _EVALUATION_TOKENS):
            batch = make_batch([messages[place] for place in group], config.encoding)
            logits[group] = score_batch(network, batch, device).cpu().numpy()
    return logits


def _spam_network(config: TrainingConfig) -> SpamNetwork:
    return SpamNetwork(config.network, config.fit.dropout)


class _Run(Generic[Network]):
    """One run of fit, with its state."""

    def __init__(
        self,
        build: Callable[[TrainingConfig], Network],
        corpus: Corpus,
        tokenizer: TextTokenizer,
        config: TrainingConfig,
        folder: Path,
        pretrained: str = "",
    ) -> None:
        self._corpus = corpus
        self._config = config
        self._frozen_epochs = config.fit.frozen_epochs if pretrained else 0
        # What one split has learned is tested on in another, and ids mean other words with another vocabulary: a
        # checkpoint belongs to one of each.
        matters = {name: value for name, value in asdict(config).items() if name in _MATTERS}
        mail = {"train": corpus.ids_sha256(Part.TRAIN), "vocabulary": vocabulary_sha256(tokenizer)}
        self._settings = {**matters, **mail, "pretrained": pretrained}
        self._path = folder / _CHECKPOINT
        self._device = pick_device()
        self._autocast = has_bfloat16(self._device)
        torch.manual_seed(config.seed)
        self._network = build(config).to(self._device)
        self._average = AveragedModel(self._network, multi_avg_fn=_moving_average(config.fit.averaging))
        self._optimiser = optimiser(self._network, config.fit)
        train = corpus.places(Part.TRAIN)
        augmenter = Augmenter(corpus, train, tokenizer, config.fit.disguises)
        weights = message_weights(corpus, train, config.fit)
        chances = chances_to_be_seen(weights, config.fit.epoch_share)
        self._sampler = Sampler(
            corpus.token_ids(),
            train,
            tokenizer,
            config.encoding,
            config.fit,
            config.seed,
            augmenter,
            chances,
            (rank(), ranks()),
        )
        # What a message counts when it is seen: on average over epochs its weight, and 1 on average over a batch.
        counts = np.divide(weights, chances, out=np.zeros_like(weights), where=chances > 0)
        self._counts = (counts * chances[train].sum() / len(train)).astype(np.float32)
        self._targets = corpus.is_spam.astype(np.float32)
        steps = len(self._sampler.plan(0)) * config.fit.epochs  # a few more or less, as epochs are drawn
        self._stepper = Stepper(self._network, self._optimiser, config.fit, steps)
        self._progress = Progress()
        self._averaging: nn.Module = self._network  # over ranks; made anew when other layers move

    def run(self, resume: bool) -> tuple[Network, list[dict[str, float]]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if resume:
            self._resume()
        wait_for_all()  # before the first checkpoint is written
        where = f"{self._device}, {'bfloat16' if self._autocast else 'float32'}"
        where += f", {ranks()} ranks" if ranks() > 1 else ""
        say(f"fitting on {where}: {sum(p.numel() for p in self._network.parameters()):,} parameters")
        while self._progress.epoch < self._config.fit.epochs:
            self._epoch()
        self._network.load_state_dict(self._average.module.state_dict())
        return self._network.eval(), self._progress.history

    def _epoch(self) -> None:
        state = self._progress
        self._unfreeze(state.epoch)
        total = len(self._sampler.plan(state.epoch))
        started = saved = time.monotonic()
        tokens = 0
        batches = self._sampler.batches(state.epoch, state.batch)
        for batch in show(batches, f"epoch {state.epoch + 1}", total, state.batch):
            state.epoch_loss += self._step(batch)
            state.batch += 1
            tokens += batch.batch.token_ids_WT.size
            if time.monotonic() - saved > self._config.fit.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        seconds = time.monotonic() - started
        tokens = int(summed(torch.tensor(tokens)))
        loss, error = self._validate()
        state.history.append(
            {"epoch": state.epoch + 1, "train_loss": state.epoch_loss / total, "validation_loss": loss}
        )
        say(
            f"epoch {state.epoch + 1}: train loss {state.epoch_loss / total:.4f}, validation loss {loss:.4f}, "
            f"wrong {error:.2%}, {tokens / seconds:,.0f} padded tokens/s"
        )
        state.epoch, state.batch, state.epoch_loss = state.epoch + 1, 0, 0.0
        self._save()

    def _unfreeze(self, epoch: int) -> None:
        """Let move what may move in this epoch."""
        for name, layer in self._network.named_modules():
            if stage := _THAWS.get(name.rpartition(".")[2]):
                layer.requires_grad_(epoch >= stage * self._frozen_epochs)
        self._averaging = averaging(self._network, self._device)

    def _step(self, batch: TrainingBatch) -> float:
        """One step; returns the loss, or 0 for a step that was left out because something was not finite."""
        self._averaging.train()
        seed_step(self._config.seed, self._progress.step)
        targets_B = torch.from_numpy(self._targets[batch.places_B]).to(self._device)
        weights_B = torch.from_numpy(self._counts[batch.places_B]).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            logits_B = score_batch(self._averaging, batch.batch, self._device)
        loss = self._loss(logits_B, targets_B, weights_B) * batch.share
        value = float(summed(loss.detach().cpu()))
        # Gradients are averaged over ranks, and are to be those of the whole batch.
        if not self._stepper.take(loss * ranks(), self._progress, value):
            return 0.0
        self._average.update_parameters(self._network)
        return value

    def _loss(self, logits_B: Tensor, targets_B: Tensor, weights_B: Tensor) -> Tensor:
        smoothing = self._config.fit.label_smoothing
        targets_B = targets_B * (1 - smoothing) + smoothing / 2
        losses_B = nn.functional.binary_cross_entropy_with_logits(logits_B, targets_B, reduction="none")
        return (losses_B * weights_B).mean()

    def _validate(self) -> tuple[float, float]:
        """Loss and share of wrong verdicts at even odds on the validation part, both classes counting the same."""
        places = self._corpus.places(Part.VALIDATION)
        own = slice(rank(), None, ranks())
        logits = np.zeros(len(places))
        logits[own] = predict_logits(self._average.module, self._corpus, places[own], self._config, self._device)
        logits = summed(torch.from_numpy(logits)).numpy()
        is_spam = self._corpus.is_spam[places]
        weights = message_weights(self._corpus, places, self._config.fit)[places]
        losses = np.logaddexp(0, np.where(is_spam, -logits, logits))
        wrong = (logits > 0) != is_spam
        return float(np.average(losses, weights=weights)), float(np.average(wrong, weights=weights))

    def _save(self) -> None:
        if rank() > 0:
            return
        save_checkpoint(
            Checkpoint(
                progress=self._progress,
                weights=self._network.state_dict(),
                average=self._average.state_dict(),
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
        self._network.load_state_dict(checkpoint.weights)
        self._average.load_state_dict(checkpoint.average)
        self._optimiser.load_state_dict(checkpoint.optimiser)
        torch.set_rng_state(checkpoint.random_state)


def _moving_average(share: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average; shorter while there are few steps, so that the first weights are forgotten."""

    def average(old: Tensors, new: Tensors, steps: Tensor | int) -> None:
        torch._foreach_lerp_(old, new, 1 - min(share, (1 + int(steps)) / (10 + int(steps))))

    return average


def optimiser(network: nn.Module, config: FitConfig) -> torch.optim.AdamW:
    """AdamW; biases and the embedding are not decayed (a rare word's row would fade between its sightings)."""
    decayed = [p for name, p in network.named_parameters() if p.dim() > 1 and not name.startswith("embedding")]
    others = [p for name, p in network.named_parameters() if p.dim() <= 1 or name.startswith("embedding")]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
