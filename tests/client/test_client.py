"""The client against the service as people start it, and against what lies between them."""

import asyncio
import email
import email.policy
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

import service.client as service_client
from service.client import (
    AsyncClient,
    Client,
    ClientError,
    ConnectionFailedError,
    DeadlineError,
    MessageRefusedError,
    NotFoundError,
    OverloadedError,
    Prediction,
    Retry,
    UnauthorizedError,
    UnavailableError,
    UnreadableMailError,
)
from service.client.clients import Options
from service.client.mail import Mail
from tests.client.chaos import FATES, Chaos
from tests.conftest import mail_files
from tests.service.process import ROOT, Process

TOLERANCE = 1e-4
MAILS = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
SHORT = sorted(MAILS, key=len)[:100]
THOUSAND = SHORT * 10
KEYS = {"HAMLET_API_KEYS": "secret", "HAMLET_MAX_MESSAGES_PER_REQUEST": "60", "HAMLET_MAX_REQUEST_BYTES": "200000"}
LIMITS = {"HAMLET_MAX_MESSAGE_BYTES": "150000", "HAMLET_LOG_LEVEL": "warning"}
BATCH = 16
AT_ONCE = Retry(attempts=12, first_s=0.001, longest_s=0.01)

PredictAll = Callable[..., list[Prediction | ClientError]]


def sync_predict(url: str, mails: Iterable[Mail], options: Options) -> list[Prediction | ClientError]:
    with Client(url, **options) as client:
        return list(client.predict_many(mails))


def async_predict(url: str, mails: Iterable[Mail], options: Options) -> list[Prediction | ClientError]:
    async def all_of_them() -> list[Prediction | ClientError]:
        async with AsyncClient(url, **options) as client:
            return [result async for result in client.predict_many(mails)]

    return asyncio.run(all_of_them())


