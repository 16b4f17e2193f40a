"""The journal on its own: migrations, retention, bytes that are gone, and databases that fail."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from service.feedback import journal
from service.feedback.database import Database, default_path, open_database
from service.feedback.errors import FeedbackUnavailableError
from service.feedback.export import Wanted
from service.feedback.migrate import migrate
from service.feedback.report import Label, Report, StoredMessage
from service.feedback.sqlite import SqliteDatabase
from service.feedback.store import FeedbackStore
from service.feedback.tables import metadata
from tests.service.conftest import OpenApp
from tests.service.fakes import until

ROOT = Path(__file__).parents[2]
START_PROCESS = """
import sys
from service.feedback.database import open_database
from service.feedback.migrate import migrate
sys.stdin.readline()
database = open_database(sys.argv[1], connections=1, timeout_s=20)
database.prepare()
with database.writing() as connection:
    print(len(migrate(connection)))
"""


def report(content: bytes, label: Label = "spam", reporter: str | None = None) -> Report:
    return Report(StoredMessage("raw", content), label, reporter)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with the tables in it."""
    opened = open_database(database_url, connections=2, timeout_s=5)
    opened.prepare()
    with opened.writing() as connection:
        migrate(connection)
    yield opened
    opened.close()


def open_store(database: Database, **settings: float) -> FeedbackStore:
    return FeedbackStore(database, connections=2, timeout_s=5, retention_days=30, **settings)


