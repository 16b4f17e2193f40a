"""The classifier behind Ray Serve with its batching, up to 32 requests within 10 ms. `python -m ... PORT MODEL`."""

import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from classifier.threads import available_cores
from tests.benchmarks.frameworks.model import Model


# One replica with all cores, as the model uses them; Ray sets the threads of torch by num_cpus.
@serve.deployment(max_ongoing_requests=256, ray_actor_options={"num_cpus": available_cores()})
class Deployment:
    """One replica."""

    def __init__(self, folder: str) -> None:
        self.model = Model(folder)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)  # type: ignore[untyped-decorator]  # Ray's lacks types
    async def score(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score the messages of all requests of a batch."""
        return self.model.score(requests)

    async def __call__(self, request: Request) -> Any:
        """Answer one request."""
        return await self.score(await request.json())


if __name__ == "__main__":
    ray.init(num_cpus=available_cores(), include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Deployment.bind(sys.argv[2]), route_prefix="/predict")  # type: ignore[attr-defined]  # the decorator adds it
    while True:
        time.sleep(1)
