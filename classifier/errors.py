"""Every error that Hamlet raises on purpose.

    HamletError
    ├── ArtifactError              a model folder cannot be used
    │   ├── ArtifactMissingError   a file or the folder is not there
    │   ├── ArtifactCorruptError   a file is not what the manifest says, or cannot be read
    │   ├── ArtifactFormatError    written by a newer Hamlet than this one
    │   ├── ArtifactAwayError      the store that holds it cannot be reached now
    │   └── ArtifactDeniedError    the store that holds it does not let us in
    ├── SelfTestError              a loaded model does not reproduce its own golden scores
    ├── ThresholdError             thresholds out of order or out of range
    ├── ConfigError                a setting or a preset makes no sense
    └── MessageError               one message cannot be scored; its neighbours can
        └── EmptyMessageError      nothing to read in it

Broken mail is not an error: it is a `Message` with `defects`.
"""


class HamletError(Exception):
    """Base of all errors raised on purpose; its text is a sentence for a person."""


class ArtifactError(HamletError):
    """A model folder cannot be used."""


class ArtifactMissingError(ArtifactError):
    """A file of the model folder, or the folder itself, is not there."""


class ArtifactCorruptError(ArtifactError):
    """A file of the model folder is not what its manifest says."""


class ArtifactFormatError(ArtifactError):
    """The model folder was written in a format that this version does not read."""


class ArtifactAwayError(ArtifactError):
    """The store that holds the model cannot be reached now; later it may."""


class ArtifactDeniedError(ArtifactError):
    """The store that holds the model does not let us read or write."""


class SelfTestError(HamletError):
    """A loaded model does not give its golden messages the scores it was published with."""


class ThresholdError(HamletError):
    """Thresholds out of order or out of range."""


class ConfigError(HamletError):
    """A setting or a preset makes no sense."""


class MessageError(HamletError):
    """One message cannot be scored. `code` is the machine-readable reason of the HTTP contract."""

    code = "message_error"


class EmptyMessageError(MessageError):
    """The message has no header and no body."""

    code = "empty_message"
