"""Several worker processes on one socket: starts them, replaces those that die, ends them, keeps them on one model.

The supervisor never loads torch and answers no request. A worker is a fresh process (exec), not a fork of one in
which threads have run.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client.multiprocess import mark_process_dead

from service.channel import Channel, ChannelClosedError, Content
from service.connection_shares import ConnectionShares, shared_numbers
from service.errors import ErrorCode
from service.metrics_folder import metrics_folder
from service.settings import Settings

log = logging.getLogger(__name__)

TICK_S = 1.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# Workers are heard every second; one that is late by less than this is busy, not stuck.
SHORTEST_SILENCE_S = 5.0
LONGEST_END_S = 30.0
# After the drain uvicorn closes connections for up to 5 s.
END_MARGIN_S = 10.0


@dataclass(eq=False)
class WorkerProcess:
    """One running worker."""

    number: int
    process: asyncio.subprocess.Process
    channel: Channel
    reading: asyncio.Task[None]
    serving: bool = False
    heard: bool = False
    silent_ticks: int = 0


class Supervisor:
    """Runs `HAMLET_WORKERS` workers until a signal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: set[WorkerProcess] = set()
        self._draining = asyncio.Event()
        self._was_ready = False
        self._exit_code = 0
        self._version: str | None = None
        self._recorded = True
        self._activating = asyncio.Lock()
        self._shares = -1  # the descriptor of the workers' numbers of connections

    def run(self) -> int:
        """Serve; return 0 when every worker ended cleanly after a signal, else 1."""
        config = uvicorn.Config("", host=self._settings.host, port=self._settings.port, log_config=None)
        try:
            listening = config.bind_socket()
        except SystemExit:  # uvicorn could not bind; it has logged why
            return 1
        with listening, metrics_folder() as metrics, shared_numbers(self._settings.workers) as self._shares:
            asyncio.run(self._run(listening, metrics))
        return self._exit_code

    async def _run(self, listening: socket.socket, metrics: Path) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        watching = asyncio.create_task(self._watch())
        keeping = [
            asyncio.create_task(self._keep(number, listening, metrics))
            for number in range(1, self._settings.workers + 1)
        ]
        draining = asyncio.create_task(self._draining.wait())
        await asyncio.wait((draining, *keeping), return_when=asyncio.FIRST_COMPLETED)
        if not self._draining.is_set():
            self._drain()
        # Only the workers hold the socket now: when the last one closes it, a connection is refused, not left waiting.
        listening.close()
        _, late = await asyncio.wait(
            keeping, timeout=self._settings.drain_delay_s + self._settings.drain_timeout_s + END_MARGIN_S
        )
        if late:
            log.error("killing %d workers that did not end in time", len(late))
            self._send_signal(signal.SIGKILL)
        for result in await asyncio.gather(*keeping, return_exceptions=True):
            if isinstance(result, BaseException):  # a bug of ours
                log.error("the supervisor failed", exc_info=result)
                self._exit_code = 1
        watching.cancel()

    def _signalled(self, number: signal.Signals) -> None:
        if not self._draining.is_set():
            log.info("draining", extra={"fields": {"signal": number.name, "workers": len(self._workers)}})
        self._drain()

    def _drain(self) -> None:
        self._draining.set()
        self._send_signal(signal.SIGTERM)  # the second one makes a worker end at once

    def _send_signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(number)

    async def _keep(self, number: int, listening: socket.socket, metrics: Path) -> None:
        """Keep one worker running until the drain."""
        pause_s = FIRST_PAUSE_S
        is_first = number == 1
        while not self._draining.is_set():
            worker = await self._start(number, listening, metrics, is_first=is_first)
            code = await worker.process.wait()
            await worker.reading
            self._workers.discard(worker)
            ConnectionShares(self._shares, number).leave()
            mark_process_dead(worker.process.pid, str(metrics))
            if self._draining.is_set():
                # Only one that has not begun to serve, and so has accepted nothing, dies of the signal.
                if code not in (0, -signal.SIGTERM):
                    self._failed(f"worker {number} ended with {_how(code)}")
                return
            if not self._was_ready:
                self._failed(f"worker {number} ended with {_how(code)} before any could answer")
                return
            is_first = False
            pause_s = 0.0 if worker.serving else min(max(pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            log.error(
                "worker died, starting another",
                extra={"fields": {"worker": number, "died_of": _how(code), "pause_s": pause_s}},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), pause_s)

    async def _start(self, number: int, listening: socket.socket, metrics: Path, *, is_first: bool) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (listening.fileno(), theirs.fileno(), self._shares)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "service.worker",
                *map(str, (number, *descriptors)),
                pass_fds=descriptors,
                env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
                process_group=0,  # Ctrl-C is for the supervisor, which passes it on once
            )

        async def answer(question: Content) -> Content:
            if question["what"] == "start":
                return {"is_first": is_first, "version": self._version, "recorded": self._recorded}
            return await self._activate(worker, question["version"])

        channel = await Channel.open(ours, answer, lambda news: self._hear(worker, news))
        worker = WorkerProcess(number, process, channel, asyncio.create_task(channel.run()))
        self._workers.add(worker)
        if self._draining.is_set():
            process.send_signal(signal.SIGTERM)
        return worker

    def _hear(self, worker: WorkerProcess, news: Content) -> None:
        worker.heard, worker.silent_ticks = True, 0
        if news["what"] != "serving":
            return
        # The first news of a worker may be older than an activation, of which it has been asked already.
        if worker.serving or self._version is None:
            self._version, self._recorded = news["version"], news["recorded"]
        worker.serving = self._was_ready = True
        log.info("worker serving", extra={"fields": {"worker": worker.number, "pid": worker.process.pid, **news}})

    async def _activate(self, first: WorkerProcess, version: str) -> Content:
        """Activate a version in the worker that was asked; if it can, in all others."""
        async with self._activating:
            try:
                activated = await first.channel.ask(what="load", version=version, record=True, recorded=False)
            except ChannelClosedError:
                message = f"The worker process died while it loaded version {version}; the old version stays."
                return {"error": {"code": ErrorCode.MODEL_REFUSED.value, "message": message}}
            if "error" in activated:
                return activated
            self._version, self._recorded = version, activated["recorded"]
            # Those too that are still starting, with the version that they were told before: they answer when they can.
            others = [worker for worker in self._workers if worker is not first]
            await asyncio.gather(*(self._bring_along(one, version, activated["recorded"]) for one in others))
            return activated

    async def _bring_along(self, worker: WorkerProcess, version: str, recorded: bool) -> None:
        try:
            answer = await worker.channel.ask(what="load", version=version, record=False, recorded=recorded)
        except ChannelClosedError:
            return  # another takes its place, and starts with the new version
        if "error" in answer:
            log.error("worker %d cannot follow, and ends: %s", worker.number, answer["error"]["message"])
            with contextlib.suppress(ProcessLookupError):
                worker.process.terminate()

    async def _watch(self) -> None:
        """Kill a worker whose event loop does not turn. Ticks are counted, so that a pause of all kills none."""
        while not self._draining.is_set():  # an end has its own limit on time
            await asyncio.sleep(TICK_S)
            for worker in self._workers:
                worker.silent_ticks += worker.heard
                # One that has closed its channel is ending, and may take its time to leave Python.
                silence_s = LONGEST_END_S if worker.reading.done() else SHORTEST_SILENCE_S
                if worker.silent_ticks * TICK_S >= max(self._settings.stall_s, silence_s):
                    log.error("killing worker %d: nothing heard for %d s", worker.number, worker.silent_ticks * TICK_S)
                    with contextlib.suppress(ProcessLookupError):
                        worker.process.kill()

    def _failed(self, why: str) -> None:
        log.error(why)
        self._exit_code = 1


def _how(code: int) -> Any:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
