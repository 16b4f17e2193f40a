"""The stock client of Triton and KServe against the service as people start it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import mail_files
from tests.service.process import ROOT, Process

TOLERANCE = 1e-4
MAILS = [path.read_bytes() for path in mail_files("spam", "ham", "defects")[::9]]
LUNCH = b"From: ann@example.org\r\nSubject: lunch\r\n\r\nAre you free at noon? The usual place."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    log = tmp_path_factory.mktemp("log") / "stderr"
    with Process(log, HAMLET_LOG_LEVEL="warning", HAMLET_MAX_MESSAGES_PER_REQUEST="50") as process:
        process.wait_until(process.ready)
        yield process


@pytest.fixture(scope="module")
def client(service: Process) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    yield client
    client.close()


def bytes_input(elements: list[bytes], *, name: str = "raw_email", binary: bool = True) -> Any:
    one = triton.InferInput(name, [len(elements)], "BYTES")
    one.set_data_from_numpy(np.array(elements, dtype=np.object_), binary_data=binary)
    return one


def answers(result: Any) -> tuple[list[float], list[str]]:
    verdicts = [verdict if isinstance(verdict, str) else verdict.decode() for verdict in result.as_numpy("verdict")]
    return result.as_numpy("spam_probability").tolist(), verdicts


def test_metadata_and_probes(client: triton.InferenceServerClient, service: Process) -> None:
    """Live, ready, and what the server and the model say of themselves."""
    version = service.client.get("/v1/model").json()["version"]
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("hamlet")
    assert client.is_model_ready("hamlet", version)
    assert not client.is_model_ready("yorick")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("hamlet", version)
    assert metadata == client.get_model_metadata("hamlet")
    assert metadata["versions"] == [version]


@pytest.mark.parametrize("binary_out", [None, True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_its_scores_are_those_of_the_service(
    client: triton.InferenceServerClient, service: Process, binary_in: bool, binary_out: bool | None
) -> None:
    """BYTES as binary data (its default, both ways) and as JSON: the scores of /v1/predict, in order.

    As JSON go strings, so mail that is no UTF-8 is for binary data alone.
    """
    mails = MAILS if binary_in else [mail for mail in MAILS if is_utf8(mail)]
    outputs = None
    if binary_out is not None:
        names = ("spam_probability", "verdict")
        outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    result = client.infer("hamlet", [bytes_input(mails, binary=binary_in)], outputs=outputs, request_id="7")
    expected = service.scores(mails)
    probabilities, verdicts = answers(result)
    assert probabilities == pytest.approx([one["spam_probability"] for one in expected], abs=TOLERANCE)
    assert verdicts == [one["verdict"] for one in expected]
    assert result.get_response()["id"] == "7"
    assert result.as_numpy("spam_probability").dtype == np.float32


def test_text_without_headers(client: triton.InferenceServerClient, service: Process) -> None:
    """The other input is the text of a message; the scores are those of the field `text`."""
    texts = ["Are you free at noon?", "Claim your prize of $1,000,000 now"]
    probabilities, _ = answers(client.infer("hamlet", [bytes_input([t.encode() for t in texts], name="text")]))
    messages = [{"text": text} for text in texts]
    expected = service.client.post("/v1/predict", json={"messages": messages}).json()["results"]
    assert probabilities == pytest.approx([one["spam_probability"] for one in expected], abs=TOLERANCE)


def test_errors_are_sentences(client: triton.InferenceServerClient) -> None:
    """What the client shows is what the service said, not that it could not read it."""

    def said(inputs: list[Any], model: str = "hamlet", **more: Any) -> str:
        with pytest.raises(InferenceServerException) as raised:
            client.infer(model, inputs, **more)
        return str(raised.value)

    lunch = bytes_input([LUNCH])
    assert said([lunch], "yorick").startswith("[404] What is served here is model hamlet, version ")
    assert said([lunch], model_version="1").startswith("[404] What is served here is model hamlet, version ")
    assert said([bytes_input([LUNCH], name="image")]) == "[422] There is no input image; give raw_email or text."
    assert said([bytes_input([LUNCH] * 51)]).startswith("[413] Input raw_email says that it has 51 messages")
    assert said([bytes_input([LUNCH, b""])]).startswith("[422] Input raw_email, element 1: the message is empty")
    assert said([lunch], request_compression_algorithm="gzip") == "[415] Send the body without Content-Encoding."
    assert said([lunch], headers={"X-Request-Timeout-Ms": "soon"}).startswith("[422] X-Request-Timeout-Ms must be")
    logits = [triton.InferRequestedOutput("logit")]
    assert said([lunch], outputs=logits).startswith("[422] Cannot give the output logit; there are")
    with pytest.raises(InferenceServerException, match=r"\[404\] What is served here"):
        client.get_model_metadata("yorick")
    with pytest.raises(InferenceServerException, match=r"\[404\] There is nothing at this path"):
        client.get_model_config("hamlet")


def test_the_guide_does_what_it_says(service: Process) -> None:
    """Its program and its command run as they are printed."""
    guide = (ROOT / "docs/inference-protocol.md").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    (program,), (command,) = (re.findall(rf"```{kind}\n(.*?)```", guide, re.DOTALL) for kind in ("python", "sh"))

    def printed(*arguments: str) -> str:
        return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout

    assert re.fullmatch(r"0\.9\d+ spam\n0\.0\d+ ham\n", printed(sys.executable, "-c", program))
    assert '"model_name":"hamlet"' in printed("sh", "-c", command)


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
