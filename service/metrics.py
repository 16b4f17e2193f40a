"""What the service counts, under the names of the HTTP contract. One registry per app, so that tests do not share."""

import os
from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PROBABILITIES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
MESSAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (64, 256, 1024, 4096, 8192, 16384, 32768, 65536)
RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


class Metrics:
    """The instruments; also the observer of the batcher.

    In a worker process, which has a folder for them in its environment, they are kept in files there, and what is
    shown is that of all workers together. Gauges are then as old as the last `refresh` of each worker.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._shared_folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._in_service: tuple[str, str] | None = None
        if self._shared_folder is None:
            ProcessCollector(registry=registry)
        self.requests = Counter("hamlet_requests", "Requests.", ["route", "code"], registry=registry)
        self.request_seconds = Histogram(
            "hamlet_request_seconds", "Whole requests.", ["route"], buckets=SECONDS, registry=registry
        )
        self.parse_seconds = Histogram(
            "hamlet_parse_seconds", "Decoding, parsing and tokenising of a request.", buckets=SECONDS, registry=registry
        )
        self.queue_seconds = Histogram(
            "hamlet_queue_seconds", "A message waiting for a batch.", buckets=SECONDS, registry=registry
        )
        self.inference_seconds = Histogram(
            "hamlet_inference_seconds", "A batch in the model.", buckets=SECONDS, registry=registry
        )
        self.batch_messages = Histogram(
            "hamlet_batch_messages", "Messages in a batch.", buckets=MESSAGES, registry=registry
        )
        self.batch_tokens = Histogram(
            "hamlet_batch_tokens", "Tokens in a batch, padding left out.", buckets=TOKENS, registry=registry
        )
        self.padding_ratio = Histogram(
            "hamlet_padding_ratio",
            "Padding in a batch, were it padded to its longest message.",
            buckets=RATIOS,
            registry=registry,
        )
        self.queue_messages = Gauge(
            "hamlet_queue_messages", "Messages waiting for a batch.", registry=registry, multiprocess_mode="livesum"
        )
        self.queue_tokens = Gauge(
            "hamlet_queue_tokens", "Tokens waiting for a batch.", registry=registry, multiprocess_mode="livesum"
        )
        self.rejected = Counter("hamlet_rejected", "Requests refused for lack of room.", ["reason"], registry=registry)
        self.dropped = Counter(
            "hamlet_dropped", "Messages taken off the queue unscored.", ["reason"], registry=registry
        )
        self.predictions = Counter("hamlet_predictions", "Messages scored.", ["verdict"], registry=registry)
        self.spam_probability = Histogram(
            "hamlet_spam_probability", "Scores given.", ["version"], buckets=PROBABILITIES, registry=registry
        )
        self.feedback = Counter(
            "hamlet_feedback", "Messages learned, relabelled or forgotten.", ["label", "outcome"], registry=registry
        )
        self.model_info = Gauge(
            "hamlet_model_info",
            "1 for the model in service.",
            ["version", "digest"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.model_reloads = Counter(
            "hamlet_model_reloads",
            "Other versions put into service (`activated`) or not (`refused`).",
            ["result"],
            registry=registry,
        )
        self.ready = Gauge(
            "hamlet_ready", "1 when the service can answer now.", registry=registry, multiprocess_mode="livemax"
        )
        self.workers_ready = Gauge(
            "hamlet_workers_ready",
            "Worker processes that can answer now.",
            registry=registry,
            multiprocess_mode="livesum",
        )

        # What every message asks for is found once.
        self._requests_of = cache(self.requests.labels)
        self._request_seconds_of = cache(self.request_seconds.labels)
        self._predictions_of = cache(self.predictions.labels)
        self._spam_probability_of = cache(self.spam_probability.labels)

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._of_all_workers())

    def counted(self, counter: Counter) -> list[tuple[dict[str, str], int]]:
        """Return the labels and values of a counter, of all workers together. Reads files: call it in a thread."""
        (described,) = counter.describe()
        metrics = self._of_all_workers().collect()
        samples = [
            sample for metric in metrics for sample in metric.samples if sample.name == f"{described.name}_total"
        ]
        return [(dict(sample.labels), int(sample.value)) for sample in samples]

    def _of_all_workers(self) -> CollectorRegistry:
        if self._shared_folder is None:
            return self.registry
        self.refresh()
        registry = CollectorRegistry()
        registry.register(_AllWorkers(None, self._shared_folder))  # type: ignore[no-untyped-call]  # its base is untyped
        return registry

    def watch(
        self, queue_messages: Callable[[], float], queue_tokens: Callable[[], float], ready: Callable[[], float]
    ) -> None:
        """Read the gauges from these functions whenever they are asked for."""
        self._watched = [
            (self.queue_messages, queue_messages),
            (self.queue_tokens, queue_tokens),
            (self.ready, ready),
            (self.workers_ready, ready),
        ]
        if self._shared_folder is None:
            for gauge, read in self._watched:
                gauge.set_function(read)

    def refresh(self) -> None:
        """Write the gauges down for the other workers; without other workers they need no writing down."""
        if self._shared_folder is not None:
            for gauge, read in self._watched:
                gauge.set(read())

    def request_finished(self, route: str, code: int, seconds: float) -> None:
        """Count an answered request under its route template."""
        self._requests_of(route, str(code)).inc()
        self._request_seconds_of(route).observe(seconds)

    def message_scored(self, verdict: str, probability: float, version: str) -> None:
        """Count one verdict."""
        self._predictions_of(verdict).inc()
        self._spam_probability_of(version).observe(probability)

    def feedback_given(self, label: str, outcome: str) -> None:
        """Count what became of a report, or that a message was forgotten."""
        self.feedback.labels(label, outcome).inc()

    def model_activated(self, version: str, digest: str) -> None:
        """Name the model that is in service from now on."""
        if self._in_service is not None:
            if self._shared_folder is None:
                self.model_info.remove(*self._in_service)
            else:  # a series cannot leave the files; 0 is left out when they are shown
                self.model_info.labels(*self._in_service).set(0)
        self._in_service = (version, digest)
        self.model_info.labels(version, digest).set(1)

    def model_reloaded(self, result: str) -> None:
        """Another version was `activated` or `refused`."""
        self.model_reloads.labels(result).inc()

    def batch_scored(self, messages: int, tokens: int, padded_tokens: int, seconds: float) -> None:
        """A batch came back from the model."""
        self.inference_seconds.observe(seconds)
        self.batch_messages.observe(messages)
        self.batch_tokens.observe(tokens)
        self.padding_ratio.observe((padded_tokens - tokens) / padded_tokens if padded_tokens else 0.0)

    def message_waited(self, seconds: float) -> None:
        """A message left the queue for a batch."""
        self.queue_seconds.observe(seconds)

    def messages_dropped(self, reason: str, count: int) -> None:
        """Messages left the queue unscored."""
        self.dropped.labels(reason).inc(count)

    def request_rejected(self, reason: str) -> None:
        """A request was refused."""
        self.rejected.labels(reason).inc()


class _AllWorkers(MultiProcessCollector):
    """The metrics of all workers, without the models that no worker has in service any more."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():  # type: ignore[no-untyped-call]  # of prometheus_client, which has no types there
            if metric.name == "hamlet_model_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
