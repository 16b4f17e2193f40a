"""Brings the tables of a database to what this version needs."""

from pathlib import Path

from sqlalchemy import Connection

from service.feedback.errors import FeedbackUnavailableError

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> list[str]:
    """Run the migrations that are missing; return their numbers.

    Args:
        connection: in a transaction that no other process can have at the same time, see Database.writing: the
            processes of a service start together, and all but the first find the work done.

    Raises:
        FeedbackUnavailableError: the database was made by a newer version.
    """
    # Alembic takes 0.1 s to load, so it is loaded in the thread that migrates, once the service can answer.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS))
    context = MigrationContext.configure(connection)
    current = context.get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise FeedbackUnavailableError(
            f"The feedback database has tables of revision {current}, which this version does not know; "
            "run the version that made them, or a newer one."
        )
    missing = list(scripts.iterate_revisions("head", current or "base"))
    for script in reversed(missing):
        with Operations.context(context):
            script.module.upgrade()
        context.stamp(scripts, script.revision)
    return [script.revision for script in reversed(missing)]
