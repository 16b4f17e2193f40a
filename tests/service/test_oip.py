"""/v2, the Open Inference Protocol: what its clients send, and what nobody should."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from service.routers.oip_tensors import HEADER_LENGTH
from tests.service.conftest import OpenApp
from tests.service.fakes import POISON, FakeClassifier

INFER = "/v2/models/hamlet/infer"
VERSION = FakeClassifier().version
LUNCH, SPAM = b"Subject: hi\r\n\r\nlunch?", b"Subject: hi\r\n\r\nspam spam \xff"


def tensor(data: Any = None, shape: Any = None, name: str = "raw_email", **more: Any) -> dict[str, Any]:
    """Return an input, with `data` where some is given."""
    shape = [len(data)] if shape is None else shape
    return {"name": name, "datatype": "BYTES", "shape": shape, **({} if data is None else {"data": data}), **more}


def packed(elements: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


async def post_json(client: httpx.AsyncClient, *inputs: Any, **more: Any) -> httpx.Response:
    return await client.post(INFER, json={"inputs": list(inputs), **more})


async def post_binary(
    client: httpx.AsyncClient, binary: bytes, shape: Any, size: Any = None, length: str | None = None, **more: Any
) -> httpx.Response:
    """Send one input as binary data, with whatever lengths."""
    parameters = {"binary_data_size": len(binary) if size is None else size}
    head = json.dumps({"inputs": [tensor(shape=shape, parameters=parameters)], **more}).encode()
    headers = {HEADER_LENGTH: str(len(head)) if length is None else length}
    return await client.post(INFER, content=head + binary, headers=headers)


def refused(response: httpx.Response, status: int, said: str = "") -> None:
    """Check that a refusal has its status and nothing but a sentence."""
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    assert said in body["error"]
    assert body["error"].endswith(".")


async def test_what_is_served_is_described(client: httpx.AsyncClient) -> None:
    """Server, model and probes answer under their paths, with the version and without."""
    server = (await client.get("/v2")).json()
    assert (server["name"], server["extensions"]) == ("hamlet", ["binary_tensor_data"])
    metadata = (await client.get("/v2/models/hamlet")).json()
    assert metadata == (await client.get(f"/v2/models/hamlet/versions/{VERSION}")).json()
    assert metadata["versions"] == [VERSION]
    described = {one["name"]: (one["datatype"], one["shape"]) for one in metadata["inputs"] + metadata["outputs"]}
    assert described == {
        "raw_email": ("BYTES", [-1]), "text": ("BYTES", [-1]),
        "spam_probability": ("FP32", [-1]), "verdict": ("BYTES", [-1]),
    }  # fmt: skip
    for path in ("health/live", "health/ready", "models/hamlet/ready", f"models/hamlet/versions/{VERSION}/ready"):
        assert (await client.get(f"/v2/{path}")).status_code == 200


NOT_SERVED = [
    ("GET", "/v2/models/yorick", 404),
    ("GET", "/v2/models/hamlet/versions/1", 404),
    ("GET", "/v2/models/hamlet/versions/1/ready", 404),
    ("POST", "/v2/models/yorick/infer", 404),
    ("POST", "/v2/models/hamlet/versions/1/infer?version=", 404),
    ("GET", "/v2/models/hamlet/config", 404),
    ("GET", "/v2/nothing", 404),
    ("GET", INFER, 405),
]


async def test_what_is_not_served_is_refused(client: httpx.AsyncClient) -> None:
    """Other models, other versions and other paths get a sentence in the shape of the protocol."""
    for method, path, status in NOT_SERVED:
        refused(await client.request(method, path), status)


async def test_json_in_json_out(client: httpx.AsyncClient) -> None:
    """Strings are scored in order; both outputs come back as data, and the id is echoed."""
    response = await post_json(client, tensor(["spam", "lunch?"]), id="a")
    assert response.json() == {
        "model_name": "hamlet", "model_version": VERSION, "id": "a",
        "outputs": [
            {"name": "spam_probability", "datatype": "FP32", "shape": [2], "data": [0.9, 0.1]},
            {"name": "verdict", "datatype": "BYTES", "shape": [2], "data": ["spam", "ham"]},
        ],
    }  # fmt: skip
    assert HEADER_LENGTH not in response.headers


async def test_binary_in_binary_out(client: httpx.AsyncClient) -> None:
    """Any bytes go in, 4 bytes of length before each; the same comes out behind the JSON."""
    response = await post_binary(client, packed([SPAM, LUNCH]), [2], parameters={"binary_data_output": True})
    length = int(response.headers[HEADER_LENGTH])
    outputs = json.loads(response.content[:length])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [8, 15]
    assert struct.unpack("<2f", response.content[length : length + 8]) == pytest.approx((0.9, 0.1))
    assert response.content[length + 8 :] == packed([b"spam", b"ham"])


async def test_only_the_outputs_that_are_asked_for(client: httpx.AsyncClient) -> None:
    """In the order of the request, each as binary data or not."""
    wanted = [{"name": "verdict", "parameters": {"binary_data": False}}, {"name": "spam_probability"}]
    response = await post_json(client, tensor(["spam"]), outputs=wanted, parameters={"binary_data_output": True})
    head = json.loads(response.content[: int(response.headers[HEADER_LENGTH])])
    assert [(output["name"], output.get("data")) for output in head["outputs"]] == [
        ("verdict", ["spam"]),
        ("spam_probability", None),
    ]
    (only,) = (await post_json(client, tensor(["spam"]), outputs=[{"name": "verdict"}])).json()["outputs"]
    assert only["data"] == ["spam"]


@pytest.mark.parametrize("data", [["spam", "lunch?"], [["spam"], ["lunch?"]]])
async def test_data_flat_or_nested(client: httpx.AsyncClient, data: Any) -> None:
    """A column of messages, as many clients send it, comes back as a column."""
    outputs = (await post_json(client, tensor(data, [2, 1]))).json()["outputs"]
    assert [output["shape"] for output in outputs] == [[2, 1], [2, 1]]
    assert outputs[1]["data"] == ["spam", "ham"]


async def test_text_is_a_body_without_headers(client: httpx.AsyncClient) -> None:
    """The other input; what is not UTF-8 is told to come as raw_email."""
    assert (await post_json(client, tensor(["spam"], name="text"))).json()["outputs"][1]["data"] == ["spam"]
    head = json.dumps({"inputs": [tensor(shape=[1], name="text", parameters={"binary_data_size": 5})]}).encode()
    response = await client.post(INFER, content=head + packed([b"\xff"]), headers={HEADER_LENGTH: str(len(head))})
    refused(response, 422, "Input text, element 0: this is not UTF-8")


@pytest.mark.parametrize(
    ("raw", "status", "said"), [("", 422, "element 1"), (POISON, 500, "element 1"), ("x" * 101, 413, "element 1")]
)
async def test_a_message_that_cannot_be_scored_refuses_its_request(
    open_app: OpenApp, raw: str, status: int, said: str
) -> None:
    """The protocol has no error for one element: the sentence names it, and nothing is answered for the others."""
    async with open_app(max_message_bytes=100) as (client, _):
        refused(await post_json(client, tensor(["lunch?", raw, "spam"])), status, said)
        assert (await post_json(client, tensor(["lunch?"]))).status_code == 200


BAD_JSON: list[tuple[Any, str]] = [
    ([], "must be an object"),
    ({}, "exactly one input"),
    ({"inputs": {}}, "exactly one input"),
    ({"inputs": ["raw_email"]}, "exactly one input"),
    ({"inputs": [tensor(["x"]), tensor(["x"], name="text")]}, "exactly one input"),
    ({"inputs": [tensor(["x"], name="image")]}, "no input image"),
    ({"inputs": [tensor(["x"], name="From: ann@example.org")]}, "There is no input;"),
    ({"inputs": [tensor(["x"]) | {"datatype": "FP32"}]}, "must be BYTES"),
    *(
        ({"inputs": [tensor(["x"], shape)]}, "must be [N] or [N, 1]")
        for shape in ("1", [], [-1], [True], [1.0], [1, 2], [1, 1, 1], [None])
    ),
    ({"inputs": [tensor([])]}, "is empty"),
    ({"inputs": [tensor(["x"], [2])]}, "has 1 elements, its shape says 2"),
    ({"inputs": [tensor(["x", "y"], [1])]}, "has 2 elements, its shape says 1"),
    ({"inputs": [tensor("x", [1])]}, "needs a list `data`"),
    ({"inputs": [tensor(shape=[1])]}, "needs a list `data`"),
    ({"inputs": [tensor(["x", 1])]}, "element 1: expected a string"),
    ({"inputs": [tensor([["x"]])]}, "element 0: expected a string"),
    ({"inputs": [tensor([["x", "y"]], [1, 1])]}, "element 0: expected a string"),
    ({"inputs": [tensor(["x"], parameters=[])]}, "no object"),
    ({"inputs": [tensor(shape=[1], parameters={"shared_memory_region": "r"})]}, "shared memory"),
    ({"inputs": [tensor(shape=[1], parameters={"binary_data_size": 5})]}, "is needed"),
    ({"inputs": [tensor(["x"], parameters={"binary_data_size": 5})]}, "both data and binary_data_size"),
    ({"inputs": [tensor(["x"])], "id": 7}, "id must be a string"),
    ({"inputs": [tensor(["x"])], "id": "x" * 257}, "id must be a string"),
    ({"inputs": [tensor(["x"])], "parameters": 7}, "no object"),
    ({"inputs": [tensor(["x"])], "parameters": {"binary_data_output": 1}}, "true or false"),
    ({"inputs": [tensor(["x"])], "parameters": {"timeout": "soon"}}, "microseconds"),
    ({"inputs": [tensor(["x"])], "outputs": "verdict"}, "must be a list"),
    ({"inputs": [tensor(["x"])], "outputs": ["verdict"]}, "Cannot give the output;"),
    ({"inputs": [tensor(["x"])], "outputs": [{"name": "logit"}]}, "output logit"),
    ({"inputs": [tensor(["x"])], "outputs": [{"name": "verdict"}] * 2}, "output verdict"),
    ({"inputs": [tensor(["x"])], "outputs": [{"name": "verdict", "parameters": {"classification": 3}}]}, "no classes"),
]


async def test_a_request_that_makes_no_sense_is_told_why(client: httpx.AsyncClient) -> None:
    """Each mistake has a sentence of its own, which does not quote what may be mail."""
    for request_body, said in BAD_JSON:
        refused(await client.post(INFER, json=request_body), 422, said)


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    """Empty, cut off, not UTF-8 or nested without end."""
    for body in (b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs": [{"name": "\xff"}]}'):
        refused(await client.post(INFER, content=body), 422, "not JSON")


BAD_LENGTHS: list[tuple[bytes, Any, Any, str | None, str]] = [
    (packed([LUNCH]), [2], None, None, "has 1 elements, its shape says 2"),
    (packed([LUNCH, LUNCH]), [1], None, None, "more elements than the 1"),
    (packed([LUNCH]) + b"\x01\x02", [2], None, None, "in the middle of the length of element 1"),
    (packed([LUNCH])[:-1], [1], None, None, f"says it has {len(LUNCH)} bytes; {len(LUNCH) - 1} are left"),
    (b"\xff\xff\xff\xff" + LUNCH, [1], None, None, "says it has 4294967295 bytes"),
    (b"\0\0\0\0" * 100_000, [1], None, None, "more elements than the 1"),
    (b"", [1], None, None, "has 0 elements, its shape says 1"),
    (packed([LUNCH]), [1], 2**62, None, "must be the"),
    (packed([LUNCH]), [1], -1, None, "must be the"),
    (packed([LUNCH]), [1], "25", None, "must be the"),
    (packed([LUNCH]), [1], 3, None, "must be the"),
    (packed([LUNCH]), [1], None, "0", HEADER_LENGTH),
    (packed([LUNCH]), [1], None, "-5", HEADER_LENGTH),
    (packed([LUNCH]), [1], None, "9" * 5000, HEADER_LENGTH),
    (packed([LUNCH]), [1], None, "9999", HEADER_LENGTH),
    (packed([LUNCH]), [1], None, "10", "not JSON"),
    (packed([LUNCH]), [1], None, "many", HEADER_LENGTH),
]


async def test_lengths_that_do_not_agree_are_refused(client: httpx.AsyncClient) -> None:
    """Cut short, too long, or claiming what is not there: a sentence each, and no memory is set aside for a claim."""
    for binary, shape, size, length, said in BAD_LENGTHS:
        refused(await post_binary(client, binary, shape, size, length), 422, said)


async def test_binary_data_that_nothing_asks_for_is_refused(client: httpx.AsyncClient) -> None:
    """Bytes behind the JSON without a binary_data_size are a mistake, not a message."""
    head = json.dumps({"inputs": [tensor(["lunch?"])]}).encode()
    response = await client.post(INFER, content=head + b"more", headers={HEADER_LENGTH: str(len(head))})
    refused(response, 422, "4 bytes follow the JSON")


async def test_the_limits_are_those_of_the_service(open_app: OpenApp) -> None:
    """Too many messages, and too many bytes, are 413; what is compressed is 415."""
    async with open_app(max_messages_per_request=2, max_message_bytes=50, max_request_bytes=400) as (client, _):
        refused(await post_json(client, tensor(["x"] * 3)), 413, "at most 2")
        refused(await post_json(client, tensor(["x"], [2**60])), 413, "at most 2")
        refused(await post_json(client, tensor(["x" * 500])), 413, "at most 400 bytes")
        refused(await client.post(INFER, content=b"x", headers={"Content-Encoding": "gzip"}), 415, "Content-Encoding")
        refused(await client.post(INFER, content=b"x", headers={"Content-Type": "text/plain"}), 415)


async def test_keys_are_asked_for_and_probes_are_open(open_app: OpenApp) -> None:
    """As under /v1."""
    async with open_app(api_keys="secret") as (client, _):
        for path in ("/v2", "/v2/models/hamlet"):
            refused(await client.get(path), 401)
            assert (await client.get(path, headers={"Authorization": "Bearer secret"})).status_code == 200
        refused(await post_json(client, tensor(["x"])), 401)
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/hamlet/ready"):
            assert (await client.get(path)).status_code == 200


async def test_no_room_no_time_and_draining(open_app: OpenApp, classifier: FakeClassifier) -> None:
    """429 and 503 say when to come back; a deadline in the header or in the request gives 504."""
    async with open_app(max_messages_in_flight=2, max_messages_per_request=2, max_batch_messages=2) as (client, state):
        classifier.may_score.clear()
        late = await client.post(INFER, json={"inputs": [tensor(["x"])]}, headers={"X-Request-Timeout-Ms": "50"})
        refused(late, 504)
        refused(await post_json(client, tensor(["x"]), parameters={"timeout": 50_000}), 504)
        classifier.may_score.set()
        with state.batcher.reserve(1, state.clock.now() + 30):
            full = await post_json(client, tensor(["x", "y"]))
        refused(full, 429)
        assert int(full.headers["Retry-After"]) >= 1
        refused(await client.post(INFER, content=b"{}", headers={"X-Request-Timeout-Ms": "soon"}), 422)
        state.draining = state.refusing_work = True
        for response in (await post_json(client, tensor(["x"])), await client.get("/v2/health/ready")):
            refused(response, 503)
            assert response.headers["Retry-After"]


async def test_a_surprise_is_told_in_the_shape_of_the_protocol(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw is a 500 with a sentence, not the error body of /v1."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("service.routers.oip.encode_infer_response", fail)
    refused(await post_json(client, tensor(["x"])), 500)
