"""Mail to score."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from classifier.artifact import active_folder, bundled_models
from classifier.encoding import PreparedMessage
from classifier.errors import SelfTestError
from classifier.network import computes_in_bfloat16
from classifier.pipeline import Score, SpamClassifier
from tests.classifier.models import ENCODING, small_artifact
from tests.conftest import corpus_mail, mail_files


def test_scores_come_in_the_order_given_and_do_not_depend_on_company() -> None:
    """Every message of the tests, alone and all together in any order: the same to 1e-4."""
    classifier = SpamClassifier(small_artifact())
    prepared = [classifier.prepare(path.read_bytes()) for path in mail_files("spam", "ham", "defects")]
    alone = [classifier.score([message])[0].probability for message in prepared]
    together = [score.probability for score in classifier.score(prepared)]
    backwards = [score.probability for score in classifier.score(prepared[::-1])][::-1]
    assert max(alone) - min(alone) > 0.1
    for one, two, three in zip(alone, together, backwards, strict=True):
        assert abs(one - two) < 1e-4
        assert abs(one - three) < 1e-4


def test_no_messages_have_no_scores() -> None:
    """An empty batch is not an error."""
    assert SpamClassifier(small_artifact()).score([]) == []


def test_a_long_mail_says_that_it_was_cut() -> None:
    """`tokens` is what was read; `truncated` that there was more."""
    classifier = SpamClassifier(small_artifact())
    long = classifier.prepare(b"Subject: x\n\n" + b"some words again and again " * 200)
    short = classifier.prepare(b"Subject: x\n\nsome words")
    assert (long.tokens, long.truncated) == (ENCODING.max_tokens, True)
    assert short.tokens < ENCODING.max_tokens
    assert not short.truncated


def test_a_message_without_tokens_has_a_score() -> None:
    """Headers alone leave nothing to read; the network still answers."""
    score = SpamClassifier(small_artifact()).score([PreparedMessage([], False)])[0]
    assert 0 < score.probability < 1


@pytest.fixture
def bfloat16_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without instructions for it computes in bfloat16 all the same, only slowly."""
    monkeypatch.setattr("classifier.pipeline.computes_in_bfloat16", lambda: True)


def test_bfloat16_is_used_only_where_the_cpu_computes_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it would be slower than float32."""
    monkeypatch.setattr("classifier.pipeline.computes_in_bfloat16", lambda: False)
    assert not SpamClassifier(small_artifact()).use_bfloat16()


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_bfloat16_is_not_used_where_a_golden_message_would_move(caplog: pytest.LogCaptureFixture) -> None:
    """A model that does not bear it is served in float32, to the same scores as before, and the log says so."""
    artifact = small_artifact()
    artifact.golden[0] = replace(artifact.golden[0], spam_probability=artifact.golden[0].spam_probability + 0.01)
    classifier = SpamClassifier(artifact)
    prepared = classifier.prepare(b"Subject: x\n\nhello")
    before = classifier.score([prepared])
    assert not classifier.use_bfloat16()
    assert artifact.golden[0].name in caplog.text
    assert classifier.score([prepared]) == before


def test_without_a_gpu_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says is what counts."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not SpamClassifier(small_artifact()).use_cuda()


@pytest.fixture
def failing_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that takes work and gives nothing back."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("classifier.pipeline._CUDA", torch.device("meta"))


@pytest.mark.usefixtures("failing_gpu")
def test_a_gpu_that_fails_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """It costs a line of the log; scores are those of before."""
    classifier = SpamClassifier(small_artifact())
    prepared = [classifier.prepare(b"Subject: x\n\nhello")]
    before = classifier.score(prepared)
    assert not classifier.use_cuda()
    assert "CUDA is not used" in caplog.text
    assert classifier.score(prepared) == before


@pytest.mark.usefixtures("failing_gpu", "bfloat16_anywhere")
def test_a_gpu_that_fails_later_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The CPU takes over, that batch and all others, in its own fastest way."""
    classifier = SpamClassifier(replace(small_artifact(), golden=[]))  # so that nothing is asked of it at first
    prepared = [classifier.prepare(b"Subject: x\n\nhello")]
    assert classifier.use_bfloat16()
    before = classifier.score(prepared)
    assert classifier.use_cuda()
    assert classifier.score(prepared) == before
    assert classifier.score(prepared) == before
    assert caplog.text.count("the GPU failed; the CPU computes everything from now on") == 1


