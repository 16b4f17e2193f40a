"""Every refusal of the service, and the one place where an error becomes a status and a body.

    HamletError
    └── ApiError        a code of the contract, a sentence, and the field it is about

The body is {"error": {"code", "message", "field"?}}, or what a foreign protocol has in its place, and never quotes a
message.
"""

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from classifier.errors import HamletError
from service.batcher_contract import ExpiredError, OverloadedError, PredictionFailedError, WorkerDeadError
from service.feedback.errors import FeedbackUnavailableError

log = logging.getLogger(__name__)


class ErrorCode(StrEnum):
    """The machine-readable reasons, of requests and of single messages."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TOO_LARGE = "request_too_large"
    TOO_MANY_MESSAGES = "too_many_messages"
    MESSAGE_TOO_LARGE = "message_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    INVALID_HEADER = "invalid_header"
    INVALID_BASE64 = "invalid_base64"
    EMPTY_MESSAGE = "empty_message"
    MESSAGE_ERROR = "message_error"
    INVALID_HTTP = "invalid_http"
    HEADERS_TOO_LARGE = "headers_too_large"
    OVERLOADED = "overloaded"
    PREDICTION_FAILED = "prediction_failed"
    INTERNAL_ERROR = "internal_error"
    MODEL_NOT_LOADED = "model_not_loaded"
    MODEL_REFUSED = "model_refused"
    WORKER_DEAD = "worker_dead"
    DRAINING = "draining"
    FEEDBACK_UNAVAILABLE = "feedback_unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"


STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.REQUEST_TOO_LARGE: 413,
    ErrorCode.TOO_MANY_MESSAGES: 413,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.INVALID_JSON: 422,
    ErrorCode.INVALID_REQUEST: 422,
    ErrorCode.INVALID_HEADER: 422,
    ErrorCode.INVALID_BASE64: 422,
    ErrorCode.EMPTY_MESSAGE: 422,
    ErrorCode.MESSAGE_ERROR: 422,
    ErrorCode.INVALID_HTTP: 400,
    ErrorCode.HEADERS_TOO_LARGE: 431,
    ErrorCode.OVERLOADED: 429,
    ErrorCode.PREDICTION_FAILED: 500,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.MODEL_NOT_LOADED: 503,
    ErrorCode.MODEL_REFUSED: 409,
    ErrorCode.WORKER_DEAD: 503,
    ErrorCode.DRAINING: 503,
    ErrorCode.FEEDBACK_UNAVAILABLE: 503,
    ErrorCode.DEADLINE_EXCEEDED: 504,
}

# What other modules raise, and what it is called here.
CODES: Mapping[type[Exception], ErrorCode] = {
    OverloadedError: ErrorCode.OVERLOADED,
    ExpiredError: ErrorCode.DEADLINE_EXCEEDED,
    PredictionFailedError: ErrorCode.PREDICTION_FAILED,
    WorkerDeadError: ErrorCode.WORKER_DEAD,
    FeedbackUnavailableError: ErrorCode.FEEDBACK_UNAVAILABLE,
}

RETRY_AFTER_UNAVAILABLE_S = 5


class ApiError(HamletError):
    """A request that is refused, or a message of it."""

    def __init__(
        self, code: ErrorCode, message: str, *, field: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return STATUS[self.code]

    def body(self) -> dict[str, Any]:
        """Return the body of the contract."""
        error = {"code": self.code.value, "message": str(self)}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


class ClientGoneError(Exception):
    """The client hung up; there is nobody to answer."""


# Whatever is raised on purpose.
REFUSALS: tuple[type[Exception], ...] = (ApiError, *CODES)


def api_error(error: Exception) -> ApiError:
    """Turn anything raised on purpose into an ApiError; a surprise becomes `internal_error`."""
    if isinstance(error, ApiError):
        return error
    code = CODES.get(type(error))
    if code is None:
        return ApiError(ErrorCode.INTERNAL_ERROR, "The service failed on this request; the fault is not yours.")
    return ApiError(code, str(error), retry_after_s=getattr(error, "retry_after_s", None))


def message_refusal(code: str, sentence: str) -> ApiError:
    """Return the refusal of one message by the code of its MessageError, which the contract may not know."""
    known = code in ErrorCode.__members__.values()
    return ApiError(ErrorCode(code) if known else ErrorCode.MESSAGE_ERROR, sentence)


# The paths of rspamd's protocol. Its clients show a person nothing of an error but the reason phrase, so the sentence
# goes there too: service.http_protocol takes it from this header.
RSPAMD_PATHS = frozenset(
    (
        *("checkv2", "learnspam", "learnham", "fuzzyadd", "fuzzydel"),
        *("stat", "auth", "counters", "ping", "healthy", "ready"),
    )
)
REASON_HEADER = "X-Error"


def _rspamd_body(error: ApiError) -> dict[str, Any]:
    return {"error": str(error), "error_domain": error.code.value}


# Clients of a foreign protocol read its own error body; the first segment of the path says which protocol it is.
FOREIGN_BODIES: Mapping[str, Callable[[ApiError], dict[str, Any]]] = {
    "v2": lambda error: {"error": str(error)},  # Open Inference Protocol
    **dict.fromkeys(RSPAMD_PATHS, _rspamd_body),
    # Haraka's plugin (1.6) looks neither at the status nor, beside other keys, at the error: without an action it would
    # let the mail pass unseen.
    "checkv2": lambda error: _rspamd_body(error) | {"action": "soft reject"},
}


def error_body(error: ApiError, path: str) -> bytes:
    """Return the body of an error on a path, as JSON."""
    return orjson.dumps(FOREIGN_BODIES.get(_protocol(path), ApiError.body)(error))


def error_headers(error: ApiError, path: str) -> dict[str, str]:
    """Return the headers of an error on a path."""
    headers = {}
    if _protocol(path) in RSPAMD_PATHS:
        headers[REASON_HEADER] = "".join(letter if " " <= letter <= "~" else "?" for letter in str(error))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.status == 503:
        retry_after_s = RETRY_AFTER_UNAVAILABLE_S
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return headers


def error_response(error: ApiError, path: str) -> Response:
    """Return the answer for an error on a path."""
    return Response(error_body(error, path), error.status, error_headers(error, path), "application/json")


def _protocol(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def from_http_exception(error: HTTPException) -> ApiError:
    """Turn what the router raises into the contract's words."""
    if error.status_code == 404:
        return ApiError(ErrorCode.NOT_FOUND, "There is nothing at this path; /docs lists what there is.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return ApiError(ErrorCode.METHOD_NOT_ALLOWED, f"This path answers {allowed} only.")
    code = ErrorCode.INVALID_REQUEST if error.status_code < 500 else ErrorCode.INTERNAL_ERROR
    return ApiError(code, "The request could not be read; /docs describes what is expected.")


def install_error_handlers(app: FastAPI) -> None:
    """Make every error that a route lets out an answer of the contract."""

    async def answer(request: Request, error: Exception) -> Response:
        return error_response(api_error(error), request.scope["path"])

    async def answer_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = error_response(from_http_exception(error), request.scope["path"])
        if error.headers and "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response

    async def answer_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        invalid = ApiError(ErrorCode.INVALID_REQUEST, f"{first['msg']}.", field=field)
        return error_response(invalid, request.scope["path"])

    for kind in REFUSALS:
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_validation)
