"""Tensors of the Open Inference Protocol: from the body of an infer request to messages, and from scores to its answer.

A body is JSON. With the binary tensor extension the header Inference-Header-Content-Length says how long the JSON is,
and the data of every tensor with a `binary_data_size` follows it, in the order of the tensors. An element of a BYTES
tensor is its length (4 bytes, little-endian) and its bytes; an element of an FP32 tensor is 4 bytes, little-endian.

Letters: N messages. Sentences name an input and the position of an element, never what is in it.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.decoding import check_message_size
from service.errors import ApiError, ErrorCode

HEADER_LENGTH = "Inference-Header-Content-Length"
INPUTS = ("raw_email", "text")
OUTPUTS = {"spam_probability": "FP32", "verdict": "BYTES"}
MAX_ID_CHARACTERS = 256

_MAX_HEADER_DIGITS = 12
_LENGTH = struct.Struct("<I")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")  # what a request names is quoted only if it looks like a name


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What an infer request asks for."""

    id: str | None
    input_name: str
    shape: tuple[int, ...]  # (N,) or (N, 1), and so that of each output
    elements: list[bytes]  # N
    outputs: tuple[tuple[str, bool], ...]  # name, and whether it is wanted as binary data
    timeout_us: int | None


def decode_infer_request(
    body: bytes, header_length: str | None, *, max_messages: int, max_message_bytes: int
) -> InferRequest:
    """Read the body of an infer request.

    Args:
        body: all of it.
        header_length: the header Inference-Header-Content-Length, if it came.
        max_messages: elements of the input.
        max_message_bytes: bytes of each.

    Raises:
        ApiError: invalid_json, invalid_header, invalid_request, too_many_messages or message_too_large, about the
            request as a whole: the protocol has no place for an error of one element.
    """
    head, binary = _split(body, header_length)
    try:
        request = orjson.loads(head)
    except orjson.JSONDecodeError:
        raise ApiError(ErrorCode.INVALID_JSON, "The inference request is not JSON in UTF-8.") from None
    if not isinstance(request, dict):
        raise _invalid('The inference request must be an object like {"inputs": [...]}.')
    tensor, name = _the_input(request)
    parameters = _parameters(tensor, f"Input {name}")
    shape = _shape(tensor, name, max_messages)
    size = parameters.get("binary_data_size")
    if size is None:
        if binary:
            raise _invalid(f"{len(binary)} bytes follow the JSON, but the input has no binary_data_size.")
        elements = _from_json(tensor.get("data"), name, shape)
    else:
        if "data" in tensor:
            raise _invalid(f"Input {name} has both data and binary_data_size; give one of them.")
        if header_length is None:
            raise _invalid(f"Input {name} has a binary_data_size, so the header {HEADER_LENGTH} is needed.")
        if not _is_count(size) or size != len(binary):
            raise _invalid(f"binary_data_size of input {name} must be the {len(binary)} bytes that follow the JSON.")
        elements = _from_binary(binary, name, shape[0])
    for position, element in enumerate(elements):
        try:
            check_message_size(len(element), max_message_bytes)
        except ApiError as error:
            raise about_element(error, name, position) from None
    everything = _parameters(request, "The request")
    return InferRequest(
        _id(request), name, shape, elements, _outputs(request, everything), _timeout_us(everything.get("timeout"))
    )


def encode_infer_response(
    request: InferRequest, probabilities: Sequence[float], verdicts: Sequence[str], *, model_name: str, version: str
) -> tuple[bytes, int | None]:
    """Return the body of the answer, and the length of its JSON where binary data follows that.

    Args:
        request: which outputs are wanted, and how.
        probabilities: N.
        verdicts: N.
        model_name: of the model that gave them.
        version: of the model that gave them.
    """
    binary: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for name, as_binary in request.outputs:
        values: Sequence[Any] = probabilities if name == "spam_probability" else verdicts
        output: dict[str, Any] = {"name": name, "shape": request.shape, "datatype": OUTPUTS[name]}
        if as_binary:
            data = _floats(values) if OUTPUTS[name] == "FP32" else _strings(values)
            binary.append(data)
            output["parameters"] = {"binary_data_size": len(data)}
        else:
            output["data"] = values
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": model_name, "model_version": version}
    if request.id is not None:
        answer["id"] = request.id
    head = orjson.dumps(answer | {"outputs": outputs})
    return b"".join([head, *binary]), len(head) if binary else None


def about_element(error: ApiError, input_name: str, position: int) -> ApiError:
    """Return the error of one message as that of its request, naming the element."""
    return ApiError(error.code, f"Input {input_name}, element {position}: {error}", retry_after_s=error.retry_after_s)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """Return the JSON and the binary data."""
    if header_length is None:
        return body, b""
    digits = header_length.strip()
    valid = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_HEADER_DIGITS
    if not valid or not 0 < int(digits) <= len(body):
        raise ApiError(
            ErrorCode.INVALID_HEADER,
            f"{HEADER_LENGTH} must be the bytes of JSON at the beginning of the body, which has {len(body)} in all.",
        )
    return body[: int(digits)], body[int(digits) :]


