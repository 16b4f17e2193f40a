"""Who scores: the model on this machine, or a service elsewhere. Each imports what it needs when it is made."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from classifier.errors import ConfigError, MessageError
from service.process_setup import set_up_process

if TYPE_CHECKING:
    from classifier.encoding import PreparedMessage

_BATCH_MESSAGES = 32
_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what else is known of the message."""

    verdict: str
    spam_probability: float
    tokens: int
    truncated: bool
    defects: tuple[str, ...]
    model: str


@dataclass(frozen=True, slots=True)
class NotJudged:
    """Why there is no verdict; `ours` is true where another mail, or this one later, may get one."""

    code: str
    message: str
    ours: bool


class Judge(Protocol):
    """Scores mails."""

    def judge(self, mails: Iterable[bytes]) -> Iterator[Judged | NotJudged]:
        """Yield one answer for each mail, in order; mails are taken as they are needed."""


class LocalJudge:
    """The model in a folder of versions: the bundled one, or what HAMLET_MODELS names."""

    def __init__(self, models: Path | None) -> None:
        """Load the active version.

        Raises:
            ArtifactError: it cannot be used.
            ConfigError: what it needs is not installed.
        """
        set_up_process(inference_threads=1)
        try:
            from classifier.artifact import active_folder, bundled_models
            from classifier.pipeline import SpamClassifier
        except ModuleNotFoundError as error:
            raise ConfigError(f"without --url this needs {error.name}: pip install 'hamlet[classifier]'") from error
        self._classifier = SpamClassifier.load(active_folder(models or bundled_models()))
        self._classifier.use_bfloat16()  # as the service does, and to the same scores

    def judge(self, mails: Iterable[bytes]) -> Iterator[Judged | NotJudged]:
        """Score in batches."""
        batch: list[bytes] = []
        size_bytes = 0
        for mail in mails:
            batch.append(mail)
            size_bytes += len(mail)
            if len(batch) == _BATCH_MESSAGES or size_bytes >= _BATCH_BYTES:
                yield from self._judge(batch)
                batch, size_bytes = [], 0
        yield from self._judge(batch)

    def _judge(self, batch: list[bytes]) -> Iterator[Judged | NotJudged]:
        prepared = [self._prepared(mail) for mail in batch]
        ready = [one for one in prepared if not isinstance(one, NotJudged)]
        scores = iter(self._classifier.score(ready) if ready else [])
        for one in prepared:
            if isinstance(one, NotJudged):
                yield one
                continue
            score = next(scores)
            yield Judged(
                score.verdict.value,
                score.probability,
                one.tokens,
                one.truncated,
                tuple(one.defects),
                self._classifier.version,
            )

    def _prepared(self, mail: bytes) -> "PreparedMessage | NotJudged":
        try:
            return self._classifier.prepare(mail)
        except MessageError as error:
            return NotJudged(error.code, str(error), ours=False)


class RemoteJudge:
    """A service, over HTTP."""

    def __init__(self, url: str, *, key: str | None, timeout_s: float) -> None:
        """Make a client; nothing is sent yet.

        Raises:
            ConfigError: the URL or the key cannot be used, or the client is not installed.
        """
        try:
            from service.client import Client
        except ModuleNotFoundError as error:
            raise ConfigError(f"--url needs {error.name}: pip install 'hamlet[client]'") from error
        try:
            self._client = Client(url, key=key, timeout_s=timeout_s)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def judge(self, mails: Iterable[bytes]) -> Iterator[Judged | NotJudged]:
        """Ask for scores, a batch at a time."""
        from service.client import ClientError, MessageRefusedError, TooLargeError

        for result in self._client.predict_many(mails):
            if isinstance(result, ClientError):
                ours = not isinstance(result, MessageRefusedError | TooLargeError)
                yield NotJudged(result.code or "no_answer", str(result), ours)
            else:
                yield Judged(
                    result.verdict.value,
                    result.spam_probability,
                    result.tokens,
                    result.truncated,
                    result.defects,
                    result.model.version,
                )


def open_judge(
    url: str | None, key_file: Path | None, timeout_s: float, models: Path | None
) -> AbstractContextManager[Judge]:
    """Return a judge for use in a `with`.

    Raises:
        HamletError: it cannot be had.
    """
    if url is None:
        return nullcontext(LocalJudge(models))
    try:
        key = key_file.read_text(encoding="utf-8").strip() if key_file is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key cannot be read: {error}") from error
    return closing(RemoteJudge(url, key=key, timeout_s=timeout_s))
