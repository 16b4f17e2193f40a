"""A client for the service: typed, synchronous and asynchronous, in need of httpx alone.

from pathlib import Path
from service.client import Client

with Client("http://127.0.0.1:8000") as client:
    print(client.predict(Path("mail.eml")).verdict)
"""

from service.client.clients import AsyncClient, Client
from service.client.errors import (
    BadAnswerError,
    ClientError,
    ConnectionFailedError,
    DeadlineError,
    MessageRefusedError,
    NotFoundError,
    OverloadedError,
    RequestRefusedError,
    ServerError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnreadableMailError,
)
from service.client.exchange import Retry
from service.client.mail import Mail
from service.client.results import Fact, FeedbackEntry, FeedbackPage, Learned, Model, ModelInfo, Prediction, Reason

__all__ = [
    "AsyncClient",
    "BadAnswerError",
    "Client",
    "ClientError",
    "ConnectionFailedError",
    "DeadlineError",
    "Fact",
    "FeedbackEntry",
    "FeedbackPage",
    "Learned",
    "Mail",
    "MessageRefusedError",
    "Model",
    "ModelInfo",
    "NotFoundError",
    "OverloadedError",
    "Prediction",
    "Reason",
    "RequestRefusedError",
    "Retry",
    "ServerError",
    "TooLargeError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreadableMailError",
]
