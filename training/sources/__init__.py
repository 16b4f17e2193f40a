"""Labelled mail from files and folders, one message at a time."""

from training.sources.content_hash import sha256_of
from training.sources.expand import expand
from training.sources.mail import Label, LabelledMail, SourceReport
from training.sources.read import read_sources

__all__ = ["Label", "LabelledMail", "SourceReport", "expand", "read_sources", "sha256_of"]