def _the_input(request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the one input, and its name."""
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _invalid(f"Give exactly one input, {' or '.join(INPUTS)}, in the list `inputs`.")
    tensor: dict[str, Any] = inputs[0]
    name = tensor.get("name")
    if not isinstance(name, str) or name not in INPUTS:
        raise _invalid(f"There is no input{_quoted(name)}; give {' or '.join(INPUTS)}.")
    if tensor.get("datatype") != "BYTES":
        raise _invalid(f"The datatype of input {name} must be BYTES.")
    return tensor, name


def _shape(tensor: dict[str, Any], name: str, max_messages: int) -> tuple[int, ...]:
    shape = tensor.get("shape")
    # Many clients add a dimension of 1 behind that of the batch, and want it back.
    if (
        not isinstance(shape, list)
        or not all(map(_is_count, shape))
        or len(shape) not in (1, 2)
        or shape[1:] not in ([], [1])
    ):
        raise _invalid(f"The shape of input {name} must be [N] or [N, 1], N the number of messages.")
    if shape[0] == 0:
        raise _invalid(f"Input {name} is empty; expected at least one message.")
    if shape[0] > max_messages:
        raise ApiError(
            ErrorCode.TOO_MANY_MESSAGES,
            f"Input {name} says that it has {shape[0]} messages; at most {max_messages} are taken at once.",
        )
    return tuple(shape)


def _from_json(data: Any, name: str, shape: tuple[int, ...]) -> list[bytes]:
    """Return the elements of `data`, flat or nested as the shape says."""
    if not isinstance(data, list):
        raise _invalid(f"Input {name} needs a list `data`, or binary data.")
    if len(data) != shape[0]:
        raise _invalid(f"Input {name} has {len(data)} elements, its shape says {shape[0]}.")
    if len(shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    for position, element in enumerate(data):
        if not isinstance(element, str):
            raise _invalid(f"Input {name}, element {position}: expected a string; other bytes go as binary data.")
    return [element.encode() for element in data]


def _from_binary(binary: bytes, name: str, count: int) -> list[bytes]:
    elements: list[bytes] = []
    place = 0
    while place < len(binary):
        if len(elements) == count:
            raise _invalid(f"Input {name} has more elements than the {count} that its shape says.")
        if len(binary) - place < _LENGTH.size:
            raise _invalid(f"Input {name} ends in the middle of the length of element {len(elements)}.")
        (length,) = _LENGTH.unpack_from(binary, place)
        place += _LENGTH.size
        if length > len(binary) - place:
            left = len(binary) - place
            raise _invalid(f"Input {name}, element {len(elements)} says it has {length} bytes; {left} are left.")
        elements.append(binary[place : place + length])
        place += length
    if len(elements) != count:
        raise _invalid(f"Input {name} has {len(elements)} elements, its shape says {count}.")
    return elements


def _outputs(request: dict[str, Any], parameters: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    """Return the wanted outputs, all of them where none is named, each with whether it is wanted as binary data."""
    as_binary = _flag(parameters, "binary_data_output", False)
    wanted = request.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(wanted, list):
        raise _invalid("`outputs` must be a list.")
    outputs: dict[str, bool] = {}
    for output in wanted[: len(OUTPUTS) + 1]:
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or name not in OUTPUTS or name in outputs:
            raise _invalid(f"Cannot give the output{_quoted(name)}; there are {' and '.join(OUTPUTS)}, each once.")
        of_output = _parameters(output, f"Output {name}")
        if of_output.get("classification"):
            raise _invalid(f"Output {name} has no classes; leave out the parameter classification.")
        outputs[name] = _flag(of_output, "binary_data", as_binary)
    return tuple(outputs.items())


def _parameters(holder: dict[str, Any], what: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _invalid(f"{what} has `parameters` that are no object.")
    if "shared_memory_region" in parameters:
        raise _invalid(f"{what} lies in shared memory, which this server does not read or write.")
    return parameters


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise _invalid(f"The parameter {name} must be true or false.")
    return value


def _timeout_us(value: Any) -> int | None:
    if value is None or value == 0:
        return None
    if not _is_count(value):
        raise _invalid("The parameter timeout must be a whole number of microseconds.")
    return int(value)


def _id(request: dict[str, Any]) -> str | None:
    given = request.get("id")
    if given is not None and (not isinstance(given, str) or len(given) > MAX_ID_CHARACTERS):
        raise _invalid(f"The id must be a string of at most {MAX_ID_CHARACTERS} characters.")
    return given


def _floats(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _strings(values: Sequence[str]) -> bytes:
    def parts() -> Iterator[bytes]:
        for value in values:
            element = value.encode()
            yield _LENGTH.pack(len(element))
            yield element

    return b"".join(parts())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _quoted(name: Any) -> str:
    return f" {name}" if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _invalid(sentence: str) -> ApiError:
    return ApiError(ErrorCode.INVALID_REQUEST, sentence)
