"""A fitted network to a published version: round, calibrate, choose thresholds, evaluate, write."""

import base64
import datetime
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifier.artifact import Artifact, GoldenMessage, save_artifact
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import TextTokenizer
from classifier.verdict import Thresholds
from classifier.wide_and_deep import WideAndDeep
from training.calibrate import calibrate, probabilities
from training.card import make_card
from training.choose_thresholds import choose_thresholds
from training.config import TrainingConfig
from training.corpus import Corpus
from training.curves import for_card
from training.evaluate import evaluate, score_corpus
from training.fit import predict_logits
from training.measures import Scores
from training.prepare import describe_split
from training.progress import say
from training.split import Part

GOLDEN = Path(__file__).parent / "golden"


def publish(
    network: WideAndDeep,
    tokenizer: TextTokenizer,
    corpus: Corpus,
    config: TrainingConfig,
    data: list[dict[str, str]],
    history: list[dict[str, float]],
    models: Path,
) -> tuple[Path, dict[str, Any]]:
    """Write the network as a new version below `models`; return its folder, and its measures on test and later mail."""
    say("calibrating")
    network = rounded(network, config)
    artifact = _calibrated(network, tokenizer, corpus, config)
    classifier = SpamClassifier(artifact)
    measures: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for part in (Part.TEST, Part.LATER):
        scores, places = score_part(classifier, corpus, part)
        curves[part.name.lower()] = for_card(scores, corpus.is_spam[places])
        measures[part.name.lower()] = _measures(classifier, corpus, scores, places)
    card = make_card(data, config, describe_split(corpus), history, measures, curves)
    artifact = replace(artifact, card=card, golden=golden_messages(classifier))
    return save_artifact(artifact, models, datetime.date.today().strftime("%Y.%m.%d")), measures


def measure_part(classifier: SpamClassifier, corpus: Corpus, part: Part) -> dict[str, Any]:
    """Return the measures of a model on a part of a corpus that has its ids."""
    return _measures(classifier, corpus, *score_part(classifier, corpus, part))


def score_part(classifier: SpamClassifier, corpus: Corpus, part: Part) -> tuple[Scores, NDArray[np.int64]]:
    """Return the probabilities of a part of a corpus that has the model's ids, and the places of its messages."""
    say(f"measuring the {part.name.lower()} part, with a thousand bootstrap rounds each")
    places = corpus.places(part)
    return score_corpus(classifier, corpus, places), places


def _measures(classifier: SpamClassifier, corpus: Corpus, scores: Scores, places: NDArray[np.int64]) -> dict[str, Any]:
    return evaluate(scores, corpus.is_spam[places], corpus.corpora[places], classifier.thresholds)


def rounded(network: WideAndDeep, config: TrainingConfig) -> WideAndDeep:
    """The network as it is stored: weights in half precision. All that follows is measured on it."""
    rounded = WideAndDeep.of_sizes(config.network, config.ngrams)
    rounded.load_state_dict({name: tensor.cpu().half().float() for name, tensor in network.state_dict().items()})
    return rounded.eval()


def _calibrated(network: WideAndDeep, tokenizer: TextTokenizer, corpus: Corpus, config: TrainingConfig) -> Artifact:
    places = corpus.places(Part.CALIBRATION)
    is_spam = corpus.is_spam[places]
    logits = predict_logits(network, corpus, places, config, torch.device("cpu"))
    calibration = calibrate(logits, is_spam)
    scores = probabilities(calibration, logits)
    thresholds: Thresholds = choose_thresholds(scores, is_spam, corpus.corpora[places], config.thresholds)
    say(f"calibration {asdict(calibration)}, thresholds {asdict(thresholds)}")
    # The tokenizer may have found fewer merges than asked for; the network keeps the rows that it was given.
    return Artifact(
        network=config.network,
        ngrams=config.ngrams,
        encoding=config.encoding,
        calibration=calibration,
        thresholds=thresholds,
        tokenizer_json=tokenizer.to_json(),
        weights=dict(network.state_dict()),
    )


def golden_messages(classifier: SpamClassifier) -> list[GoldenMessage]:
    """Return the golden messages with the probabilities that this model gives them."""
    golden = []
    for path in sorted(GOLDEN.glob("*.eml")):
        raw = path.read_bytes()
        score = classifier.score([classifier.prepare(raw)], read_all=True)[0]
        golden.append(GoldenMessage(path.stem, base64.b64encode(raw).decode("ascii"), score.probability))
    return golden
