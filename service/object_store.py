"""A folder in an object store (S3, Google Cloud Storage), through fsspec; whatever goes wrong is an ArtifactError."""

from typing import Any

from classifier.errors import ArtifactAwayError, ArtifactDeniedError, ArtifactMissingError

# A store that does not answer is told of soon, and asked again at the next look.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 3, "read_timeout": 20, "retries": {"max_attempts": 1}}},
    "gs": {"requests_timeout": 20},
}
# What stores call the identity of one writing of an object.
_STATE = ("ETag", "LastModified", "etag", "generation", "mtime", "size")


class ObjectStore:
    """Reads and writes below one URL. Credentials and endpoints are taken from where the store's own tools take them.

    Every method may raise ArtifactAwayError (the store cannot be reached, or fails) and ArtifactDeniedError.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._scheme, _, self._root = self.url.partition("://")
        self._opened: Any = None

    def read(self, name: str) -> bytes:
        """Return the content of an object.

        Raises:
            ArtifactMissingError: there is none of that name.
        """
        content: bytes = self._call("cat_file", name)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object, which is there whole or not at all."""
        self._call("pipe_file", name, content)

    def state(self, name: str) -> object:
        """Return something that differs whenever the object was written anew.

        Raises:
            ArtifactMissingError: there is none of that name.
        """
        return _state_of(self._call("info", name))

    def folders(self) -> list[str]:
        """Return the names of the folders, in order."""
        entries = self._call("ls", "", detail=True)
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory")

    def files(self, folder: str) -> dict[str, object]:
        """Return the names of the objects in a folder, and the state of each."""
        entries = self._call("ls", folder, detail=True)
        return {entry["name"].rpartition("/")[2]: _state_of(entry) for entry in entries if entry["type"] != "directory"}

    def _call(self, method: str, name: str, *arguments: Any, **named: Any) -> Any:
        where = f"{self.url}/{name}".rstrip("/")
        try:
            return getattr(self._filesystem(), method)(f"{self._root}/{name}".rstrip("/"), *arguments, **named)
        except FileNotFoundError as error:
            raise ArtifactMissingError(f"there is no {where}") from error
        except PermissionError as error:
            raise ArtifactDeniedError(f"{where} may not be used with these credentials: {error}") from error
        except Exception as error:  # each store has its own errors, and none of them may take a model out of service
            raise ArtifactAwayError(
                f"{where} cannot be reached now: {type(error).__name__}: {str(error)[:300]}"
            ) from error

    def _filesystem(self) -> Any:
        if self._opened is None:
            import fsspec

            self._opened = fsspec.filesystem(
                self._scheme, skip_instance_cache=True, use_listings_cache=False, **_OPTIONS[self._scheme]
            )
            self._opened.retries = 1  # s3fs would try five times, in 6 s and more
        return self._opened


def _state_of(entry: dict[str, Any]) -> object:
    return tuple(str(entry[key]) for key in _STATE if key in entry)
