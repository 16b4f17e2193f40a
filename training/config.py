"""What a training run can be told, as typed values from a TOML preset. Units are in the names."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from classifier.encoding import EncodingConfig
from classifier.errors import ConfigError
from classifier.network import NetworkConfig
from classifier.ngrams import NgramConfig
from training.split import Shares

PRESETS = Path(__file__).parent / "presets"

Settings = TypeVar("Settings")


def _check_shares(table: str, settings: object, names: Iterable[str], *, whole: bool = False) -> None:
    """Raise ConfigError unless each is a share of 1, and 1 itself only where a whole is meant to be possible."""
    for name in names:
        value = getattr(settings, name)
        if not (0 <= value < 1 or (whole and value == 1)):
            raise ConfigError(f"{table}.{name} must be at least 0 and {'at most' if whole else 'below'} 1, got {value}")


def _check_least(table: str, settings: object, names: Iterable[str], least: int) -> None:
    """Raise ConfigError if one is less."""
    for name in names:
        if not (value := getattr(settings, name)) >= least:
            raise ConfigError(f"{table}.{name} must be at least {least}, got {value}")


def _check_above_0(table: str, settings: object, names: Iterable[str]) -> None:
    """Raise ConfigError unless each is more than nothing."""
    for name in names:
        if not (value := getattr(settings, name)) > 0:
            raise ConfigError(f"{table}.{name} must be above 0, got {value}")


@dataclass(frozen=True, slots=True)
class Disguises:
    """How often spam is disguised in training as spammers disguise it (training.augment); 0 is never."""

    # Words of ham stand before or after the body, or hidden.
    good_words_chance: float = 0.0
    # Some words bear the mark of a trick: invisible characters, look-alikes, styled or spaced letters.
    tricks_chance: float = 0.0
    # Some words have digits for letters.
    leet_chance: float = 0.0

    def check(self, table: str) -> None:
        """Raise ConfigError, which names the table that they stand in, unless each is a chance."""
        _check_shares(table, self, ("good_words_chance", "tricks_chance", "leet_chance"), whole=True)


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How the network is fitted."""

    epochs: int = 4
    # With --pretrained alone: so many epochs fit the readout only, as many more the cells with it, then the embedding
    # too (gradual unfreezing, Howard & Ruder 2018). 0 is all from the first: of four epochs, 1 frozen ended at a
    # validation loss of 0.0684, none at 0.0479 (docs/experiments.md, 2026-11-24).
    frozen_epochs: int = 0
    # Padded tokens of a batch.
    batch_tokens: int = 16384
    learning_rate: float = 0.002
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    # Gradients are cut to this norm: through 256 steps they can explode.
    clip_norm: float = 1.0
    dropout: float = 0.3
    # Share of a message's tokens that are left out at each sight.
    token_dropout: float = 0.1
    # Chance that a field is left out: sender, links and attachments tell collections apart better than spam from ham.
    field_dropout: float = 0.3
    # Chance that all of them but the attachments are left out together: one is enough to tell the collection by.
    fieldless_chance: float = 0.0
    # Chance that of the body only an excerpt is seen (training.fields).
    excerpt_chance: float = 0.0
    # Chance that words of several tokens are seen as unknown: names and terms of the collections, and of no other mail.
    unknown_chance: float = 0.0
    # At each sight of a spam; ham is disguised at a quarter of each chance.
    disguises: Disguises = field(default_factory=Disguises)
    # 0.02: a target of 0.01 or 0.99, so that a mislabelled message cannot pull without end.
    label_smoothing: float = 0.02
    # A message counts (size of its cluster) ** -cluster_discount: a campaign is one kind of spam, not 900.
    cluster_discount: float = 0.5
    # The same for a corpus among the others of its class.
    corpus_discount: float = 0.5
    # Spam in a language that less than this share of the train part's ham is written in (of that whose language can be
    # told) counts nothing: all that it could teach is that the language is spam. 0 learns from all.
    ham_share_of_language: float = 0.0
    # Share of the training messages seen in an epoch, drawn by weight: the many that weigh little are seen less often.
    epoch_share: float = 0.5
    # The weights that are kept are a moving average over steps, this much of it old.
    averaging: float = 0.998
    checkpoint_seconds: float = 60.0
    # After so many steps in a row with a loss or gradient that is not finite the run stops.
    most_bad_steps: int = 10

    def __post_init__(self) -> None:
        chances = ("field_dropout", "fieldless_chance", "excerpt_chance", "unknown_chance")
        _check_shares("fit", self, (*chances, "ham_share_of_language", "epoch_share"), whole=True)
        _check_shares("fit", self, ("dropout", "token_dropout", "label_smoothing", "warmup_share", "averaging"))
        _check_above_0("fit", self, ("learning_rate", "clip_norm", "epoch_share"))
        _check_least("fit", self, ("batch_tokens", "most_bad_steps"), 1)
        nothing_negative = ("epochs", "frozen_epochs", "weight_decay", "checkpoint_seconds")
        _check_least("fit", self, (*nothing_negative, "cluster_discount", "corpus_discount"), 0)
        self.disguises.check("fit.disguises")


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """How the language model is pretrained; clipping, warm-up, decay and checkpoints are those of `fit`."""

    # 0: `fit` starts from random weights.
    epochs: int = 0
    # Padded tokens of a batch.
    batch_tokens: int = 8192
    learning_rate: float = 0.004
    # Ids that stand for the whole vocabulary at each step; all of it would cost vocabulary_size / negatives as much.
    negatives: int = 512
    # Messages of the validation part that the perplexity is taken of: there it is over the whole vocabulary.
    validation_messages: int = 500

    def __post_init__(self) -> None:
        _check_least("pretrain", self, ("epochs",), 0)
        _check_least("pretrain", self, ("batch_tokens", "negatives", "validation_messages"), 1)
        _check_above_0("pretrain", self, ("learning_rate",))


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """How the wide half is fitted, and how it is joined with the deep one."""

    # As fit.corpus_discount, for the wide half.
    corpus_discount: float = 0.75
    # scikit-learn's C: the smaller, the smaller the weights.
    inverse_penalty: float = 100.0
    # Each spam is there once more, disguised, with this share of its weight. At 0.3, beside excerpts, 150 good words
    # take 13 points of what is caught.
    disguised_share: float = 0.6
    # Excerpts of each message that are there too, without the fields that fit.field_dropout leaves out, and their share
    # of what is left of its weight: sender, links and footers tell the collections apart, and words would be left with
    # little. With more of it mails of a subject alone ("Re:") are judged by what excerpts of ham have for theirs.
    excerpts: int = 2
    excerpt_share: float = 0.35
    disguises: Disguises = field(default_factory=lambda: Disguises(good_words_chance=1.0, leet_chance=0.3))
    # What stands close to the other class counts more: 1 + this x how wrong a regression that was fitted without it is
    # about it, from 0 to 1 (training.hard_examples). With 0 for both there is one regression in place of three.
    hard_ham: float = 0.0
    hard_spam: float = 0.0
    # The second reading of each message has words of several tokens as unknown: mail of others is judged better with it
    # (docs/experiments.md, 2026-11-29). Off, it is the first once more.
    unknown_words: bool = True
    # The deep half's share of the spread of the joined logit.
    deep_share: float = 0.25

    def __post_init__(self) -> None:
        _check_shares("evidence", self, ("disguised_share", "excerpt_share", "deep_share"))
        _check_least("evidence", self, ("corpus_discount", "excerpts", "hard_ham", "hard_spam"), 0)
        _check_above_0("evidence", self, ("inverse_penalty",))
        self.disguises.check("evidence.disguises")


