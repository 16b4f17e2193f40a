"""A trained model as a folder: written whole or not at all, hashed, immutable, verified before use.

<models>/active                     one line: the version in service
<models>/<version>/manifest.json    format, version, sha256 of each file below; its own sha256 is the digest
                   model.safetensors  weights, half precision
                   tokenizer.json
                   config.json        sizes, windows, calibration, thresholds
                   golden.json        messages and the probabilities they must get
                   card.json          data, split, seed, environment, measures
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from classifier.calibration import Calibration
from classifier.encoding import EncodingConfig
from classifier.errors import ArtifactCorruptError, ArtifactFormatError, ArtifactMissingError, HamletError
from classifier.network import NetworkConfig
from classifier.ngrams import NgramConfig
from classifier.verdict import Thresholds

# 1 had no wide half, 2 one that read mail as it is written alone.
FORMAT = 3
_OLDEST_FORMAT = 2
NAME = "hamlet"
_MANIFEST = "manifest.json"
_FILES = ("model.safetensors", "tokenizer.json", "config.json", "golden.json", "card.json")
_ACTIVE = "active"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class GoldenMessage:
    """A message stored with the model, and the calibrated probability it must get."""

    name: str
    raw_base64: str
    spam_probability: float


@dataclass(frozen=True, slots=True)
class Artifact:
    """All that a folder holds."""

    network: NetworkConfig
    ngrams: NgramConfig
    encoding: EncodingConfig
    calibration: Calibration
    thresholds: Thresholds
    tokenizer_json: str
    weights: dict[str, torch.Tensor]
    golden: list[GoldenMessage] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    digest: str = ""


def bundled_models() -> Path:
    """Return the folder of models that comes with the code."""
    return Path(__file__).resolve().parent.parent / "models"


def active_folder(models: Path) -> Path:
    """Return the folder of the version that `models` names as active.

    Raises:
        ArtifactMissingError: no such folder, no file `active` in it, or no version of that name.
        ArtifactCorruptError: the file `active` does not hold the name of a version.
    """
    try:
        version = (models / _ACTIVE).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ArtifactMissingError(
            f"{models} names no active model: expected a file {models / _ACTIVE} with one line, the version ({error})"
        ) from error
    if not _VERSION.fullmatch(version):
        raise ArtifactCorruptError(
            f"{models / _ACTIVE} must hold the name of a version in one line, got {version!r:.80}"
        )
    return models / version


def activate(models: Path, version: str) -> None:
    """Name a version as the active one, in one step that a crash cannot leave half done.

    Raises:
        ArtifactMissingError: no such version in `models`.
    """
    if not _VERSION.fullmatch(version) or not (models / version / _MANIFEST).is_file():
        raise ArtifactMissingError(f"there is no version {version!r:.80} in {models}")
    _write_synced(models / f".{_ACTIVE}.new", f"{version}\n".encode())
    os.replace(models / f".{_ACTIVE}.new", models / _ACTIVE)
    _sync_folder(models)


def save_artifact(artifact: Artifact, models: Path, date: str) -> Path:
    """Write an artifact as a new version below `models` and return its folder.

    The version is `date` and a hash of everything but the card, so the same model gets the same name; writing what
    is already there changes nothing.

    Args:
        artifact: `version` and `digest` of it are not looked at.
        models: folder of versions, made when missing.
        date: first part of the version, for example 2026.11.22.
    """
    contents = _contents(artifact)
    model_hash = hashlib.sha256(b"".join(contents[name] for name in _FILES if name != "card.json"))
    version = f"{date}-{model_hash.hexdigest()[:6]}"
    folder = models / version
    if (folder / _MANIFEST).is_file():
        return folder
    models.mkdir(parents=True, exist_ok=True)
    manifest = {
        "format": FORMAT,
        "version": version,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    beside = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=models))
    try:
        for name, content in {**contents, _MANIFEST: _json_bytes(manifest)}.items():
            _write_synced(beside / name, content)
        beside.chmod(0o755)
        _sync_folder(beside)
        os.replace(beside, folder)
        _sync_folder(models)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return folder


def load_artifact(folder: Path) -> Artifact:
    """Read a version and check every byte of it against its manifest.

    Raises:
        ArtifactMissingError: the folder or one of its files is not there.
        ArtifactFormatError: written by a newer Hamlet, or one too old.
        ArtifactCorruptError: a file is not what the manifest says, or makes no sense.
    """
    manifest_bytes = _read(folder / _MANIFEST)
    try:
        manifest = json.loads(manifest_bytes)
        version, hashes, written_format = manifest["version"], dict(manifest["files"]), int(manifest["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactCorruptError(f"{folder / _MANIFEST} is no manifest: {error!r:.200}") from error
    if written_format > FORMAT:
        raise ArtifactFormatError(
            f"{folder} is in format {written_format}, this Hamlet reads up to {FORMAT}: "
            "upgrade it, or choose an older model"
        )
    if written_format < _OLDEST_FORMAT:
        raise ArtifactFormatError(
            f"{folder} is in format {written_format}, this Hamlet reads {_OLDEST_FORMAT} and up: "
            "choose a newer model, or run the Hamlet that came with this one"
        )
    contents = {name: _verified(folder / name, hashes.get(name)) for name in _FILES}
    try:
        config = json.loads(contents["config.json"])
        network = NetworkConfig(**config["network"])
        return Artifact(
            network=network,
            ngrams=NgramConfig(**config["ngrams"]),
            encoding=EncodingConfig(**config["encoding"]),
            calibration=Calibration(**config["calibration"]),
            thresholds=Thresholds(**config["thresholds"]),
            tokenizer_json=contents["tokenizer.json"].decode("utf-8"),
            weights=_nothing_unknown(network) | load_tensors(contents["model.safetensors"]),
            golden=[GoldenMessage(**message) for message in json.loads(contents["golden.json"])],
            card=json.loads(contents["card.json"]),
            version=str(version),
            digest=f"sha256:{hashlib.sha256(manifest_bytes).hexdigest()}",
        )
    except (ValueError, KeyError, TypeError, HamletError, SafetensorError) as error:
        raise ArtifactCorruptError(
            f"{folder} has files as published, but they make no sense: {error!r:.200}"
        ) from error


def _nothing_unknown(network: NetworkConfig) -> dict[str, torch.Tensor]:
    """What format 2 lacks. With it both readings of the wide half are the one there was, and scores stay."""
    return {"wide.continues_V": torch.zeros(network.vocabulary_size)}


def _contents(artifact: Artifact) -> dict[str, bytes]:
    """The bytes of each file. Weights in half precision: round before measuring, as training does."""
    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in sorted(artifact.weights.items())}
    config = {
        "network": asdict(artifact.network),
        "ngrams": asdict(artifact.ngrams),
        "encoding": asdict(artifact.encoding),
        "calibration": asdict(artifact.calibration),
        "thresholds": asdict(artifact.thresholds),
    }
    return {
        "model.safetensors": save_tensors(weights),
        "tokenizer.json": artifact.tokenizer_json.encode("utf-8"),
        "config.json": _json_bytes(config),
        "golden.json": _json_bytes([asdict(message) for message in artifact.golden]),
        "card.json": _json_bytes(artifact.card),
    }


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False).encode("utf-8") + b"\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactMissingError(f"cannot read {path}, which is part of a model: {error.strerror}") from error


def _verified(path: Path, wanted: object) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ArtifactCorruptError(f"{path} is not what was published: sha256 wanted {wanted}, found {found}")
    return content


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
