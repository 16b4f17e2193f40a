"""What rspamd's clients send: a message, perhaps compressed, with the envelope in HTTP headers."""

import re
import sys

from starlette.datastructures import Headers

from service.decoding import check_message_size
from service.errors import ApiError, ErrorCode
from service.schemas_feedback import MAX_REPORTER_CHARACTERS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# 2^23 bytes is what every zstd decoder has to take (RFC 8878, 3.1.1.1.2); more is memory for the asking.
ZSTD_WINDOW_LOG = 23

_MAX_HEADER_SECTION_BYTES = 64 * 1024
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:(?:[ \t]|\r?\n[ \t])*<?([^<>\s]{1,998})", re.IGNORECASE | re.MULTILINE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


class NoMessageError(ApiError):
    """A request without a body; 400, as rspamd answers it."""

    status = 400

    def __init__(self) -> None:
        super().__init__(ErrorCode.EMPTY_MESSAGE, "The body is empty; expected one message as it was received.")


def refuse_other_places(headers: Headers) -> None:
    """Refuse a request whose message is not in its body but in a file or in memory of the sender's machine.

    Raises:
        ApiError: invalid_header.
    """
    for name in headers:
        if name in ("file", "path") or name.startswith("shm"):
            raise ApiError(
                ErrorCode.INVALID_HEADER,
                "Send the message in the body: files and shared memory are not read here. "
                "rspamd_proxy does so with milter = true, or when the backend's address is not in 127.0.0.0/8.",
                field=name,
            )
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "zstd"):
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, or compressed with zstd.")


def decompressed(body: bytes, max_bytes: int) -> bytes:
    """Return the message in a body, which is compressed if it begins as zstd does; clients do not always say so.

    Raises:
        ApiError: message_too_large, however small the body is; invalid_request when zstd cannot read it.
    """
    if not body.startswith(ZSTD_MAGIC):
        return body
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})
    try:
        message = decompressor.decompress(body, max_bytes + 1)
    except zstd.ZstdError:
        message = b""
    check_message_size(len(message), max_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            "The body begins as zstd does but is not one whole frame of it, without dictionary, "
            f"with a window of at most {2**ZSTD_WINDOW_LOG} bytes.",
        )
    return message


def message_id(raw: bytes) -> str:
    """Return the Message-ID without its brackets, or "undef" as rspamd says."""
    head = re.split(rb"\r?\n\r?\n", raw[:_MAX_HEADER_SECTION_BYTES], maxsplit=1)[0]
    found = _MESSAGE_ID.search(head)
    return found[1].decode("ascii", "replace") if found else "undef"


def reporter(headers: Headers) -> str:
    """Return who says what a message is: the user, else whose mailbox it is, else the program that called."""
    for name in ("user", "deliver-to", "user-agent"):
        # Starlette reads headers as Latin-1; addresses of today are UTF-8 (RFC 6532).
        value = headers.get(name, "").encode("latin-1").decode("utf-8", "replace")
        value = _UNPRINTABLE.sub(" ", value).strip()[:MAX_REPORTER_CHARACTERS]
        if value:
            return value
    return "rspamd client"
