"""The benchmarks measure what they say."""

from collections.abc import Callable
from itertools import islice

import pytest

from tests.benchmarks import drain, vanish
from tests.benchmarks.__main__ import MEASUREMENTS, main
from tests.benchmarks.load import Replies
from tests.benchmarks.mail import mixed_mail, sample_mail
from tests.benchmarks.results import Result


def test_the_sample_is_the_same_on_every_run() -> None:
    """The seed alone decides which mails are drawn, and in which order."""
    assert sample_mail(64) == sample_mail(64)
    assert sample_mail(64, seed=2).mails != sample_mail(64).mails


def test_mixed_mail_keeps_to_its_sizes() -> None:
    """10 bytes to 10 MiB, and large ones among them."""
    sizes = [len(raw) for raw in islice(mixed_mail(sample_mail(64).raws), 3000)]
    assert 1 <= min(sizes) < 100
    assert 1024**2 < max(sizes) <= 10 * 1024**2


def test_latency_counts_from_when_a_request_was_due() -> None:
    """A client that was held up does not hide the wait; a request half done at the end counts half."""
    replies = Replies(
        due_s=[0.0, 0.0, 1.0],
        sent_s=[0.5, 0.0, 1.0],
        done_s=[1.0, 4.0, 1.5],
        status=[200, 200, 429],
        started_s=0.0,
        ended_s=2.0,
    )
    assert replies.quantile_s(1.0, 200) == 4.0
    assert replies.quantile_s(1.0, 429) == 0.5
    assert replies.lag_s(1.0) == 0.5
    assert replies.per_second() == pytest.approx(0.75)  # one and a half in two seconds


def test_a_missed_limit_fails_the_result() -> None:
    """A slow machine breaks figures; what is wrong on any machine makes the result unsound."""
    result = Result()
    result.at_most("kept", 1.0, 1.0)
    assert result.passed
    result.at_least("missed", 0.5, 1.0)
    assert (result.passed, result.sound) == (False, True)
    result.exactly("wrong", 1, 0)
    assert not result.sound
    assert str(result).count("FAIL") == 2


@pytest.mark.parametrize("measure", [vanish.measure, drain.measure], ids=["vanish", "drain"])
def test_promises_hold_at_reduced_length(measure: Callable[..., Result]) -> None:
    """Nothing is scored for clients that are killed; SIGTERM under load loses nothing. Real processes, real load."""
    result = measure(quick=True)
    assert result.sound, str(result)


@pytest.mark.benchmark
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, from the command line on, at reduced length."""
    monkeypatch.setattr("sys.argv", ["benchmarks", name, "--quick"])
    assert main() == 0
