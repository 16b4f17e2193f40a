"""URLs of folders in object stores, whose schemes service and training share. Nothing is opened here."""

from importlib.util import find_spec

from classifier.errors import ConfigError

# The package through which fsspec reads each scheme.
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}


def check_store_url(url: str) -> None:
    """Check that this installation can read from a URL.

    Raises:
        ConfigError: it is of no known scheme, names no bucket, or its package is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _PACKAGES:
        known = " or ".join(f"{known}://" for known in _PACKAGES)
        raise ConfigError(f"{url!r:.200} is neither a folder nor a URL that begins with {known}")
    if not rest.strip("/"):
        raise ConfigError(f"{url!r} names no bucket; write {scheme}://bucket/folder")
    if find_spec(_PACKAGES[scheme]) is None:
        raise ConfigError(f"{scheme}:// needs the package {_PACKAGES[scheme]}: pip install 'hamlet[object-store]'")
