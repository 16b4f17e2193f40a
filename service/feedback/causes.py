"""What an error of the database means: for whoever sent feedback, and for the log."""

import errno

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from service.feedback.errors import RETRY_AFTER_S, FeedbackUnavailableError

_DISK_FULL = "The disk of the feedback database is full; make room there, then send this again."
_DISK_FAILED = "The disk of the feedback database is full or fails; see to it, then send this again."
_AWAY = f"The feedback database cannot be reached, or is too busy; send this again in {RETRY_AFTER_S} s."


def unavailable(error: Exception) -> FeedbackUnavailableError:
    """Return what an error of the database means for whoever sent the feedback."""
    cause = _driver_error(error)
    sqlite, postgres = getattr(cause, "sqlite_errorname", "") or "", getattr(cause, "sqlstate", "") or ""
    if sqlite == "SQLITE_FULL" or postgres == "53100" or getattr(cause, "errno", None) == errno.ENOSPC:
        return FeedbackUnavailableError(_DISK_FULL)
    if sqlite.startswith("SQLITE_IOERR"):
        return FeedbackUnavailableError(_DISK_FAILED)
    return FeedbackUnavailableError(_AWAY)


def cause_of(error: Exception) -> str:
    """Return what the driver says, for the log; only its kind where the text could quote what people sent."""
    cause = _driver_error(error)
    told = isinstance(error, OperationalError | InterfaceError | OSError) or error is cause
    return f"{type(cause).__name__}: {cause}" if told else type(cause).__name__


def _driver_error(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
