"""`python -m service export`: the journal on standard output, read from its database while no service runs."""

import asyncio
import sys

from service.feedback.errors import FeedbackUnavailableError
from service.feedback.export import Wanted
from service.feedback.store import FeedbackStore
from service.settings import Settings
from service.state import feedback_store


def export_journal(settings: Settings) -> int:
    """Write what `GET /v1/feedback/export` answers, forgotten ids with it; return 0, or 1 where it cannot be read."""
    try:
        asyncio.run(_write(feedback_store(settings)))
    except FeedbackUnavailableError as error:
        print(f"hamlet: {error}", file=sys.stderr)
        return 1
    return 0


async def _write(store: FeedbackStore) -> None:
    try:
        async for lines in await store.export(Wanted(forgotten=True)):
            sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
    finally:
        await store.stop()