# Only a GPU has a GPU's arithmetic; what becomes of one that fails is tested above, without any.
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_on_a_gpu_the_verdicts_are_those_of_the_cpu(corpora: Path) -> None:
    """On every thirtieth mail of all raw corpora, warm as in service."""
    classifier = SpamClassifier.load(active_folder(bundled_models()))
    prepared = [classifier.prepare(raw) for raw in list(corpus_mail(corpora))[::30]]
    exact = classifier.score(prepared)
    assert classifier.use_cuda()
    classifier.warm_up()
    classifier.self_test()
    fast = classifier.score(prepared)
    assert [score.verdict for score in fast] == [score.verdict for score in exact]
    assert max(abs(one.probability - two.probability) for one, two in zip(fast, exact, strict=True)) < 0.01


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_warm_up_compiles_the_lstm_in_the_arithmetic_that_was_chosen() -> None:
    """So that a batch takes the interpreter's lock once a group of windows."""
    classifier = SpamClassifier(small_artifact())
    assert classifier.use_bfloat16()
    classifier.warm_up()
    deep = classifier._scorer._deep
    assert isinstance(deep._read, torch.ScriptMethod) or sys.version_info >= (3, 14)
    assert deep.embedding.weight.dtype == torch.bfloat16


def test_a_model_that_gives_no_number_fails_its_self_test() -> None:
    """NaN is within no tolerance."""
    artifact = small_artifact()
    weights = {name: tensor.clone() for name, tensor in artifact.weights.items()}
    weights["wide.bias"].fill_(float("nan"))
    with pytest.raises(SelfTestError, match="the probability nan, published was"):
        SpamClassifier(replace(artifact, weights=weights)).self_test()


def scores_in_both(mails: list[bytes]) -> tuple[SpamClassifier, list[Score], list[Score]]:
    """Return the bundled model in bfloat16, and the scores of mails in float32 and in bfloat16."""
    classifier = SpamClassifier.load(active_folder(bundled_models()))
    prepared = [classifier.prepare(raw) for raw in mails]
    exact = classifier.score(prepared)
    assert classifier.use_bfloat16()
    return classifier, exact, classifier.score(prepared)


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_in_bfloat16_a_score_does_not_depend_on_company_either() -> None:
    """Alone (which torch computes otherwise), in small batches and all together: the same to 1e-4."""
    mails = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
    classifier, _, together = scores_in_both(mails)
    for size in (1, 2, 7):
        for start in range(0, len(mails), size):
            some = classifier.score([classifier.prepare(raw) for raw in mails[start : start + size]])
            for one, other in zip(some, together[start:], strict=False):
                assert abs(one.probability - other.probability) < 1e-4


@pytest.mark.usefixtures("bfloat16_anywhere")
def test_in_bfloat16_the_verdicts_are_those_of_float32(corpora: Path) -> None:
    """On every thirtieth mail of all raw corpora no verdict changes, and no probability leaves the tolerance."""
    _, exact, fast = scores_in_both(list(corpus_mail(corpora))[::30])
    assert [score.verdict for score in fast] == [score.verdict for score in exact]
    # A CPU without the instructions rounds each state of the cells too, and no service of such a one uses bfloat16.
    most = 0.01 if computes_in_bfloat16() else 0.02
    assert max(abs(one.probability - two.probability) for one, two in zip(fast, exact, strict=True)) < most
    assert fast != exact
