"""Fits the whole model: a language model, the deep half from it, the wide half, and both joined."""

from collections.abc import Sequence
from pathlib import Path

import torch

from classifier.errors import ConfigError
from classifier.network import SpamNetwork
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from training.config import TrainingConfig
from training.corpus import Corpus
from training.evidence import fit_evidence, joined
from training.fit import fit
from training.language_model import Pretrained
from training.pretrain import pretrain
from training.ranks import rank, rank_0_first


def fit_model(
    corpus: Corpus,
    tokenizer: TextTokenizer,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
    pretrained: Pretrained | None = None,
) -> tuple[WideAndDeep, list[dict[str, float]]]:
    """Fit both halves on the train part; return the model and the history of the deep half.

    Args:
        folder: checkpoints go here, and the language model.
        resume: go on from what stands in `folder`, as far as it was made with the same settings.
        pretrained: a language model to start from in place of one fitted here.

    Raises:
        DivergedError: loss or gradient was not finite too many times in a row.
    """
    deep, history = fit_deep(corpus, tokenizer, config, folder, resume=resume, pretrained=pretrained)
    return joined(deep, fit_evidence(corpus, tokenizer, config), corpus, config), history


def fit_beside(bases: Sequence[SpamClassifier], corpus: Corpus, config: TrainingConfig) -> WideAndDeep:
    """Fit a wide half beside the deep half of a model that exists, or the mean of several; takes minutes.

    Args:
        bases: of several the weights are averaged (a model soup, Wortsman et al. 2022). That is worth something where
            their fits began with the same language model.
        corpus: with the ids of the models' vocabulary.

    Raises:
        ConfigError: the preset asks for another network or reads messages otherwise, or vocabularies differ.
    """
    for base in bases:
        deep = base.network.deep
        if (deep.config, base.encoding) != (config.network, config.encoding):
            raise ConfigError(
                f"the LSTM of {base.version} is {deep.config} and reads {base.encoding}, "
                f"the preset wants {config.network} and {config.encoding}: they have to be the same"
            )
        if base.tokenizer.to_json() != bases[0].tokenizer.to_json():
            raise ConfigError(f"{base.version} has another vocabulary than {bases[0].version}: take models of one")
    deep = _mean([base.network.deep for base in bases])
    return joined(deep, fit_evidence(corpus, bases[0].tokenizer, config), corpus, config)


def _mean(networks: Sequence[SpamNetwork]) -> SpamNetwork:
    """The network whose every weight is the mean of these."""
    states = [network.state_dict() for network in networks]
    mean = SpamNetwork(networks[0].config)
    mean.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return mean.eval()


def fit_deep(
    corpus: Corpus,
    tokenizer: TextTokenizer,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
    pretrained: Pretrained | None = None,
) -> tuple[SpamNetwork, list[dict[str, float]]]:
    """Fit the deep half alone; arguments and errors are those of `fit_model`."""
    if pretrained is None and config.pretrain.epochs:
        with rank_0_first():
            if rank() == 0:
                pretrained = pretrain(corpus, tokenizer, config, folder, resume=resume)
                pretrained.save(folder)
            else:
                pretrained = Pretrained.load(folder)
    return fit(corpus, tokenizer, config, folder, resume=resume, pretrained=pretrained)
