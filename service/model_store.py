"""Versions of the model in an object store, fetched into a folder on this machine by digest.

<url>/active                     one line: the version in service, and its digest where whoever wrote it gave one
<url>/<version>/manifest.json    and the files that it names, as in a folder of versions (classifier.artifact)

<cache>/<hash of url>/active                    what was in service last, to begin with while the store is away
                     /<digest>/<version>/...    copies, every file with the hash of its manifest

Every method reads files and waits for the store: call them outside the event loop.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from classifier.errors import (
    ArtifactAwayError,
    ArtifactCorruptError,
    ArtifactDeniedError,
    ArtifactError,
    ArtifactMissingError,
)
from service.model_folder import LoadClassifier, described, described_folder
from service.models import Classifier
from service.object_store import ObjectStore
from service.settings import Settings

log = logging.getLogger(__name__)

_ACTIVE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:\s+(sha256:[0-9a-f]{64}))?")
_MANIFEST = "manifest.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEPT_COPIES = 5
_FETCHING = ".fetching-"
_LEFT_BEHIND_S = 3600  # no fetch takes so long


class ModelStore:
    """The versions that can be served. A store that is away leaves all that was fetched usable."""

    def __init__(self, settings: Settings, url: str, load: LoadClassifier) -> None:
        self._settings = settings
        self._store = ObjectStore(url)
        self._load = load
        cache = settings.models_cache or Path("~/.cache/hamlet/models").expanduser()
        self._folder = cache / hashlib.sha256(self._store.url.encode()).hexdigest()[:16]
        self._digests: dict[str, str] = {}  # of versions, as the file active or a load has told
        self._described: dict[str, tuple[object, dict[str, Any]]] = {}
        self._reached = False

    def active_version(self) -> str:
        """Return the version that the file `active` names; before the store was reached once, the last one from here.

        Raises:
            ArtifactError: it names none, or the store cannot be reached.
        """
        try:
            text = self._store.read("active").decode("utf-8", "replace").strip()
        except ArtifactAwayError as error:
            last = None if self._reached else self._last()
            if last is None:
                raise
            log.warning("the model store is away, beginning with the version served last: %s", error)
            text = last
        except ArtifactMissingError as error:
            raise ArtifactMissingError(
                f"{self._store.url} names no active model: expected {self._store.url}/active with one line, the version"
            ) from error
        else:
            self._reached = True
        found = _ACTIVE.fullmatch(text)
        if not found:
            raise ArtifactCorruptError(
                f"{self._store.url}/active must hold the name of a version in one line, and may hold its digest "
                f"(sha256:...) after it, got {text!r:.200}"
            )
        version, digest = found.groups()
        self._digests.pop(version, None)
        if digest:
            self._digests[version] = digest
        return str(version)

    def active_state(self) -> object:
        """Return something that differs whenever the file `active` was written anew; None while the store is away."""
        try:
            state = self._store.state("active")
        except ArtifactError:
            return None
        self._reached = True
        return state

    def set_active(self, version: str) -> bool:
        """Name a version and its digest in the file `active`; return False where the store cannot be written.

        Raises:
            ArtifactAwayError: the store cannot be reached.
        """
        digest = self._digests.get(version, "")
        with contextlib.suppress(ArtifactMissingError, ArtifactCorruptError):
            if self.active_version() == version:
                return True
        try:
            self._store.write("active", f"{version} {digest}".strip().encode() + b"\n")
        except ArtifactDeniedError:
            return False
        return True

    def remember(self, version: str) -> None:
        """Begin with this version next time, should the store be away then."""
        beside = self._folder / f".active-{os.getpid()}"
        try:
            beside.write_text(f"{version} {self._digests.get(version, '')}".strip() + "\n")
            os.replace(beside, self._folder / "active")
        except OSError as error:
            log.warning("the version in service could not be remembered in %s: %s", self._folder, error)

    def load(self, version: str) -> Classifier:
        """Fetch a version unless it is here, and load it, every byte verified, ready to be warmed up.

        Raises:
            ArtifactError: it cannot be used.
        """
        folder, is_new = self._fetched(version)
        try:
            classifier = self._load(self._settings, folder)
        except (ArtifactCorruptError, ArtifactMissingError):
            if is_new:
                raise
            log.warning("a copy of %s was damaged and is fetched again", version)
            shutil.rmtree(folder, ignore_errors=True)
            classifier = self._load(self._settings, self._fetched(version)[0])
        self._digests[version] = classifier.digest
        return classifier

    def names(self) -> list[str]:
        """Return the names of the versions, in order; while the store is away, of those that are here."""
        try:
            return [name for name in self._store.folders() if _FILE_NAME.fullmatch(name)]
        except ArtifactError:
            return sorted({folder.name for folder in self._copies()})

    def describe_all(self) -> list[dict[str, Any]]:
        """Return for each version what GET /v1/models shows, except whether it is active.

        Weights are not fetched for this: what they are is verified when a version is put into service.
        """
        found: dict[str, tuple[object, dict[str, Any]]] = {}
        try:
            for name in self.names():
                files = self._store.files(name)
                known = self._described.get(name)
                found[name] = known if known and known[0] == files else (files, self._describe(name, set(files)))
        except ArtifactError as error:
            log.warning("the versions that are here are listed alone: %s", error)
            return [described_folder(folder) for folder in sorted(self._copies(), key=lambda folder: folder.name)]
        self._described = found
        return [description for _, description in found.values()]

    def _describe(self, version: str, present: set[str]) -> dict[str, Any]:
        try:
            hashes, digest = _parsed(manifest := self._store.read(f"{version}/{_MANIFEST}"), self._place(version))
            if missing := set(hashes) - present:
                raise ArtifactMissingError(f"{self._place(version)} lacks {', '.join(sorted(missing))}")
            config, card = (
                json.loads(self._verified(version, name, hashes.get(name))) for name in ("config.json", "card.json")
            )
            return described(json.loads(manifest)["version"], digest, config["thresholds"], card.get("measures"))
        except ArtifactAwayError:
            raise
        except ArtifactError as error:
            return {"version": version, "error": str(error)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"version": version, "error": f"{self._place(version)} makes no sense: {error!r:.200}"}

    def _fetched(self, version: str) -> tuple[Path, bool]:
        """Return the copy of a version on this machine, and whether it was made just now."""
        wanted = self._digests.get(version)
        try:
            manifest = self._store.read(f"{version}/{_MANIFEST}")
        except ArtifactAwayError:
            copies = [one for one in self._copies() if one.name == version and wanted in (None, _digest_of(one))]
            if not copies:
                raise
            return copies[0], False
        hashes, digest = _parsed(manifest, self._place(version))
        if wanted not in (None, digest):
            raise ArtifactCorruptError(
                f"{self._place(version)} has the digest {digest}, wanted was {wanted}: a version never changes, "
                "publish it under another name"
            )
        folder = self._folder / digest.partition(":")[2] / version
        if folder.is_dir():
            return folder, False
        try:
            self._fetch(version, manifest, hashes, folder)
        except OSError as error:
            raise ArtifactMissingError(
                f"{self._place(version)} could not be kept in {self._folder}: {error}; HAMLET_MODELS_CACHE names "
                "another folder"
            ) from error
        return folder, True

    def _fetch(self, version: str, manifest: bytes, hashes: dict[str, str], folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._tidy(folder.parent)
        beside = Path(tempfile.mkdtemp(prefix=_FETCHING, dir=self._folder))
        try:
            for name, sha256 in hashes.items():
                (beside / name).write_bytes(self._verified(version, name, sha256))
            (beside / _MANIFEST).write_bytes(manifest)
            os.replace(beside, folder)
        except OSError:
            if not (folder / _MANIFEST).exists():  # else another process was faster, and its copy is the same
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        log.info("model fetched", extra={"fields": {"version": version, "from": self._store.url}})

    def _verified(self, version: str, name: str, wanted: str | None) -> bytes:
        content = self._store.read(f"{version}/{name}")
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise ArtifactCorruptError(
                f"{self._place(version)}/{name} is not what was published: sha256 wanted {wanted}, found {found}"
            )
        return content

    def _tidy(self, needed: Path) -> None:
        """Remove the oldest copies, and what a fetch that was killed has left."""
        entries = [path for path in self._folder.iterdir() if path.is_dir() and path != needed]
        entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        copies = [path for path in entries if not path.name.startswith(_FETCHING)]
        left = [path for path in entries if path.name.startswith(_FETCHING)]
        old = [path for path in left if path.stat().st_mtime < time.time() - _LEFT_BEHIND_S]
        for path in (*copies[_KEPT_COPIES - 1 :], *old):
            shutil.rmtree(path, ignore_errors=True)

    def _copies(self) -> list[Path]:
        """The folders of versions that are here, the latest first."""
        copies = [path.parent for path in self._folder.glob(f"[!.]*/*/{_MANIFEST}")]
        return sorted(copies, key=lambda path: path.stat().st_mtime, reverse=True)

    def _last(self) -> str | None:
        try:
            return (self._folder / "active").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def _place(self, version: str) -> str:
        return f"{self._store.url}/{version}"


def _parsed(manifest: bytes, place: str) -> tuple[dict[str, str], str]:
    """Return the sha256 of each file, and the digest of the version."""
    try:
        hashes = {str(name): str(sha256) for name, sha256 in json.loads(manifest)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactCorruptError(f"{place}/{_MANIFEST} is no manifest: {error!r:.200}") from error
    if not all(_FILE_NAME.fullmatch(name) for name in hashes):
        raise ArtifactCorruptError(f"{place}/{_MANIFEST} names files that no version has: {sorted(hashes)!r:.200}")
    return hashes, f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def _digest_of(copy: Path) -> str:
    return f"sha256:{copy.parent.name}"
