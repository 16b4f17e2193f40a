"""uvicorn with a drain: on SIGTERM the service says that it is not ready, finishes its work and exits 0."""

import asyncio
import logging
import signal
import socket
from types import FrameType
from typing import Any, cast

import uvicorn

from service.acceptor import Acceptor
from service.connection_shares import ConnectionShares
from service.early_refusal import EarlyRefusal
from service.http_protocol import limited_protocol
from service.routers import oip, predict, rspamd
from service.settings import Settings
from service.state import ServiceState

log = logging.getLogger(__name__)

POLL_S = 0.05


class DrainingServer(uvicorn.Server):
    """Serves until a signal, then drains. A second signal ends it at once.

    `shares` is set where other processes accept on the same sockets.
    """

    shares: ConnectionShares | None = None

    def __init__(self, config: uvicorn.Config, state: ServiceState) -> None:
        super().__init__(config)
        self._service = state
        self._drain_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        state.on_failure = self.stop

    def stop(self) -> None:
        """Make the server leave its loop."""
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and where others do so too, in fair shares."""
        if self.shares is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listening in sockets or ():
            acceptor = Acceptor(listening, self.config.backlog, self.shares, self._protocol, self._connections)
            self.servers.append(cast(asyncio.Server, acceptor))

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        return cast(
            asyncio.Protocol,
            protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state),
        )

    def _connections(self) -> int:
        return len(self.server_state.connections)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first signal. Signals are not raised again afterwards: a clean end is exit 0."""
        if self._service.draining or self._loop is None:
            self.force_exit = self.should_exit = True
            return
        self._service.draining = True
        self._loop.call_soon_threadsafe(self._begin_drain, signal.Signals(sig).name)

    def drain(self, why: str) -> None:
        """Begin to drain, unless it has begun; call inside the event loop."""
        if not self._service.draining:
            self._service.draining = True
            self._begin_drain(why)

    def _begin_drain(self, why: str) -> None:
        log.info("draining", extra={"fields": {"why": why}})
        self._drain_task = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        service = self._service
        try:
            await asyncio.sleep(service.settings.drain_delay_s)
            service.refusing_work = True
            async with asyncio.timeout(service.settings.drain_timeout_s):
                while service.active_requests:  # noqa: ASYNC110 - a few looks a second, once in a lifetime
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            log.error("gave up on %d requests", service.active_requests)
        finally:
            self.stop()


def make_server(app: object, state: ServiceState, settings: Settings) -> DrainingServer:
    """Return a server for an app, not started."""
    early = EarlyRefusal(state, (*predict.PATHS, rspamd.CHECK_PATH, *oip.INFER_PATHS))
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own union of ASGI types is private
        host=settings.host,
        port=settings.port,
        http=limited_protocol(settings.max_header_bytes, early.refuse),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return DrainingServer(config, state)
