"""Which database a URL means, checked with the other settings: without a database library, before anything starts."""

import importlib.util
from urllib.parse import urlsplit

from classifier.errors import ConfigError

POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
_DRIVER = "psycopg"


def check_database_url(url: str) -> None:
    """Refuse a URL that no feedback can be kept at.

    Raises:
        ConfigError: says what is missing; the URL is not quoted, it may hold a password.
    """
    try:
        parsed = urlsplit(url)
        _ = parsed.port
    except ValueError:
        raise ConfigError("it is no URL; write sqlite:///path or postgresql://user@host/name") from None
    if parsed.scheme in POSTGRES:
        if importlib.util.find_spec(_DRIVER) is None:
            raise ConfigError(f"PostgreSQL needs the package {_DRIVER}: pip install 'hamlet[postgres]'")
    elif parsed.scheme != "sqlite" or parsed.netloc or parsed.path.strip("/") in ("", ":memory:"):
        raise ConfigError(
            "it must begin with sqlite:/// and the path of a file, or with postgresql://; "
            "nothing else keeps feedback on disk"
        )