async def until_no(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something does not hold any more; threads of the store work on it."""
    async with asyncio.timeout(10):
        while await holds():  # noqa: ASYNC110 - threads and files, which set no event
            await asyncio.sleep(0.01)


async def all_lines(store: FeedbackStore, wanted: Wanted) -> list[dict[str, object]]:
    return [json.loads(line) async for page in await store.export(wanted) for line in page.splitlines()]


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    """What the queries are written against is what the migrations leave: nothing to add, nothing left over."""
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    """Of eight that begin at the same moment with an empty database, one makes the tables and none fails."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START_PROCESS, database_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert sorted(outputs) == ["0"] * 7 + ["1"]


async def test_tables_of_a_newer_version_are_left_alone(database: Database) -> None:
    """The sentence says which revision is there; nothing is written to tables that we do not know."""
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store = open_store(database)
    with pytest.raises(FeedbackUnavailableError, match="revision 9999"):
        await store.learn(report(b"x"))
    await store.stop()


async def test_messages_that_are_old_are_forgotten(database: Database) -> None:
    """A message goes when the last thing said of it is too old; one that was said again lately stays, with its past."""
    store = open_store(database)
    old, again, new = [await store.learn(report(name)) for name in (b"old", b"again", b"new")]
    with database.writing() as connection:
        for entry in (old, again):
            aged = text("UPDATE feedback_entries SET created_at = '2001-02-03 04:05:06' WHERE id = :id")
            connection.execute(aged, {"id": entry.id})
    second = await store.learn(report(b"again", "ham"))
    store.start()

    async def four_entries() -> bool:
        return len(await all_lines(store, Wanted(history=True))) == 4

    await until_no(four_entries)
    lines = await all_lines(store, Wanted(history=True))
    assert [line["id"] for line in lines] == [again.id, new.id, second.id]
    traces = await all_lines(store, Wanted(forgotten=True))
    assert [line["id"] for line in traces if "forgotten_at" in line] == [old.id]
    await store.stop()


async def test_traces_of_forgotten_messages_go_after_the_same_time(database: Database) -> None:
    """That there was an entry is not kept for ever either."""
    store = open_store(database, maintenance_s=0.05)
    learned = await store.learn(report(b"x"))
    assert await store.forget(learned.id) == "spam"
    with database.writing() as connection:
        connection.execute(text("UPDATE feedback_entries SET forgotten_at = '2001-02-03 04:05:06'"))
    store.start()

    async def traces() -> bool:
        return bool(await all_lines(store, Wanted(forgotten=True)))

    await until_no(traces)
    await store.stop()


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A SQLite file in a folder of its own."""
    database = SqliteDatabase(tmp_path / "own" / "feedback.db", connections=2, timeout_s=5)
    database.prepare()
    with database.writing() as connection:
        migrate(connection)
    yield database
    database.close()


def test_of_a_thousand_messages_nine_hundred_leave_no_byte(sqlite: SqliteDatabase) -> None:
    """Deleted in any order, nothing of them or their reporters is in the file, its free pages and gaps, or the log.

    This order leaves traces of two of them when the file is not rewritten (SQLite 3.40), though secure_delete is on.
    """
    choose = random.Random(4)
    with sqlite.writing() as connection:
        learned = [
            journal.learn(connection, report(b"<m%07d>" % n * (choose.randint(50, 1000) // 10), reporter=f"<r{n:07}>"))
            for n in range(1000)
        ]
    order = list(range(1000))
    choose.shuffle(order)
    gone, kept = order[:900], order[900:]
    seen = bytes_in(sqlite.path.parent)
    assert all(b"<m%07d>" % n in seen and b"<r%07d>" % n in seen for n in order)
    for n in gone:
        with sqlite.writing() as connection:
            assert journal.forget(connection, learned[n].id) == "spam"
            sqlite.note_erased(connection)
    sqlite.purge()
    seen = bytes_in(sqlite.path.parent)
    assert [n for n in gone if b"<m%07d>" % n in seen or b"<r%07d>" % n in seen] == []
    assert all(b"<m%07d>" % n in seen and b"<r%07d>" % n in seen for n in kept)


async def test_what_a_crash_left_is_purged_at_the_next_start(sqlite: SqliteDatabase) -> None:
    """Killed between the deletion and the purge, the file says so itself, and the next process does it."""
    with sqlite.writing() as connection:
        learned = journal.learn(connection, report(b"<remember me>" * 50))
        journal.learn(connection, report(b"stays"))
    with sqlite.writing() as connection:
        journal.forget(connection, learned.id)
        sqlite.note_erased(connection)
    assert b"<remember me>" in bytes_in(sqlite.path.parent)
    store = open_store(SqliteDatabase(sqlite.path, connections=1, timeout_s=5))
    store.start()

    async def remembered() -> bool:
        return b"<remember me>" in bytes_in(sqlite.path.parent)

    await until_no(remembered)
    await store.stop()


async def test_forgetting_is_not_said_to_be_done_while_the_log_is_being_read(sqlite: SqliteDatabase) -> None:
    """A reader that stays keeps old pages in the log: a sentence says so, and the next purge finishes it."""
    store = open_store(SqliteDatabase(sqlite.path, connections=2, timeout_s=0.2))
    learned = await store.learn(report(b"<remember me>" * 50))
    with sqlite.reading() as connection:
        connection.execute(text("SELECT count(*) FROM feedback_entries")).all()
        with pytest.raises(FeedbackUnavailableError, match="deleted"):
            await store.forget(learned.id)
    assert await store.forget(learned.id) is None
    assert b"<remember me>" not in bytes_in(sqlite.path.parent)
    await store.stop()


def test_the_file_is_for_its_owner_alone(sqlite: SqliteDatabase) -> None:
    """It holds people's mail: neither group nor others may read it or its log, whatever the umask."""
    with sqlite.writing() as connection:
        journal.learn(connection, report(b"x"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in sqlite.path.parent.iterdir()}
    assert "feedback.db-wal" in modes
    assert set(modes.values()) == {0o600}


def test_a_commit_is_on_disk(sqlite: SqliteDatabase) -> None:
    """Every connection waits for fsync at each commit (2 is FULL) and overwrites what is deleted."""
    with sqlite.reading() as one, sqlite.reading() as other:
        for connection in (one, other):
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def test_without_a_setting_the_file_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No set-up is needed; the folder is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    database = open_database(None, connections=1, timeout_s=1)
    database.prepare()
    assert default_path() == tmp_path / ".local/state/hamlet/feedback.db"
    assert default_path().exists()
    database.close()


async def test_no_place_for_feedback_costs_feedback_alone(open_app: OpenApp, tmp_path: Path) -> None:
    """Where the file cannot be made, feedback is 503 with a sentence; the service is ready and scores."""
    (tmp_path / "file").write_text("in the way")
    async with open_app(database_url=f"sqlite:///{tmp_path}/file/feedback.db") as (client, state):
        await until(lambda: state.feedback.problem is not None)
        said = await client.post("/v1/feedback", json={"raw": "Subject: x\r\n\r\nx", "label": "ham"})
        assert (said.status_code, said.json()["error"]["code"]) == (503, "feedback_unavailable")
        assert int(said.headers["Retry-After"]) >= 1
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/v1/predict/raw", content=b"x")).status_code == 200
        assert (await client.get("/health")).json()["feedback"]["problem"] == said.json()["error"]["message"]


async def test_a_file_that_is_no_database_is_left_alone(open_app: OpenApp, tmp_path: Path) -> None:
    """Whatever it is, it is not overwritten; feedback is refused."""
    path = tmp_path / "damaged.db"
    path.write_bytes(os.urandom(8192))
    before = path.read_bytes()
    async with open_app(database_url=f"sqlite:///{path}") as (client, _):
        said = await client.post("/v1/feedback", json={"raw": "Subject: x\r\n\r\nx", "label": "ham"})
    assert (said.status_code, said.json()["error"]["code"]) == (503, "feedback_unavailable")
    assert path.read_bytes() == before
