"""Everything one running app owns, and whether it can answer now."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from classifier.errors import HamletError
from service.activation import Activation
from service.batcher import Batcher
from service.batcher_contract import BatcherLimits, OverloadedError, WorkerDeadError
from service.clock import SystemClock
from service.errors import ApiError, ErrorCode, api_error
from service.feedback.database import open_database
from service.feedback.store import FeedbackStore
from service.metrics import Metrics
from service.model_folder import LoadClassifier, model_versions
from service.models import ActiveModel
from service.parsing.parser import Parser
from service.parsing.process import ParseProcess
from service.predictor import Answer, Predictor, Work
from service.scoring import Scoring
from service.settings import Settings

log = logging.getLogger(__name__)


class ServiceState:
    """The parts of the service, put together; `start` and `stop` are called by the lifespan."""

    def __init__(self, settings: Settings, load: LoadClassifier) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.clock = SystemClock()
        self.predictor = Predictor(may_use_cuda=settings.device == "auto")
        limits = BatcherLimits(
            max_messages_in_flight=settings.max_messages_in_flight,
            max_queued_tokens=settings.max_queued_tokens,
            max_batch_messages=settings.max_batch_messages,
            max_batch_tokens=settings.max_batch_tokens,
            batch_wait_s=settings.batch_wait_ms / 1000,
            lookahead_batches=settings.lookahead_batches,
        )
        self.batcher: Batcher[Work, Answer] = Batcher(self.predictor.score, limits, self.metrics, self.clock)
        process = ParseProcess(settings.stall_s) if settings.has_parse_process else None
        self.parser = Parser(settings.parse_threads, process)
        self.scoring = Scoring(self.parser, self.batcher, self.metrics, self.clock)
        self.models = model_versions(settings, load)
        self.activation = Activation(self.models, self.predictor, self.metrics, self.batcher.estimate.reset)
        # How a version gets into service; a worker process asks the supervisor, which tells the others too.
        self.activate: Callable[[str], Awaitable[dict[str, Any]]] = self.activation.activate
        # A worker that joins others begins with the version that they have, and says nothing that they have said.
        self.begin_with: tuple[str | None, bool] = (None, True)
        self.is_first = True
        self.feedback = feedback_store(settings)
        self.on_failure: Callable[[], None] = lambda: None
        self.failure: str | None = None
        self.draining = False
        self.refusing_work = False
        self.active_requests = 0
        self.buffered_bytes = 0
        self._loading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._started_at = time.monotonic()

    @property
    def uptime_s(self) -> float:
        """Seconds since the app was made."""
        return time.monotonic() - self._started_at

    @property
    def model(self) -> ActiveModel | None:
        """The model in service."""
        return self.predictor.model

    def start(self) -> None:
        """Start the threads and begin to load the model; liveness answers meanwhile. A second call does nothing."""
        if self._loading is not None:
            return
        self.metrics.watch(
            lambda: self.batcher.queued_messages,
            lambda: self.batcher.queued_tokens,
            lambda: float(self.why_not_ready() is None),
        )
        self.predictor.start()
        self.batcher.start()
        self._loading = asyncio.create_task(self._load_model(), name="load model")

    async def started(self) -> None:
        """Return when the model is loaded, or could not be."""
        assert self._loading is not None, "started() before start()"
        await asyncio.shield(self._loading)

    async def stop(self) -> None:
        """End the threads; what still waits is failed, not left hanging."""
        for task in (self._loading, self._watching):
            if task is not None:
                task.cancel()
        await self.feedback.stop()
        await self.batcher.stop()
        self.predictor.stop()
        await self.parser.stop()

    async def _load_model(self) -> None:
        try:
            model = await self.activation.start(*self.begin_with)
        except HamletError as error:
            self.failure = str(error)
        except Exception as error:
            log.error("loading the model failed", exc_info=error)
            self.failure = f"The model could not be loaded: {type(error).__name__}."
        else:
            self._watching = asyncio.create_task(
                self.activation.watch_file(self.settings.models_poll_s), name="watch active"
            )
            fields = {**model.identity, "seconds": round(self.uptime_s, 2)}
            log.info("ready", extra={"fields": fields})
            self.feedback.start()  # after the model, whose loading it would slow down
            return
        self.on_failure()

    def why_not_ready(self) -> ApiError | None:
        """Return None when the service can answer now, else the reason."""
        if self.draining:
            return ApiError(ErrorCode.DRAINING, "The service is shutting down.")
        if self.failure is not None:
            return ApiError(ErrorCode.MODEL_NOT_LOADED, f"No model is loaded: {self.failure}")
        if not (self.predictor.alive and self.batcher.alive):
            return ApiError(ErrorCode.WORKER_DEAD, "The inference worker is not running; restart the service.")
        if self.model is None:
            return ApiError(ErrorCode.MODEL_NOT_LOADED, "The model is being loaded.")
        if self.batcher.batch_running_s > self.settings.stall_s:
            return ApiError(
                ErrorCode.WORKER_DEAD, f"The inference worker has been busy for {self.batcher.batch_running_s:.0f} s."
            )
        return None

    @contextlib.contextmanager
    def admitted(self, deadline: float) -> Iterator[ActiveModel]:
        """Count a scoring request while it runs and yield the model it is to use, before its body is read.

        Raises:
            ApiError: draining, model_not_loaded, worker_dead or overloaded.
        """
        self._refuse_when_draining()
        model = self.model
        if model is None:
            raise self.why_not_ready() or ApiError(ErrorCode.MODEL_NOT_LOADED, "The model is being loaded.")
        try:
            self.batcher.check_room(1, deadline)
        except (OverloadedError, WorkerDeadError) as error:
            raise api_error(error) from None
        with self.counted():
            yield model

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request while it runs, so that the drain waits for it.

        Raises:
            ApiError: draining.
        """
        self._refuse_when_draining()
        self.active_requests += 1
        try:
            yield
        finally:
            self.active_requests -= 1

    @contextlib.contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Yield what counts the bytes that a request holds, against the limit of all together, until it is done.

        What is yielded raises ApiError: overloaded.
        """
        held_bytes = 0

        def hold(size_bytes: int) -> None:
            nonlocal held_bytes
            held_bytes += size_bytes
            self.buffered_bytes += size_bytes
            if self.buffered_bytes > self.settings.max_buffered_bytes:
                self.metrics.request_rejected("bytes")
                retry_after_s = self.batcher.retry_after_s()
                raise ApiError(
                    ErrorCode.OVERLOADED,
                    f"The service holds {self.settings.max_buffered_bytes} bytes of requests already; "
                    f"send this again in {retry_after_s} s.",
                    retry_after_s=retry_after_s,
                )

        try:
            yield hold
        finally:
            self.buffered_bytes -= held_bytes

    def _refuse_when_draining(self) -> None:
        if self.refusing_work:
            raise ApiError(ErrorCode.DRAINING, "The service is shutting down; send this to another instance.")


def feedback_store(settings: Settings) -> FeedbackStore:
    """Return the journal that the settings mean, not opened yet."""
    url = settings.database_url.get_secret_value() if settings.database_url is not None else None
    timeout_s = settings.database_timeout_ms / 1000
    database = open_database(url, connections=settings.database_connections, timeout_s=timeout_s)
    return FeedbackStore(
        database,
        connections=settings.database_connections,
        timeout_s=timeout_s,
        retention_days=settings.feedback_retention_days,
    )
