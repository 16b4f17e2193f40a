"""The field in a mail's header that tells what was said of it, whichever way the mail came here."""

# In rspamd's replies and in what `python -m service score --header` writes.
VERDICT_FIELD = "X-Hamlet"


def verdict_field(verdict: str, spam_probability: float, version: str) -> str:
    """Return the value of the field, ASCII as long as the version is."""
    return f"{verdict}; probability={spam_probability:.4f}; model={version}"
