"""From the bytes of a JSON request to mails; what is large is decoded in a parse thread."""

import base64
import binascii
import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from classifier.message import MailFields, decoded_field
from service.errors import ApiError, ErrorCode
from service.schemas import MailForms, MessageIn, PredictRequest

Schema = TypeVar("Schema", bound=BaseModel)

# An unknown key is named in the answer only if it looks like a name, never if it could be content.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")

_SENTENCES = {
    "missing": "This field is required.",
    "string_type": "Expected a string or null.",
    "string_too_long": "This string is too long; at most {max_length} characters are taken.",
    "string_pattern_mismatch": "This string has characters that are not taken here, or none at all.",
    "literal_error": "Expected {expected}.",
    "bool_type": "Expected true or false.",
    "list_type": "Expected a list.",
    "too_short": "Expected at least one message.",
    "model_type": "Expected an object.",
    "dict_type": "Expected an object.",
}


def decode_predict_request(body: bytes, max_messages: int) -> PredictRequest:
    """Read the body of POST /v1/predict.

    Raises:
        ApiError: invalid_json, invalid_request with the field, or too_many_messages.
    """
    data = _load_object(body, '{"messages": [...]}')
    messages = data.get("messages")
    if isinstance(messages, list) and len(messages) > max_messages:
        raise ApiError(
            ErrorCode.TOO_MANY_MESSAGES,
            f"The request has {len(messages)} messages; at most {max_messages} are taken at once.",
            field="messages",
        )
    # Before pydantic looks: a million unknown keys would otherwise become a million errors.
    _refuse_unknown_keys(data, PredictRequest, "")
    for position, message in enumerate(messages if isinstance(messages, list) else []):
        if isinstance(message, dict):
            _refuse_unknown_keys(message, MessageIn, f"messages.{position}")
    return _validated(data, PredictRequest)


def decode_object(body: bytes, schema: type[Schema], example: str) -> Schema:
    """Read a body that is one object of a schema.

    Raises:
        ApiError: invalid_json, or invalid_request with the field.
    """
    data = _load_object(body, example)
    _refuse_unknown_keys(data, schema, "")
    return _validated(data, schema)


def decode_mail(message: MailForms, max_bytes: int) -> bytes | MailFields:
    """Return the mail in a message of a request.

    Raises:
        ApiError: invalid_base64 or message_too_large; about this message, not about the request.
    """
    if message.raw_base64 is not None:
        check_message_size(len(message.raw_base64) // 4 * 3 - 2, max_bytes)
        try:
            raw = base64.b64decode(message.raw_base64, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(
                ErrorCode.INVALID_BASE64, "raw_base64 is not standard base64 with padding and without line breaks."
            ) from None
    elif message.raw is not None:
        raw = message.raw.encode()
    else:
        fields = MailFields(
            subject=decoded_field(message.subject),
            sender=decoded_field(message.sender),
            to=message.to,
            reply_to=decoded_field(message.reply_to),
            text=message.text,
            html=message.html,
        )
        values = (message.subject, message.sender, message.to, message.reply_to, message.text, message.html)
        check_message_size(sum(len(value.encode()) for value in values if value), max_bytes)
        return fields
    check_message_size(len(raw), max_bytes)
    return raw


def check_message_size(size_bytes: int, max_bytes: int) -> None:
    """Raise message_too_large when a message has more bytes than allowed."""
    if size_bytes > max_bytes:
        raise ApiError(ErrorCode.MESSAGE_TOO_LARGE, f"The message is too large; at most {max_bytes} bytes are taken.")


def _load_object(body: bytes, example: str) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ApiError(
            ErrorCode.INVALID_JSON, f"The body is not JSON in UTF-8; expected an object like {example}."
        ) from None
    if not isinstance(data, dict):
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Expected an object like {example}.")
    return data


def _validated(data: dict[str, Any], schema: type[Schema]) -> Schema:
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        sentence = _SENTENCES.get(first["type"], "The value is not of the documented form.")
        if first["type"] == "one_form":
            sentence = first["msg"]
        raise ApiError(
            ErrorCode.INVALID_REQUEST, sentence.format_map(first.get("ctx", {})), field=field or None
        ) from None


def _refuse_unknown_keys(data: dict[str, Any], schema: type[BaseModel], field: str) -> None:
    known = [info.alias or name for name, info in schema.model_fields.items()]
    unknown = next((key for key in data if key not in known), None)
    if unknown is not None:
        parts = [field, unknown if _NAME.fullmatch(unknown) else ""]
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"This field is not known here; known are {', '.join(known)}.",
            field=".".join(part for part in parts if part) or None,
        )
