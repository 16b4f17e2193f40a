"""A fitted network to a published version: round, calibrate, choose thresholds, evaluate, write."""

import base64
import datetime
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

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
from training.evaluate import evaluate, score_corpus
from training.fit import predict_logits
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
    network = _rounded(network, config)
    artifact = _calibrated(network, tokenizer, corpus, config)
    classifier = SpamClassifier(artifact)
    measures = {part.name.lower(): measure_part(classifier, corpus, part) for part in (Part.TEST, Part.LATER)}
    card = make_card(data, config, describe_split(corpus), history, measures)
    artifact = replace(artifact, card=card, golden=_golden(classifier))
    return save_artifact(artifact, models, datetime.date.today().strftime("%Y.%m.%d")), measures


def measure_part(classifier: SpamClassifier, corpus: Corpus, part: Part) -> dict[str, Any]:
    """Return the measures of a model on a part of a corpus that has its ids."""
    say(f"measuring the {part.name.lower()} part, with a thousand bootstrap rounds each")
    places = corpus.places(part)
    scores = score_corpus(classifier, corpus, places)
    return evaluate(scores, corpus.is_spam[places], corpus.corpora[places], classifier.thresholds)


def _rounded(network: WideAndDeep, config: TrainingConfig) -> WideAndDeep:
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


def _golden(classifier: SpamClassifier) -> list[GoldenMessage]:
    golden = []
    for path in sorted(GOLDEN.glob("*.eml")):
        raw = path.read_bytes()
        score = classifier.score([classifier.prepare(raw)])[0]
        golden.append(GoldenMessage(path.stem, base64.b64encode(raw).decode("ascii"), score.probability))
    return golden
