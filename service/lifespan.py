"""What happens when the app starts and ends."""

import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI

from service.keys import open_doors
from service.settings import unknown_variables
from service.state import ServiceState

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the parts and load the model behind the first answers; on the way out, stop them."""
    state = app.state.service
    assert isinstance(state, ServiceState)
    if state.is_first:
        unknown = unknown_variables()
        if unknown:
            log.warning("these variables are no settings of this version and do nothing: %s", ", ".join(unknown))
        doors = open_doors(state.settings)
        if doors:
            log.warning(doors)
    state.start()
    try:
        yield
    finally:
        await state.stop()
