"""Mail is parsed in a process of its own, as it would be in a thread; what kills the process harms that mail alone."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from classifier.encoding import PreparedMessage
from classifier.errors import EmptyMessageError
from classifier.message import MailFields
from classifier.pipeline import SpamClassifier
from service.errors import ApiError, ErrorCode
from service.models import ActiveModel
from service.parsing.jobs import Failed, Refused
from service.parsing.parser import MOST_BYTES_FOR_PROCESS, Mail, Parser
from service.parsing.process import NoParseProcessError, ParseProcess, ParseProcessDiedError
from tests.classifier.models import small_artifact
from tests.conftest import mail_files
from tests.service.fakes import FakeClassifier
from tests.service.process import Process
from tests.service.readers import Obedient
from tests.service.versions import Versions

PATIENCE_S = 60.0


@asynccontextmanager
async def running(stall_s: float = PATIENCE_S) -> AsyncIterator[ParseProcess]:
    """A process that is ready."""
    process = ParseProcess(stall_s)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await process.prepare(Obedient(), [b"x"])
                except NoParseProcessError:
                    await asyncio.sleep(0.01)
                else:
                    break
        yield process
    finally:
        await process.stop()


def given(mail: bytes | MailFields) -> Mail:
    """Return a mail as a request has it."""
    return Mail(len(mail) if isinstance(mail, bytes) else 1, lambda: mail)


def children(pid: int | None = None) -> list[psutil.Process]:
    """Return the parse processes of a process."""
    of_process = psutil.Process(pid).children()
    return [child for child in of_process if "service.parsing.child" in child.cmdline()]


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


async def test_mail_is_prepared_as_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mail of the tests, raw and as fields, gets the same ids, marks and errors, in order."""
    classifier = SpamClassifier(small_artifact())
    raws = [path.read_bytes() for path in mail_files("spam", "ham", "defects")]
    fields = [MailFields(subject="a", text="b", html="<p>c</p>"), MailFields()]
    model = ActiveModel(classifier)
    mails = [*map(given, raws), *map(given, fields), given(b"")]

    def refuse() -> bytes:
        raise ApiError(ErrorCode.INVALID_BASE64, "no base64")

    mails.insert(3, Mail(1, refuse))
    async with running() as process:
        in_process, in_thread = Parser(1, process), Parser(1)
        monkeypatch.setattr(in_process, "run", None)  # no thread helps it
        found = [await in_process.prepare(model, [mail], explain=False) for mail in mails]
        wanted = [await in_thread.prepare(model, [mail], explain=False) for mail in mails]
        for (one,), (other,) in zip(found, wanted, strict=True):
            if isinstance(other, ApiError):
                assert isinstance(one, ApiError)
                assert (one.code, str(one)) == (other.code, str(other))
            else:
                assert isinstance(one, PreparedMessage)
                assert one == other
        together = await in_process.prepare(model, mails[:5], explain=False)
        assert [isinstance(one, ApiError) for one in together] == [False, False, False, True, False]
        await in_thread.stop()
        await in_process.stop()


async def test_what_is_wrong_with_one_mail_is_its_answer() -> None:
    """Its neighbours are prepared, by the reader that was asked for, also where more than two take turns."""
    async with running() as process:
        answers = await process.prepare(Obedient(7), [b"", b"fail", b"four"])
        assert answers == [
            Refused(EmptyMessageError.code, "The message has no header and no body."),
            Failed("ZeroDivisionError('as told')"),
            PreparedMessage([4, 7], truncated=False, defects=("seen",)),
        ]
        readers = [Obedient(number) for number in range(5)]
        found = await asyncio.gather(*(process.prepare(readers[k % 5], [b"x" * k]) for k in range(1, 200)))
        assert [one.token_ids for (one,) in found if isinstance(one, PreparedMessage)] == [
            [k, k % 5] for k in range(1, 200)
        ]