@dataclass(frozen=True, slots=True)
class ThresholdConfig:
    """Budgets for the two thresholds, as shares of the calibration mail; every corpus weighs the same."""

    ham_loss_budget: float = 0.001
    spam_leak_budget: float = 0.005
    # Nats of log-odds that spam_from then stands higher. Mail of other people scatters more than mail of the
    # collections that the budget is kept on; `leave-out` shows what each allowance costs (docs/experiments.md).
    strangers_allowance: float = 0.0

    def __post_init__(self) -> None:
        _check_shares("thresholds", self, ("ham_loss_budget", "spam_leak_budget"))
        _check_least("thresholds", self, ("strangers_allowance",), 0)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A preset."""

    seed: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    ngrams: NgramConfig = field(default_factory=NgramConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    shares: Shares = field(default_factory=Shares)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    thresholds: ThresholdConfig = field(default_factory=ThresholdConfig)


def load_preset(name: str) -> TrainingConfig:
    """Read a preset by name, or a TOML file by path.

    Raises:
        ConfigError: no such preset, not TOML, or a setting that does not exist.
    """
    path = Path(name) if name.endswith(".toml") else PRESETS / f"{name}.toml"
    try:
        return load_settings(TrainingConfig, path)
    except OSError as error:
        known = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.toml")))
        raise ConfigError(
            f"cannot read the preset {name!r}: give one of {known}, or the path of a .toml file"
        ) from error


def load_settings(kind: type[Settings], path: Path) -> Settings:
    """Read a TOML file into a dataclass whose every field has a default.

    Raises:
        ConfigError: not TOML, or a setting that does not exist.
        OSError: the file cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    settings: Settings = _build(kind, values, path, "")
    return settings


def _build(kind: Any, values: dict[str, Any], path: Path, prefix: str) -> Any:
    known = {each.name: each for each in fields(kind)}
    for name in values:
        if name not in known:
            raise ConfigError(f"{path} sets {prefix}{name}, which does not exist; there is {', '.join(known)}")
    defaults = kind()
    built = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        if is_dataclass(default):
            built[name] = _build(type(default), value, path, f"{prefix}{name}.")
        elif isinstance(value, type(default)) or (isinstance(default, float) and isinstance(value, int)):
            built[name] = value
        else:
            raise ConfigError(f"{path} sets {prefix}{name} to {value!r}, expected a {type(default).__name__}")
    return kind(**built)


def config_of_card(card: dict[str, Any], **sizes: Any) -> TrainingConfig:
    """Return the settings that a model was fitted with, as its card has them; defaults where it does not say.

    Settings that there are no more, or that have another form now, are left out: cards are older than the code.

    Args:
        sizes: `network`, `ngrams` and `encoding` as the artifact itself has them.
    """
    settings = card.get("settings", {})
    config: TrainingConfig = _known(TrainingConfig(), settings if isinstance(settings, dict) else {})
    return replace(config, **sizes)


def _known(default: Any, values: dict[str, Any]) -> Any:
    found = {}
    for each in fields(default):
        old, value = getattr(default, each.name), values.get(each.name)
        if is_dataclass(old) and isinstance(value, dict):
            found[each.name] = _known(old, value)
        elif value is not None and isinstance(value, type(old)):
            found[each.name] = value
    return replace(default, **found)
