"""What a client can ask the service for, as steps (service.client.exchange): one logic for both clients."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, urlencode

from service.client.errors import ClientError, TooLargeError
from service.client.exchange import Session, Steps, exchange
from service.client.mail import Mail, raw_bytes
from service.client.results import (
    FeedbackPage,
    Label,
    Learned,
    ModelInfo,
    Prediction,
    feedback_page,
    learned,
    model_info,
    predictions,
    read_answer,
)

MIB = 1024 * 1024
_OVERHEAD_BYTES = 64  # of a message in a request besides its base64


class Calls:
    """The calls of one client, and the limits of the service that it has met."""

    def __init__(self, session: Session, *, max_messages: int, max_bytes: int) -> None:
        self.session = session
        self.max_messages = max_messages
        self.max_bytes = max_bytes

    def batches(self, mails: Iterable[Mail]) -> Iterator[list[str | ClientError]]:
        """Cut mails into batches that the service takes at once.

        Each mail is its base64, or the error of reading it. Mails are read as they are needed, and limits that were
        learned meanwhile hold for the next batch.
        """
        batch: list[str | ClientError] = []
        size_bytes = 0
        for mail in mails:
            one = _encoded(mail)
            one_bytes = _size_bytes([one])
            if batch and (len(batch) >= self.max_messages or size_bytes + one_bytes > self.max_bytes):
                yield batch
                batch, size_bytes = [], 0
            batch.append(one)
            size_bytes += one_bytes
        if batch:
            yield batch

    def predict(
        self, batch: Sequence[str | ClientError], *, explain: bool, timeout_s: float | None
    ) -> Steps[list[Prediction | ClientError]]:
        """Score a batch: one result or one error for each, in order. Raises nothing of its own."""
        results: list[Prediction | ClientError] = [one for one in batch if isinstance(one, ClientError)]
        messages = [one for one in batch if not isinstance(one, ClientError)]
        if not messages:
            return results
        scored = iter((yield from self._score(messages, explain, self.session.deadline(timeout_s))))
        return [one if isinstance(one, ClientError) else next(scored) for one in batch]

    def _score(self, messages: list[str], explain: bool, deadline: float) -> Steps[list[Prediction | ClientError]]:
        body = {"messages": [{"raw_base64": message} for message in messages], "explain": explain}
        content = json.dumps(body).encode()
        try:
            reply = yield from exchange(self.session, "POST", "/v1/predict", deadline=deadline, content=content)
            return list(read_answer(reply.body, predictions(len(messages))))
        except TooLargeError as error:
            if len(messages) == 1:
                return [error]
            self._learn_limit(error, messages)
        except ClientError as error:
            return [error] * len(messages)
        half = len(messages) // 2
        first = yield from self._score(messages[:half], explain, deadline)
        return first + (yield from self._score(messages[half:], explain, deadline))

    def _learn_limit(self, error: TooLargeError, messages: list[str]) -> None:
        """Remember that this was too much; half of it is what is tried next."""
        if error.code == "too_many_messages":
            self.max_messages = min(self.max_messages, len(messages) // 2)
        else:  # also of a proxy, which may not say what was too large
            self.max_bytes = min(self.max_bytes, max(_size_bytes(messages) // 2, 1))

    def learn(
        self, mail: Mail, label: Label, *, reporter: str | None, reason: str | None, timeout_s: float | None
    ) -> Steps[Learned]:
        """Say what a message is."""
        said = {"raw_base64": base64.b64encode(raw_bytes(mail)).decode(), "label": label}
        said |= {name: value for name, value in (("reporter", reporter), ("reason", reason)) if value is not None}
        reply = yield from exchange(
            self.session,
            "POST",
            "/v1/feedback",
            deadline=self.session.deadline(timeout_s),
            content=json.dumps(said).encode(),
        )
        return read_answer(reply.body, learned)

    def forget(self, entry_id: str, *, timeout_s: float | None) -> Steps[None]:
        """Forget the message of an entry. Where an answer was lost, that it is not there any more is success."""
        yield from exchange(
            self.session,
            "DELETE",
            f"/v1/feedback/{quote(entry_id, safe='')}",
            deadline=self.session.deadline(timeout_s),
            accept=lambda status, repeated: status == 404 and repeated,
        )

    def feedback(self, *, limit: int, before: str | None, timeout_s: float | None) -> Steps[FeedbackPage]:
        """Look at the journal, newest first."""
        query = {"limit": str(limit)} | ({} if before is None else {"before": before})
        reply = yield from exchange(
            self.session, "GET", f"/v1/feedback?{urlencode(query)}", deadline=self.session.deadline(timeout_s)
        )
        return read_answer(reply.body, feedback_page)

    def model(self, *, timeout_s: float | None) -> Steps[ModelInfo]:
        """Ask what is in service."""
        reply = yield from exchange(self.session, "GET", "/v1/model", deadline=self.session.deadline(timeout_s))
        return read_answer(reply.body, model_info)


def _encoded(mail: Mail) -> str | ClientError:
    try:
        return base64.b64encode(raw_bytes(mail)).decode("ascii")
    except ClientError as error:
        return error


def _size_bytes(batch: Iterable[str | ClientError]) -> int:
    return sum(len(one) + _OVERHEAD_BYTES for one in batch if not isinstance(one, ClientError))