async def test_large_and_explained_mail_is_for_threads() -> None:
    """It would keep small ones waiting; and what is explained is followed back to what is shown."""
    model = ActiveModel(SpamClassifier(small_artifact()))
    parser = Parser(1, ParseProcess(PATIENCE_S))
    large = b"Subject: x\n\n" + b"word " * (MOST_BYTES_FOR_PROCESS // 5 + 1)
    (prepared,) = await parser.prepare(model, [Mail(len(large), lambda: large)], explain=False)
    assert prepared == model.classifier.prepare(large)
    small = b"Subject: x\n\nhello"
    (explained,) = await parser.prepare(model, [given(small)], explain=True)
    assert explained == model.classifier.prepare_to_explain(small)
    assert not children(), "it was not needed"
    await parser.stop()


async def test_one_that_is_killed_is_replaced_and_nothing_is_lost() -> None:
    """kill -9 under load, five times: every mail gets its answer."""
    async with running() as process:
        reader = Obedient()
        for _ in range(5):
            waiting = [asyncio.create_task(process.prepare(reader, [b"x" * k])) for k in range(1, 300)]
            await waiting[20]
            for child in children():
                child.kill()
            found = await asyncio.gather(*waiting)
            assert [one.token_ids for (one,) in found if isinstance(one, PreparedMessage)] == [
                [k, 1] for k in range(1, 300)
            ]


async def test_a_mail_that_kills_it_twice_harms_no_other(tmp_path: Path) -> None:
    """The first death may be anybody's fault; at the second the mail is told, and the others are prepared."""
    async with running() as process:
        reader = Obedient()
        poison = [asyncio.create_task(process.prepare(reader, [b"die"])) for _ in range(2)]
        others = [asyncio.create_task(process.prepare(reader, [b"x" * k])) for k in range(1, 20)]
        once = asyncio.create_task(process.prepare(reader, [b"die once " + os.fsencode(tmp_path / "died")]))
        for one in poison:
            with pytest.raises(ParseProcessDiedError):
                await one
        assert [(await one)[0] for one in others] == [
            PreparedMessage([k, 1], truncated=False, defects=("seen",)) for k in range(1, 20)
        ]
        assert isinstance((await once)[0], PreparedMessage)
        model = ActiveModel(FakeClassifier(reader=reader))
        (told,) = await Parser(1, process).prepare(model, [Mail(3, lambda: b"die")], explain=False)
        assert isinstance(told, ApiError)
        assert told.code is ErrorCode.PREDICTION_FAILED


async def test_one_that_hangs_is_killed() -> None:
    """After the time for a stall, which counts for each mail anew."""
    async with running(stall_s=1.0) as process:
        hanging = asyncio.create_task(process.prepare(Obedient(), [b"hang"]))
        other = asyncio.create_task(process.prepare(Obedient(), [b"four"]))
        with pytest.raises(ParseProcessDiedError):
            await hanging
        assert (await other)[0] == PreparedMessage([4, 1], truncated=False, defects=("seen",))


async def test_what_nobody_waits_for_is_not_prepared() -> None:
    """Those that were withdrawn before they were sent are left out, and the others keep their answers."""
    async with running() as process:
        reader = Obedient()
        before = children()
        waiting = [asyncio.create_task(process.prepare(reader, [b"x" * k])) for k in range(1, 100)]
        withdrawn = asyncio.create_task(process.prepare(reader, [b"die"]))
        await asyncio.sleep(0)
        for one in (*waiting[::2], withdrawn):
            one.cancel()
        found = [(await one)[0] for one in waiting[1::2]]
        assert [one.token_ids[0] for one in found if isinstance(one, PreparedMessage)] == list(range(2, 100, 2))
        await process.prepare(reader, [b"x"])
        assert children() == before, "it was sent after all"


async def test_where_none_can_be_started_threads_do_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An interpreter that is not there, one that ends at once: mail is parsed all the same, and the log says why."""
    model = ActiveModel(SpamClassifier(small_artifact()))
    mail = Mail(10, lambda: b"Subject: x\n\nhello")
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\nexit 3\n")
    ends.chmod(0o755)
    for program, why in ((str(tmp_path / "absent"), "FileNotFoundError"), (str(ends), "exit code 3")):
        monkeypatch.setattr(sys, "executable", program)
        parser = Parser(1, ParseProcess(PATIENCE_S))
        for _ in range(20):
            assert await parser.prepare(model, [mail], explain=False) == [model.classifier.prepare(mail.read())]
            await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE_S):
            while why not in caplog.text:  # noqa: ASYNC110 - the end of another process
                await asyncio.sleep(0.01)
        await parser.stop()


def ignores(pid: int, *numbers: signal.Signals) -> bool:
    """Return whether a process ignores signals."""
    mask = int(re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[0], 16)
    return all(mask >> (number - 1) & 1 for number in numbers)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_service_and_not_before(versions: Versions, tmp_path: Path, end: signal.Signals) -> None:
    """However the service ends; a signal to the whole group, as a terminal sends it, leaves it to the service."""
    settings = {"HAMLET_PARSE_PROCESS": "true", "HAMLET_MODELS": str(versions.folder)}
    with Process(tmp_path / "stderr", **settings) as service:
        service.wait_until(service.ready)
        service.score(b"Subject: x\n\nhello")
        until(lambda: len(children(service.process.pid)) == 1)
        (child,) = children(service.process.pid)
        until(lambda: ignores(child.pid, signal.SIGINT, signal.SIGTERM))
        for number in (signal.SIGINT, signal.SIGTERM):
            child.send_signal(number)
        service.score(b"Subject: x\n\nhello")
        assert child.is_running()
        service.process.send_signal(end)
        service.process.wait(PATIENCE_S)
        until(lambda: not child.is_running())


def test_it_loads_neither_torch_nor_the_web() -> None:
    """It is small and starts fast."""
    code = "import sys, service.parsing.child; print(*({'torch', 'fastapi', 'starlette'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
