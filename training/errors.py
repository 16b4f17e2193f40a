"""Errors of the training steps; the tree is in classifier.errors."""

from classifier.errors import HamletError


class DataError(HamletError):
    """Labelled mail cannot be used; the text names the file and says what to do."""


class PeerError(HamletError):
    """Another filter that is compared with is not installed, or broke down."""


class DivergedError(HamletError):
    """Fitting broke down: loss or gradient stayed infinite or undefined."""


class RetrainError(HamletError):
    """The retraining job could not do its work; the version in service stays what it was."""
