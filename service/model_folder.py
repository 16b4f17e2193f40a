"""The versions of the model: which there are, which one the file `active` names, and loading one; from a folder.

Every method reads files, and the first call imports torch: call them outside the event loop.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from classifier.errors import ArtifactCorruptError, ArtifactError
from service.models import Classifier
from service.settings import Settings

LoadClassifier = Callable[[Settings, Path], Classifier]

_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


class ModelVersions(Protocol):
    """Where versions are: ModelFolder, whose methods say what each does, or service.model_store.ModelStore."""

    def active_version(self) -> str: ...
    def active_state(self) -> object: ...
    def set_active(self, version: str) -> bool: ...
    def remember(self, version: str) -> None: ...
    def load(self, version: str) -> Classifier: ...
    def names(self) -> list[str]: ...
    def describe_all(self) -> list[dict[str, Any]]: ...


def model_versions(settings: Settings, load: LoadClassifier) -> ModelVersions:
    """Return the versions that HAMLET_MODELS names; nothing is read yet."""
    if isinstance(settings.models, str):
        from service.model_store import ModelStore

        return ModelStore(settings, settings.models, load)
    return ModelFolder(settings, settings.models, load)


class ModelFolder:
    """The versions that can be served. A version is immutable, so what is found out about it once stays true."""

    def __init__(self, settings: Settings, path: Path | None, load: LoadClassifier) -> None:
        """Serve from a folder, or from the bundled one."""
        self._settings = settings
        self._path = path
        self._load = load
        self._described: dict[str, tuple[object, dict[str, Any]]] = {}

    @property
    def path(self) -> Path:
        """The folder."""
        if self._path is not None:
            return self._path
        from classifier.artifact import bundled_models

        return bundled_models()

    def active_version(self) -> str:
        """Return the version that the file `active` names.

        Raises:
            ArtifactError: it names none.
        """
        from classifier.artifact import active_folder

        return active_folder(self.path).name

    def active_state(self) -> object:
        """Return something that differs whenever the file `active`, or the version it names, was written anew."""
        active = self.path / "active"
        try:
            manifest = self.path / active.read_text(encoding="utf-8", errors="replace").strip()[:255] / "manifest.json"
        except OSError:
            return None
        return _state_of(active), _state_of(manifest)

    def set_active(self, version: str) -> bool:
        """Name a version in the file `active`, in one step; return False where the folder cannot be written.

        Raises:
            OSError: it can be written, and writing failed all the same.
        """
        from classifier.artifact import activate

        try:
            if self.active_version() == version:
                return True
        except ArtifactError:
            pass
        try:
            activate(self.path, version)
        except OSError as error:
            if error.errno in _NOT_WRITABLE:
                return False
            raise
        return True

    def remember(self, version: str) -> None:
        """Take note that a version is in service: the file `active` does that here."""

    def load(self, version: str) -> Classifier:
        """Load a version, every byte of it verified, ready to be warmed up.

        Raises:
            ArtifactError: it cannot be used.
        """
        return self._load(self._settings, self.path / version)

    def names(self) -> list[str]:
        """Return the names of the versions, in order. What begins with a dot is being written."""
        try:
            return sorted(entry.name for entry in self.path.iterdir() if entry.name[0] != "." and entry.is_dir())
        except OSError:
            return []

    def describe_all(self) -> list[dict[str, Any]]:
        """Return for each version what GET /v1/models shows, except whether it is active."""
        found = {}
        for name in self.names():
            folder = self.path / name
            state = sorted((path.name, _state_of(path)) for path in folder.iterdir())
            known = self._described.get(name)
            found[name] = known if known and known[0] == state else (state, described_folder(folder))
        self._described = found
        return [description for _, description in found.values()]


def load_version(settings: Settings, folder: Path) -> Classifier:
    """Load the version in a folder; torch is imported here and not before.

    Raises:
        ArtifactError: the folder cannot be used, or holds another version than its name says.
    """
    from classifier.message import ParseLimits
    from classifier.pipeline import SpamClassifier

    limits = ParseLimits(
        max_parts=settings.max_mime_parts,
        max_depth=settings.max_mime_depth,
        max_decoded_bytes=settings.max_decoded_bytes,
    )
    classifier = SpamClassifier.load(folder, limits=limits)
    _check_name(folder, classifier.version)
    return classifier


def described_folder(folder: Path) -> dict[str, Any]:
    """Return what GET /v1/models shows of a version, every byte of it verified, or what is wrong with it."""
    from classifier.artifact import load_artifact

    try:
        artifact = load_artifact(folder)
        _check_name(folder, artifact.version)
    except ArtifactError as error:
        return {"version": folder.name, "error": str(error)}
    thresholds = {"ham_below": artifact.thresholds.ham_below, "spam_from": artifact.thresholds.spam_from}
    return described(artifact.version, artifact.digest, thresholds, artifact.card.get("measures"))


def described(version: str, digest: str, thresholds: dict[str, float], measures: object) -> dict[str, Any]:
    """Return what GET /v1/models shows of a version that can be served, except whether it is active."""
    return {"version": version, "digest": digest, "thresholds": thresholds, "metrics": measures}


def _check_name(folder: Path, version: str) -> None:
    if version != folder.name:
        raise ArtifactCorruptError(f"{folder} holds version {version}: a folder has the name of its version")


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
