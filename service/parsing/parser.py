"""Where mail is parsed and tokenised: in a process of its own where there is one, else in a thread."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from classifier.errors import MessageError
from classifier.message import MailFields
from service.errors import ApiError, ErrorCode, message_refusal
from service.models import ActiveModel, Prepared
from service.parsing.jobs import Answer, Failed, Refused
from service.parsing.process import NoParseProcessError, ParseProcess, ParseProcessDiedError

log = logging.getLogger(__name__)

Returned = TypeVar("Returned")

# Larger ones are parsed in a thread, so that small ones pass them; their decoding takes too long for the event loop.
MOST_BYTES_FOR_PROCESS = 256 * 1024
FAILED = "The service failed to read this message; its neighbours are not affected."
DIED = "The process that read this message, or one sent with it, died of it; send them one by one."


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of a request, not decoded yet: what it weighs, and how to get it (raises ApiError)."""

    size_bytes: int
    read: Callable[[], bytes | MailFields]


class Parser:
    """Decodes and parses for the event loop, which does neither, but for the decoding of what is small."""

    def __init__(self, threads: int, process: ParseProcess | None = None) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="parse")
        self._process = process

    async def run(self, job: Callable[[], Returned]) -> Returned:
        """Run a job in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    async def prepare(self, model: ActiveModel, mails: Sequence[Mail], *, explain: bool) -> list[Prepared | ApiError]:
        """Return each mail as the model reads it, in order, or what is wrong with it and nobody else's."""
        reader = model.classifier.reader
        if (
            self._process is None
            or reader is None
            or explain
            or sum(mail.size_bytes for mail in mails) > MOST_BYTES_FOR_PROCESS
        ):
            return await self.run(partial(_prepare_here, model, mails, explain))
        decoded = [_decoded(mail) for mail in mails]
        readable = [one for one in decoded if not isinstance(one, ApiError)]
        try:
            answers = iter(await self._process.prepare(reader, readable) if readable else ())
        except NoParseProcessError:
            return await self.run(partial(_prepare_here, model, mails, explain))
        except ParseProcessDiedError:
            died = ApiError(ErrorCode.PREDICTION_FAILED, DIED)
            return [one if isinstance(one, ApiError) else died for one in decoded]
        return [one if isinstance(one, ApiError) else _said(next(answers)) for one in decoded]

    async def stop(self) -> None:
        """Let the threads end after the jobs that they run, and the process at once."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            await self._process.stop()


def _decoded(mail: Mail) -> bytes | MailFields | ApiError:
    try:
        return mail.read()
    except ApiError as error:
        return error


def _said(answer: Answer) -> Prepared | ApiError:
    if isinstance(answer, Refused):
        return message_refusal(answer.code, answer.sentence)
    if isinstance(answer, Failed):
        log.error("a message could not be prepared: %s", answer.error)
        return ApiError(ErrorCode.PREDICTION_FAILED, FAILED)
    return answer


def _prepare_here(model: ActiveModel, mails: Sequence[Mail], explain: bool) -> list[Prepared | ApiError]:
    """Decode, parse and tokenise in this thread."""
    prepare = model.classifier.prepare_to_explain if explain else model.classifier.prepare
    prepared: list[Prepared | ApiError] = []
    for mail in mails:
        try:
            prepared.append(prepare(mail.read()))
        except ApiError as error:
            prepared.append(error)
        except MessageError as error:
            prepared.append(message_refusal(error.code, str(error)))
        except Exception as error:
            log.error("a message could not be prepared", exc_info=error)
            prepared.append(ApiError(ErrorCode.PREDICTION_FAILED, FAILED))
    return prepared
