"""The classifier behind LitServe with its batching, up to 32 requests within 10 ms. `python -m ... PORT MODEL`."""

import sys
from typing import Any

import litserve

from tests.benchmarks.frameworks.model import Model


class Api(litserve.LitAPI):  # type: ignore[misc]  # it ships no types
    """Decodes and encodes in its workers by default; the model gets a list of requests."""

    def setup(self, device: str) -> None:
        """Load the model in the worker process."""
        self.model = Model(sys.argv[2])

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the requests as they are."""
        return list(inputs)

    def predict(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score the messages of all requests."""
        return self.model.score(requests)

    def unbatch(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One answer for each request, in order."""
        return outputs


if __name__ == "__main__":
    litserve.LitServer(Api(max_batch_size=32, batch_timeout=0.01), accelerator="cpu", timeout=60).run(
        port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
