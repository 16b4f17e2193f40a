"""Presets."""

from pathlib import Path

import pytest

from classifier.errors import ConfigError
from training.config import PRESETS, TrainingConfig, load_preset


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_can_be_loaded(path: Path) -> None:
    """Names and types of every preset are those of the settings."""
    assert isinstance(load_preset(path.stem), TrainingConfig)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[fit]\nepoch = 3\n", "sets fit.epoch, which does not exist"),
        ("[fit]\nepochs = 'three'\n", "sets fit.epochs to 'three', expected a int"),
        ("[network]\ncell = 'cnn'\n", "cell must be one of lstm, gru, rnn"),
        ("[shares]\ntrain = 0.9\n", "add up to 1"),
        ("[evidence]\ndeep_share = 1.0\n", "evidence.deep_share must be at least 0 and below 1, got 1.0"),
        ("[evidence]\nhard_ham = -1.0\n", "evidence.hard_ham must be at least 0, got -1.0"),
        (
            "[evidence.disguises]\ngood_words_chance = 2\n",
            "evidence.disguises.good_words_chance must be at least 0 and at most 1, got 2",
        ),
        ("[fit]\nexcerpt_chance = 40\n", "fit.excerpt_chance must be at least 0 and at most 1, got 40"),
        ("[fit]\ndropout = 1.0\n", "fit.dropout must be at least 0 and below 1, got 1.0"),
        ("[fit]\nlearning_rate = 0\n", "fit.learning_rate must be above 0, got 0"),
        ("[fit]\nepoch_share = 0.0\n", "fit.epoch_share must be above 0, got 0.0"),
        ("[fit]\nbatch_tokens = 0\n", "fit.batch_tokens must be at least 1, got 0"),
        ("[fit]\nepochs = -1\n", "fit.epochs must be at least 0, got -1"),
        ("[thresholds]\nham_loss_budget = 2\n", "thresholds.ham_loss_budget must be at least 0 and below 1, got 2"),
        ("[evidence]\ninverse_penalty = 0\n", "evidence.inverse_penalty must be above 0, got 0"),
        ("[fit.disguises]\nleet_chance = -1\n", "fit.disguises.leet_chance must be at least 0 and at most 1, got -1"),
        ("[ngrams]\nbucket_bits = 0\n", "bucket_bits must be 1 to 30, got 0"),
        ("seed = \n", "is not TOML"),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """The error names the setting."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_preset(str(path))
