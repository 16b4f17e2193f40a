"""`python -m service.worker`: one of several processes that accept on one socket; started by the supervisor alone."""

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Any

from classifier.errors import HamletError
from service.app import create_app
from service.channel import Channel, ChannelClosedError, Content
from service.connection_shares import ConnectionShares
from service.errors import ApiError, ErrorCode, api_error
from service.logs import configure_logging
from service.process_setup import set_up_process
from service.server import DrainingServer, make_server
from service.settings import Settings, load_settings
from service.state import ServiceState

log = logging.getLogger(__name__)

BEAT_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal, or until the supervisor has gone; return 0 after a clean end.

    Args:
        arguments: the worker's number, the descriptor of the listening socket, that of the channel, that of the
            numbers of connections.
    """
    given = sys.argv[1:] if arguments is None else arguments
    number, listening, channel, shares = (int(argument) for argument in given)
    settings = load_settings()
    set_up_process(settings.inference_threads)
    configure_logging(settings.log_level, worker=number)
    sockets = socket.socket(fileno=listening), socket.socket(fileno=channel)
    worker = Worker(settings, *sockets, ConnectionShares(shares, number))
    with asyncio.Runner(loop_factory=worker.server.config.get_loop_factory()) as runner:
        return runner.run(worker.run())


class Worker:
    """The service, and its talk with the supervisor."""

    def __init__(
        self, settings: Settings, listening: socket.socket, channel: socket.socket, shares: ConnectionShares
    ) -> None:
        app = create_app(settings)
        self.state: ServiceState = app.state.service
        self.server: DrainingServer = make_server(app, self.state, settings)
        self.server.shares = shares
        self._listening = listening
        self._channel_end = channel
        self._told: tuple[str | None, bool] | None = None
        self._broken = False

    async def run(self) -> int:
        """Serve; return the exit code."""
        channel = await Channel.open(self._channel_end, self._answer)
        listen = asyncio.create_task(self._listen(channel), name="channel")
        start = await channel.ask(what="start")
        state = self.state
        state.is_first = start["is_first"]
        state.begin_with = (start["version"], start["recorded"])
        state.activate = lambda version: _activate_everywhere(channel, version)
        beat = asyncio.create_task(self._beat(channel), name="beat")
        if not state.is_first:
            # The others answer; this one accepts nothing that it would have to refuse.
            state.start()
            await state.started()
        if state.failure is None:
            await self.server.serve([self._listening])
        else:
            await state.stop()
        for task in (beat, listen):
            task.cancel()
        await asyncio.gather(beat, listen, return_exceptions=True)
        if state.failure is not None:
            log.error("the worker cannot start: %s", state.failure)
        return 1 if state.failure is not None or self._broken else 0

    async def _listen(self, channel: Channel) -> None:
        await channel.run()
        log.error("the supervisor has gone; finishing what was accepted")
        self.server.drain("the supervisor has gone")

    async def _answer(self, question: Content) -> Content:
        try:
            return await self.state.activation.activate(
                question["version"], record=question["record"], recorded=question["recorded"]
            )
        except Exception as error:
            refusal = api_error(error)
            return {"error": {"code": refusal.code.value, "message": str(refusal)}}

    async def _beat(self, channel: Channel) -> None:
        """Tell every second that the event loop turns, and what is in service."""
        activation = self.state.activation
        while True:
            channel.tell(what="alive")
            if self.state.model is not None:
                if self._told != (activation.version, activation.recorded):
                    self._told = (activation.version, activation.recorded)
                    channel.tell(what="serving", version=activation.version, recorded=activation.recorded)
                self._end_when_broken()
            self.state.metrics.refresh()
            await asyncio.sleep(BEAT_S)

    def _end_when_broken(self) -> None:
        reason = self.state.why_not_ready()
        if reason is not None and reason.code is ErrorCode.WORKER_DEAD and not self._broken:
            log.error("%s This worker ends, another takes its place.", reason)
            self._broken = True
            self.server.stop()


async def _activate_everywhere(channel: Channel, version: str) -> dict[str, Any]:
    try:
        answer = await channel.ask(what="activate", version=version)
    except ChannelClosedError:
        raise ApiError(ErrorCode.DRAINING, "The service is shutting down; send this to another instance.") from None
    if "error" in answer:
        raise ApiError(ErrorCode(answer["error"]["code"]), answer["error"]["message"])
    return answer


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HamletError as error:
        sys.exit(f"hamlet: {error}")
