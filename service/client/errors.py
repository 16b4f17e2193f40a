"""What can go wrong for a client; the text of each is a sentence for a person.

HamletError
└── ClientError
    ├── UnreadableMailError      the mail could not be read here; nothing was sent
    ├── MessageRefusedError      the service cannot score this one message
    ├── RequestRefusedError      the service refuses the request, and would again
    │   ├── UnauthorizedError    the key is missing or wrong
    │   ├── NotFoundError        there is no such thing
    │   └── TooLargeError        more than the service takes at once
    ├── ServerError              the service failed; the fault is not the client's
    ├── BadAnswerError           what came back is no answer of this service
    ├── OverloadedError          no room, however often it was asked        } of the last
    ├── UnavailableError         it is not ready, or something before it is } attempt, when
    ├── ConnectionFailedError    no connection, or it broke                 } there was no
    └── DeadlineError            the time was up                            } other
"""

from classifier.errors import HamletError


class ClientError(HamletError):
    """Base of all errors of the client."""

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        """`code` is the service's own, `status` that of HTTP, where there was one."""
        super().__init__(message)
        self.code = code
        self.status = status


class UnreadableMailError(ClientError):
    """The mail could not be read here; nothing was sent."""


class MessageRefusedError(ClientError):
    """The service cannot score this one message; `code` says why."""


class RequestRefusedError(ClientError):
    """The service refuses the request, and would again."""


class UnauthorizedError(RequestRefusedError):
    """The key is missing or wrong."""


class NotFoundError(RequestRefusedError):
    """There is no such thing."""


class TooLargeError(RequestRefusedError):
    """More than the service, or a proxy before it, takes at once."""


class ServerError(ClientError):
    """The service failed; the fault is not the client's."""


class BadAnswerError(ClientError):
    """What came back is no answer of this service."""


class OverloadedError(ClientError):
    """There was no room, however often it was asked."""


class UnavailableError(ClientError):
    """The service is not ready, or something between here and there is not."""


class ConnectionFailedError(ClientError):
    """No connection came about, or it broke before the answer was whole."""


class DeadlineError(ClientError):
    """The time was up."""
