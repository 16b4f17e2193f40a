"""A small untrained model, for tests of everything around the weights."""

import base64

import torch

from classifier.artifact import Artifact, GoldenMessage
from classifier.calibration import Calibration
from classifier.encoding import EncodingConfig
from classifier.network import NetworkConfig
from classifier.ngrams import NgramConfig
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import TextTokenizer
from classifier.verdict import Thresholds
from classifier.wide_and_deep import WideAndDeep
from tests.conftest import mail_files

ENCODING = EncodingConfig(window_tokens=32, head_tokens=64, tail_tokens=32)
NGRAMS = NgramConfig(bucket_bits=12)
VOCABULARY = 600


def random_model(vocabulary_size: int = VOCABULARY) -> WideAndDeep:
    """Return a model with random weights in both halves, ready to score."""
    torch.manual_seed(3)
    model = WideAndDeep.of_sizes(NetworkConfig(vocabulary_size, 16, 16, 8), NGRAMS).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
        model.wide.rarity_F.uniform_(1, 5)
        model.wide.weight_F.normal_(std=0.5)
        model.wide.continues_V[::3] = True
        model.wide.bias.fill_(-0.5)
        model.scales.copy_(torch.tensor([2.0, 3.0]))
    return model.requires_grad_(False)


def small_artifact(seed: int = 1) -> Artifact:
    """Return a model with random weights, a vocabulary learned on the tests' mail, and golden scores that it keeps."""
    texts = (path.read_text("latin-1") for path in mail_files("spam", "ham"))
    tokenizer = TextTokenizer.learn(texts, VOCABULARY)
    torch.manual_seed(seed)
    config = NetworkConfig(tokenizer.vocabulary_size, embedding_width=16, hidden_width=16, readout_width=8)
    ngrams = NgramConfig(bucket_bits=10)
    network = WideAndDeep.of_sizes(config, ngrams)
    with torch.no_grad():
        network.wide.rarity_F.uniform_(1, 5).copy_(network.wide.rarity_F.half())
        network.wide.weight_F.normal_().copy_(network.wide.weight_F.half())
        network.wide.continues_V.copy_(torch.tensor(tokenizer.continues_word(range(tokenizer.vocabulary_size))))
        for parameter in network.parameters():
            parameter.copy_((4 * parameter).half())
    raw = b"Subject: golden\n\nhello\n"
    artifact = Artifact(
        network=config,
        ngrams=ngrams,
        encoding=ENCODING,
        calibration=Calibration(1.5, -0.5),
        thresholds=Thresholds(0.2, 0.9),
        tokenizer_json=tokenizer.to_json(),
        weights=dict(network.state_dict()),
        card={"what": "a test"},
    )
    classifier = SpamClassifier(artifact)
    score = classifier.score([classifier.prepare(raw)], read_all=True)[0].probability
    artifact.golden.append(GoldenMessage("hello", base64.b64encode(raw).decode(), score))
    return artifact
