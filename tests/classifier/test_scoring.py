"""Both halves of a model, the second only where it matters."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from classifier.artifact import active_folder, bundled_models
from classifier.encoding import PreparedMessage
from classifier.network import SpamNetwork
from classifier.pipeline import Score, SpamClassifier
from classifier.verdict import Verdict
from tests.classifier.models import small_artifact
from tests.conftest import corpus_mail, mail_files


@pytest.fixture(scope="module")
def bundled() -> SpamClassifier:
    """The model that comes with the code."""
    return SpamClassifier.load(active_folder(bundled_models()))


def test_what_one_window_says_is_within_the_bounds() -> None:
    """Whatever the weights are, and the bounds are no further off than they have to be."""
    network = SpamClassifier(small_artifact()).network.deep
    with torch.no_grad():
        network.readout.weight.mul_(50)  # every readout at its end
    least, most = network.logit_bounds()
    token_ids_WT = torch.randint(1, network.config.vocabulary_size, (2000, 16))
    with torch.inference_mode():
        logits_B = network(token_ids_WT, torch.full((2000,), 16), torch.arange(2000), 2000)
    assert least <= logits_B.min() < logits_B.max() <= most
    assert logits_B.max() - logits_B.min() > 0.6 * (most - least)


def same_verdicts(classifier: SpamClassifier, prepared: Sequence[PreparedMessage]) -> tuple[list[Score], list[Score]]:
    """Score both ways, hold the verdicts against each other and return the scores that differ."""
    quick, whole = classifier.score(prepared), classifier.score(prepared, read_all=True)
    assert [score.verdict for score in quick] == [score.verdict for score in whole]
    differing = [(one, other) for one, other in zip(quick, whole, strict=True) if one != other]
    return [one for one, _ in differing], [other for _, other in differing]


def test_what_is_settled_has_the_verdict_of_the_whole_model(bundled: SpamClassifier) -> None:
    """On all mail of the tests; some is settled, and its probability hardly moves."""
    prepared = [bundled.prepare(path.read_bytes()) for path in mail_files("spam", "ham", "defects")]
    quick, whole = same_verdicts(bundled, prepared)
    assert quick
    assert max(abs(one.probability - other.probability) for one, other in zip(quick, whole, strict=True)) < 0.002


def test_verdicts_stay_on_the_corpora(bundled: SpamClassifier, corpora: Path) -> None:
    """On every fiftieth mail of all raw corpora; both verdicts are settled, of more than a quarter of the mail."""
    mails = list(corpus_mail(corpora))[::50]
    quick, _ = same_verdicts(bundled, [bundled.prepare(raw) for raw in mails])
    assert {score.verdict for score in quick} == {Verdict.HAM, Verdict.SPAM}
    assert len(quick) > len(mails) / 4


def test_the_lstm_reads_only_what_is_not_settled(bundled: SpamClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the others, and all when they are asked for."""
    prepared = [bundled.prepare(path.read_bytes()) for path in mail_files("spam", "ham")]
    seen: list[int] = []
    forward = SpamNetwork.forward

    def counted(self: SpamNetwork, ids: Tensor, lengths: Tensor, owners: Tensor, messages: int) -> Tensor:
        seen.append(messages)
        return forward(self, ids, lengths, owners, messages)

    monkeypatch.setattr(SpamNetwork, "forward", counted)
    bundled.score(prepared, read_all=True)
    assert sum(seen) == len(prepared)
    seen.clear()
    bundled.score(prepared)
    assert 0 < sum(seen) < len(prepared)


def test_a_message_is_settled_or_not_whatever_its_company(bundled: SpamClassifier) -> None:
    """The wide half gives the same bits alone and among others, so that nothing tips over."""
    prepared = [bundled.prepare(path.read_bytes()) for path in mail_files("spam", "ham", "defects")]
    messages = [message.token_ids for message in prepared]
    run, wide = bundled._scorer._run, bundled.network.wide
    together = run(wide, messages)
    assert [run(wide, [message])[0] for message in messages] == together
    assert run(wide, messages[::-1])[::-1] == together
