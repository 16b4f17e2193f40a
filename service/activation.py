"""Putting a version into service: load it beside the old one, warm it up, test it, write it down, swap."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from classifier.errors import ArtifactAwayError, ArtifactError, HamletError
from service.errors import ApiError, ErrorCode
from service.metrics import Metrics
from service.model_folder import ModelVersions
from service.models import ActiveModel
from service.predictor import Predictor

log = logging.getLogger(__name__)


class Activation:
    """Activates one version after the other. Whatever goes wrong with a new one, the old one stays in service."""

    def __init__(
        self, folder: ModelVersions, predictor: Predictor, metrics: Metrics, on_swap: Callable[[], None] = lambda: None
    ) -> None:
        self.version: str | None = None
        self.recorded = True
        self.refused: dict[str, str] | None = None
        self._folder = folder
        self._predictor = predictor
        self._metrics = metrics
        self._on_swap = on_swap
        self._one_at_a_time = asyncio.Lock()
        self._seen: object = None

    async def start(self, version: str | None = None, recorded: bool = True) -> ActiveModel:
        """Put the first version into service.

        Args:
            version: which; without it the one that the file `active` names.
            recorded: False when `version` is in service although the file names another one.

        Raises:
            HamletError: it cannot be used.
        """
        async with self._one_at_a_time:
            if self._predictor.model is not None:  # another worker was faster, and had one activated
                return self._predictor.model
            seen = await self._predictor.load(self._folder.active_state)
            if version is None:
                version = await self._predictor.load(self._folder.active_version)
                self._seen = seen
            elif not recorded:
                self._seen = seen
            model = await self._predictor.prepare(partial(self._folder.load, version))
            self._swap(version, model, recorded)
            return model

    async def activate(self, version: str, *, record: bool = True, recorded: bool = True) -> dict[str, Any]:
        """Put a version into service; returns what POST /v1/models/{version}/activate answers, when it is there.

        Args:
            version: the name of a folder of versions.
            record: write it to the file `active`, where the folder can be written.
            recorded: without `record`, whether somebody else has written it there.

        Raises:
            ApiError: not_found, or model_refused with the reason; the old version stays.
        """
        async with self._one_at_a_time:
            if version not in await self._predictor.load(self._folder.names):
                raise ApiError(ErrorCode.NOT_FOUND, f"There is no version {version!r:.80}; GET /v1/models lists them.")
            model = previous = self._predictor.model
            try:
                if model is None or version != self.version:
                    model = await self._predictor.prepare(partial(self._folder.load, version))
                if record:
                    recorded = await self._predictor.load(partial(self._folder.set_active, version))
            except Exception as error:
                raise self._refuse(version, error) from error
            # A file that could not be written counts again when somebody else writes it.
            self._seen = None if recorded else await self._predictor.load(self._folder.active_state)
            if model is not self._predictor.model:
                self._swap(version, model, recorded)
                self._metrics.model_reloaded("activated")
                log.info("model activated", extra={"fields": {**model.identity, "recorded": recorded}})
            self.recorded = recorded
            replaced = previous.classifier.version if previous else None
            return {**model.identity, "previous": replaced, "recorded": recorded}

    async def follow_file(self) -> None:
        """Activate what the file `active` names now. What is refused is tried again when it is written anew."""
        seen = await self._predictor.load(self._folder.active_state)
        if seen is None or seen == self._seen:
            return
        try:
            version = await self._predictor.load(self._folder.active_version)
        except ArtifactAwayError as error:
            log.warning("the file `active` is looked at again later: %s", error)
            return
        except ArtifactError as error:
            self._refuse("active", error)
        else:
            if version != self.version:
                try:
                    await self.activate(version, record=False)
                except ApiError as error:
                    if error.code is ErrorCode.NOT_FOUND:
                        self._refuse(version, error)
                    if isinstance(error.__cause__, ArtifactAwayError):
                        return  # the store may be back at the next look
        self._seen = seen

    async def watch_file(self, every_s: float) -> None:
        """Follow the file `active` for ever, looking every so many seconds."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.follow_file()
            except Exception as error:  # a bug of ours; the model in service does not depend on it
                log.error("following the file `active` failed", exc_info=error)

    def _swap(self, version: str, model: ActiveModel, recorded: bool) -> None:
        self._predictor.model = model
        self.version, self.recorded, self.refused = version, recorded, None
        self._on_swap()
        self._folder.remember(version)
        self._metrics.model_activated(model.classifier.version, model.classifier.digest)

    def _refuse(self, version: str, error: Exception) -> ApiError:
        if not isinstance(error, HamletError | OSError):
            log.error("activating a model failed", exc_info=error)
        why = str(error) if isinstance(error, HamletError | OSError) else type(error).__name__
        message = f"Version {version} cannot be served, {self.version} stays in service: {why}"
        self._metrics.model_reloaded("refused")
        log.error("model refused", extra={"fields": {"version": version, "why": why}})
        self.refused = {
            "version": version,
            "message": message,
            "at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        }
        return ApiError(ErrorCode.MODEL_REFUSED, message)
