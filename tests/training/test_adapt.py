"""A model that is adapted learns a mailbox; where there is nothing to learn it does not move."""

from pathlib import Path

import numpy as np
import pytest

from classifier.calibration import Calibration
from classifier.encoding import PreparedMessage, select_tokens
from classifier.errors import ConfigError
from classifier.pipeline import SpamClassifier
from tests.classifier.models import ENCODING, small_artifact
from tests.retraining.mailbox import mail
from training.adapt import AdaptConfig, Seen, adapt, replay_places
from training.adaptation import arrival
from training.config import TrainingConfig
from training.corpus import Corpus, MessageInfo, TextWriter, TokenIds
from training.measures import one_minus_roca
from training.sources.dates import parse_iso_date

CALIBRATION = Calibration(1.5, -0.5)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Return 200 made-up messages, spam and ham in turn, with the ids of the small model's tokenizer."""
    tokenizer = SpamClassifier(small_artifact()).tokenizer
    texts = [mail(("spam", "ham")[number % 2], number).decode() for number in range(200)]
    with TextWriter(tmp_path) as writer:
        for text in texts:
            writer.add(text)
    TokenIds.write(tmp_path, (tokenizer.encode(text) for text in texts), tokenizer.vocabulary_size)
    messages = [MessageInfo(str(number), number % 2 == 0, "made-up", None) for number in range(200)]
    return Corpus(tmp_path, messages, np.arange(200), np.zeros(200, np.int8))


def seen_by_model(corpus: Corpus) -> tuple[Seen, TrainingConfig]:
    artifact = small_artifact()
    config = TrainingConfig(network=artifact.network, ngrams=artifact.ngrams, encoding=ENCODING)
    return Seen.by(SpamClassifier(artifact).network, corpus, corpus.all_places(), config), config


def test_what_is_seen_scores_as_the_pipeline_does(corpus: Corpus) -> None:
    """Logits from halves that were read once are those of the whole network."""
    seen, _ = seen_by_model(corpus)
    classifier, token_ids = SpamClassifier(small_artifact()), corpus.token_ids()
    expected = [
        classifier.score([PreparedMessage(*select_tokens(token_ids[place].tolist(), ENCODING))])[0].logit
        for place in range(20)
    ]
    assert np.abs(seen.logits(classifier.network)[:20] - expected).max() < 1e-3


def test_it_learns_a_mailbox(corpus: Corpus) -> None:
    """From half of the messages to the order of the other half, twice the same."""
    seen, _ = seen_by_model(corpus)
    rows, rest, is_spam = np.arange(100), np.arange(100, 200), corpus.is_spam
    adapted = [adapt(seen, CALIBRATION, rows, is_spam, np.ones(200), 100.0) for _ in range(2)]
    before, after = (one_minus_roca(seen.logits(each)[rest], is_spam[rest]) for each in (seen.model, adapted[0]))
    assert before > 20
    assert after < before / 3
    assert (adapted[0].wide.weight_F == adapted[1].wide.weight_F).all()
    assert (adapted[0].deep.embedding.weight == seen.model.deep.embedding.weight).all()
    assert (seen.model.wide.weight_F == SpamClassifier(small_artifact()).network.wide.weight_F).all()


def test_the_smaller_the_variance_the_less_moves(corpus: Corpus) -> None:
    """At next to none it is the model that it was."""
    seen, _ = seen_by_model(corpus)
    moved = []
    for variance in (1e-9, 0.1, 100.0):
        adapted = adapt(seen, CALIBRATION, np.arange(200), corpus.is_spam, np.ones(200), variance)
        moved.append(float((adapted.wide.weight_F - seen.model.wide.weight_F).abs().sum()))
    assert moved[0] < 1e-3
    assert moved[0] < moved[1] < moved[2]


def test_replay_is_a_share_that_the_seed_draws(corpus: Corpus) -> None:
    """As many as asked for, no message twice, the same again; all where there are fewer."""
    _, config = seen_by_model(corpus)
    places = replay_places(corpus, corpus.all_places(), 50, config)
    assert len(set(places.tolist())) == len(places) == 50
    assert (places == replay_places(corpus, corpus.all_places(), 50, config)).all()
    assert len(replay_places(corpus, corpus.all_places(), 500, config)) == 200


def test_mail_arrives_by_date_with_both_classes_mixed(tmp_path: Path) -> None:
    """Also where all spam is newer than all ham, as in public corpora."""
    days = ["2002-01-03", "2002-01-01", "2002-01-02", "2005-01-02", "2005-01-01"]
    messages = [MessageInfo(day, number >= 3, "corpus", parse_iso_date(day)) for number, day in enumerate(days)]
    order = [messages[place].id for place in arrival(Corpus(tmp_path, messages)).tolist()]
    assert order == ["2002-01-01", "2005-01-01", "2002-01-02", "2005-01-02", "2002-01-03"]


@pytest.mark.parametrize("wrong", [{"variance": 0.0}, {"mailbox_weight": -1.0}, {"variance": float("nan")}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    """With a sentence that names them."""
    with pytest.raises(ConfigError, match=r"adapt\."):
        AdaptConfig(**wrong)
