"""Readers for the process that parses, which do what a mail tells them to."""

import os
import signal
import time
from dataclasses import dataclass

from classifier.encoding import PreparedMessage
from classifier.errors import EmptyMessageError
from classifier.message import MailFields


@dataclass(frozen=True)
class Obedient:
    """Gives the length of a mail and its own number as tokens, unless the mail says otherwise."""

    number: int = 1

    def prepare(self, mail: bytes | MailFields) -> PreparedMessage:
        assert isinstance(mail, bytes)
        if mail.startswith(b"die once "):
            path = mail.removeprefix(b"die once ")
            if not os.path.exists(path):
                open(path, "wb").close()
                os.kill(os.getpid(), signal.SIGKILL)
        if mail == b"die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if mail == b"hang":
            time.sleep(600)
        if mail == b"fail":
            raise ZeroDivisionError("as told")
        if not mail:
            raise EmptyMessageError("The message has no header and no body.")
        return PreparedMessage([len(mail), self.number], truncated=False, defects=("seen",))
