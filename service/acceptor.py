"""Takes connections from a socket on which other workers accept too, so that each worker gets its share of them."""

import asyncio
import logging
import socket
from collections.abc import Callable

from service.connection_shares import ConnectionShares

log = logging.getLogger(__name__)

_LOOK_S = 0.001
_LOOKS = 10  # a worker that is busy or stuck for longer is not waited for
_OUT_OF_DESCRIPTORS_S = 1.0


class Acceptor:
    """Accepts connections until closed; stands where uvicorn has an `asyncio.Server`.

    The event loop's own takes all that wait at once: of four clients that come together one worker would get all.
    This one takes them one by one, and leaves them to a worker that has fewer for a moment.
    """

    def __init__(
        self,
        listening: socket.socket,
        backlog: int,
        shares: ConnectionShares,
        connect: Callable[[], asyncio.Protocol],
        open_now: Callable[[], int],
    ) -> None:
        """Begin to listen and to accept; call inside the event loop.

        Args:
            connect: makes the protocol of a connection.
            open_now: how many connections this worker has.
        """
        listening.setblocking(False)
        listening.listen(backlog)
        self._listening = listening
        self._shares = shares
        self._connect = connect
        self._open_now = open_now
        self._task = asyncio.create_task(self._run(), name="accept")

    def close(self) -> None:
        """Accept no more; the socket may be closed afterwards."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._task.cancel()
        self._shares.leave()

    async def wait_closed(self) -> None:
        """Return when nothing is accepted any more."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._shares.set(self._open_now())
            await self._something_waits()
            await self._let_others_go_first()
            try:
                await self._take_one()
            except (BlockingIOError, ConnectionError):
                continue  # another worker was first, or the client has gone
            except Exception as error:  # a worker that accepts no more would look alive
                log.error("cannot accept a connection: %s", error)
                await asyncio.sleep(_OUT_OF_DESCRIPTORS_S)

    async def _take_one(self) -> None:
        connection, _ = self._listening.accept()
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._connect, connection)
        except BaseException:
            connection.close()
            raise

    async def _something_waits(self) -> None:
        loop = asyncio.get_running_loop()
        waits = loop.create_future()

        def wake() -> None:
            loop.remove_reader(self._listening)  # while this worker lets others go first, it does not look
            waits.set_result(None)

        loop.add_reader(self._listening, wake)
        await waits

    async def _let_others_go_first(self) -> None:
        for _ in range(_LOOKS):
            self._shares.set(self._open_now())
            if not self._shares.another_has_fewer():
                return
            await asyncio.sleep(_LOOK_S)