both = pytest.mark.parametrize("predict", [sync_predict, async_predict], ids=["sync", "async"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The service with limits smaller than a client expects."""
    with Process(tmp_path_factory.mktemp("log") / "stderr", **KEYS, **LIMITS) as process:
        process.client.headers["Authorization"] = "Bearer secret"
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def url(service: Process) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="module")
def expected(url: str) -> list[float]:
    """The probability of each of SHORT, over a quiet line."""
    return [one.spam_probability for one in sync_predict(url, SHORT, {"key": "secret"}) if isinstance(one, Prediction)]


def agrees(results: list[Prediction | ClientError], expected: list[float]) -> None:
    """Check that each of THOUSAND has its own score, or an error."""
    assert len(results) == len(THOUSAND)
    for place, result in enumerate(results):
        if isinstance(result, Prediction):
            assert result.spam_probability == pytest.approx(expected[place % len(SHORT)], abs=TOLERANCE), place


@both
def test_a_thousand_mails_through_chaos_get_their_results(url: str, expected: list[float], predict: PredictAll) -> None:
    """429, 503, 502, dropped and cut connections and delays: with patience every mail gets its own score, once."""
    with Chaos(url, seed=1) as chaos:
        results = predict(chaos.url, THOUSAND, {"key": "secret", "max_messages": BATCH, "retry": AT_ONCE})
    assert [one for one in results if isinstance(one, ClientError)] == []
    agrees(results, expected)
    assert set(chaos.fates) == set(FATES)


@both
def test_without_patience_every_mail_gets_a_result_or_one_typed_error(
    url: str, expected: list[float], predict: PredictAll
) -> None:
    """Two attempts and a deadline shorter than the delay: what is not scored has an error of the kind that it met."""
    hasty: Options = {"key": "secret", "max_messages": BATCH, "retry": Retry(2, 0.001, 0.001), "timeout_s": 1.0}
    with Chaos(url, seed=2, delay_s=1.5) as chaos:
        results = predict(chaos.url, THOUSAND, hasty)
    agrees(results, expected)
    kinds = {type(one) for one in results if isinstance(one, ClientError)}
    assert kinds <= {OverloadedError, UnavailableError, ConnectionFailedError, DeadlineError}
    assert len(kinds) >= 2
    assert DeadlineError in kinds
    assert 0 < sum(isinstance(one, Prediction) for one in results) < len(THOUSAND)


@both
def test_batches_are_cut_to_limits_that_nobody_told(service: Process, url: str, predict: PredictAll) -> None:
    """A service that takes 60 messages and 200,000 bytes at once scores 200 mails; what no request holds fails."""
    large = b"Subject: large\r\n\r\n" + b"word " * 24_000
    mails = [*MAILS[:100], large, large, b"x" * 400_000, *MAILS[:100]]
    results = predict(url, mails, {"key": "secret"})
    assert len(results) == len(mails)
    failed = [place for place, result in enumerate(results) if isinstance(result, ClientError)]
    assert failed == [102]
    first = [one.spam_probability for one in results[:100] if isinstance(one, Prediction)]
    last = [one.spam_probability for one in results[103:] if isinstance(one, Prediction)]
    assert first == pytest.approx(last, abs=TOLERANCE)


def test_a_limit_is_met_once(url: str) -> None:
    """What was refused is not tried again: the next batches are small from the start."""
    with Client(url, key="secret") as client:
        list(client.predict_many(MAILS[:70]))
        assert client._calls.max_messages <= 60
        sent = client._calls.max_messages
        list(client.predict_many(MAILS[:70]))
        assert client._calls.max_messages == sent


def test_bytes_paths_and_messages_get_one_score(url: str, tmp_path: Path) -> None:
    """Each form of the same mail is the same mail; a line that begins with From is left alone."""
    raw = b"From: ann@example.org\nSubject: lunch\n\nAre you free?\nFrom noon on?\n"
    path = tmp_path / "mail.eml"
    path.write_bytes(raw)
    forms: list[Mail] = [
        raw,
        bytearray(raw),
        path,
        email.message_from_bytes(raw),
        email.message_from_bytes(raw, policy=email.policy.default),
    ]
    with Client(url, key="secret") as client:
        results = [client.predict(form) for form in forms]
        assert [result.spam_probability for result in results] == [results[0].spam_probability] * len(forms)
        assert results[0].model == client.model().model
        explained = client.predict(raw, explain=True)
        assert explained.shown is not None
        with pytest.raises(TypeError, match="a mail is bytes"):
            client.predict("mail.eml")  # type: ignore[arg-type]  # the mistake under test


@both
def test_one_bad_mail_has_an_error_of_its_own(url: str, tmp_path: Path, predict: PredictAll) -> None:
    """A file that is not there, an empty mail, an object that cannot be written: their neighbours are scored."""
    broken = EmailMessage()
    broken["Subject"] = "hi"
    broken.set_payload("\udcff\ud800", charset=None)
    mails = [MAILS[0], tmp_path / "missing.eml", b"", MAILS[1], broken, tmp_path]
    results = predict(url, mails, {"key": "secret"})
    assert [type(one) for one in results] == [
        Prediction, UnreadableMailError, MessageRefusedError, Prediction, UnreadableMailError, UnreadableMailError,
    ]  # fmt: skip
    assert isinstance(results[2], ClientError)
    assert results[2].code == "empty_message"


def test_learn_look_and_forget(url: str) -> None:
    """What is learned is in the journal until it is forgotten, which can be said once."""
    with Client(url, key="secret") as client:
        learned = client.learn(MAILS[0], "spam", reporter="ann", reason="a parcel that I never ordered")
        assert (learned.label, learned.outcome) == ("spam", "learned")
        assert client.learn(MAILS[0], "spam").outcome == "already_learned"
        entry = client.feedback(limit=1).entries[0]
        assert (entry.id, entry.label, entry.reporter) == (learned.id, "spam", "ann")
        client.forget(learned.id)
        with pytest.raises(NotFoundError):
            client.forget(learned.id)
        assert client.feedback().entries == ()


async def test_the_asynchronous_client_does_all_of_it_too(url: str) -> None:
    """The same calls, awaited."""
    async with AsyncClient(url, key="secret") as client:
        assert isinstance(await client.predict(MAILS[0]), Prediction)
        learned = await client.learn(MAILS[1], "ham")
        assert (await client.feedback(limit=1)).entries[0].id == learned.id
        await client.forget(learned.id)
        assert (await client.model()).ham_below < 1
        with pytest.raises(MessageRefusedError):
            await client.predict(b"")


@both
def test_a_wrong_key_is_told_at_once(url: str, predict: PredictAll) -> None:
    """Asking again would not help, so it is not done."""
    started = time.monotonic()
    (result,) = predict(url, MAILS[:1], {"key": "wrong"})
    assert isinstance(result, UnauthorizedError)
    assert result.code == "unauthorized"
    assert time.monotonic() - started < 5


@both
def test_nobody_listening_ends_with_the_deadline(predict: PredictAll) -> None:
    """No service at all: an error for each, no later than the time that was given."""
    started = time.monotonic()
    results = predict("http://127.0.0.1:9", MAILS[:3], {"timeout_s": 0.5, "retry": Retry(100, 0.05, 0.1)})
    assert [type(one) for one in results] == [ConnectionFailedError] * 3
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("options", [{"key": "a\nb"}, {"timeout_s": 0.0}, {"max_messages": 0}])
def test_options_that_make_no_sense_are_refused(options: Options) -> None:
    """With a sentence, before anything is sent."""
    with pytest.raises(ValueError, match=r"key|above 0"):
        Client("http://127.0.0.1:8000", **options)
    with pytest.raises(ValueError, match="http://"):
        Client("127.0.0.1:8000")


def test_the_guide_does_what_it_says(service: Process, url: str) -> None:
    """Its program runs as it is printed, but for the address and the key of the test."""
    guide = (ROOT / "docs/client.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    program = program.replace("http://127.0.0.1:8000", url).replace("key=None", 'key="secret"')
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert first.startswith("spam 0.9")
    assert len(rest) == len(mail_files("ham"))
    for name in service_client.__all__:
        assert name in guide or not name.endswith("Error"), f"docs/client.md does not speak of {name}"
