"""What comes in as JSON."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.message import MailFields
from service.decoding import decode_mail, decode_predict_request
from service.errors import ApiError
from service.schemas import MessageIn

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text()
KEYS = st.sampled_from(["messages", "id", "raw", "raw_base64", "text", "from", "explain"]) | st.text()
MAYBE_REQUESTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))


@given(MAYBE_REQUESTS | st.fixed_dictionaries({"messages": st.lists(MAYBE_REQUESTS)}))
def test_no_json_is_a_surprise(body: Any) -> None:
    """Whatever JSON comes, it is either a request or refused by name; the service never fails on it."""
    try:
        decode_predict_request(orjson.dumps(body), 256)
        status = 200
    except ApiError as error:
        status = error.status
    assert status in (200, 413, 422)


@given(st.binary())
def test_any_bytes_can_be_anything(body: bytes) -> None:
    """Bytes that are not JSON are refused as that."""
    with pytest.raises(ApiError):
        decode_predict_request(b"\x00" + body, 256)


@given(st.binary(max_size=300))
def test_base64_gives_the_bytes_back(raw: bytes) -> None:
    """Every byte arrives as it was sent, and a size at the limit passes."""
    message = MessageIn(raw_base64=base64.b64encode(raw).decode())
    assert decode_mail(message, max_bytes=len(raw)) == raw


def test_encoded_words_of_fields_are_decoded() -> None:
    """A client that takes the header as it stands is scored, and remembered, by what a reader sees."""
    body = {"subject": "=?utf-8?Q?Dear_Client?=", "from": "=?utf-8?b?w4RubmU=?= <a@b.example>", "text": "=?utf-8?Q?x?="}
    mail = decode_mail(MessageIn.model_validate(body), max_bytes=1000)
    assert mail == MailFields(subject="Dear Client", sender="Änne <a@b.example>", text="=?utf-8?Q?x?=")


def test_a_million_unknown_keys_are_one_error() -> None:
    """The time and memory for refusing a body do not grow with the mistakes in it."""
    body = orjson.dumps({"messages": [{"raw": "x"}], **{f"key{number}": 0 for number in range(100_000)}})
    with pytest.raises(ApiError, match="not known here"):
        decode_predict_request(body, 256)
