"""That feedback cannot be kept or read now. Loads without a database library, since every error is known to the web."""

from classifier.errors import HamletError

RETRY_AFTER_S = 5


class FeedbackUnavailableError(HamletError):
    """The journal cannot be written or read now; predictions are not affected."""

    def __init__(self, message: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
