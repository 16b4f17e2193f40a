"""The forms in which a mail is given to the client, and the bytes in each."""

import os
from email.message import Message
from pathlib import Path

from service.client.errors import UnreadableMailError

Mail = bytes | bytearray | memoryview | Message | os.PathLike[str]


def raw_bytes(mail: Mail) -> bytes:
    """Return the bytes of a mail: of a file, of a message object, or as they are.

    Raises:
        UnreadableMailError: the file cannot be read, or the object cannot be written as bytes.
        TypeError: it is neither; a string may be a path or a mail, so say which: `Path(...)` or `.encode()`.
    """
    if isinstance(mail, bytes | bytearray | memoryview):
        return bytes(mail)
    if isinstance(mail, os.PathLike):
        try:
            return Path(mail).read_bytes()
        except (OSError, ValueError) as error:
            raise UnreadableMailError(f"{os.fspath(mail)} cannot be read: {error}.") from error
    if isinstance(mail, Message):
        try:
            # Lines that begin with "From " stay as they are; the library's default puts a > before them.
            return mail.as_bytes(policy=mail.policy.clone(mangle_from_=False))
        except Exception as error:  # the library raises whatever its parts raise
            raise UnreadableMailError(f"The message object cannot be written as bytes: {error!r}.") from error
    raise TypeError(f"a mail is bytes, an email.message.Message or a path, got {type(mail).__name__}")
