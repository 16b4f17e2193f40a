"""Does the work of an archive: part by part, on one machine or with Ray, and goes on where a run was stopped.

<out>/archive.json                              what is done, with what, to which files
     /parts/<source>-<block>.parquet            one part a block, written in one step
     /done/<source>-<piece>.json                a piece of a source all of whose parts are there
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from classifier.errors import ConfigError
from classifier.threads import available_cores
from training.archive.places import Results
from training.archive.reading import Source, blocks, find_sources
from training.archive.work import Work, Worker
from training.processes import in_processes
from training.progress import progress, say

ENGINES = ("local", "ray")
# A file that is larger is read by several processes, each of which keeps every so-many-th block.
_PIECE_BYTES = 16 << 20
_MOST_PIECES = 64


class Piece(NamedTuple):
    """The part of a source that one process does at a time."""

    source: int
    number: int
    of: int

    @property
    def name(self) -> str:
        return f"{self.source:06}-{self.number:03}.json"


class Archive:
    """An archive, and the folder of results that belongs to it."""

    def __init__(self, paths: Sequence[str], out: str, what: dict[str, Any], work: Work) -> None:
        """Find the files, and make sure that the folder of results belongs to them.

        Raises:
            DataError: a path holds no mail.
            ConfigError: the folder has the results of something else.
        """
        self.results = Results(out)
        self.sources, notes = find_sources(paths)
        self.work = work
        for note in notes[:20]:
            say(f"note: {note}")
        wanted = {**what, "sources": [_plain(source) for source in self.sources]}
        if self.results.has("archive.json"):
            if json.loads(self.results.read("archive.json")) != wanted:
                raise ConfigError(
                    f"{out} has the results of other mail or another model, or the mail has changed since: give "
                    "another --out"
                )
        else:
            self.results.write("archive.json", json.dumps(wanted).encode())

    def pieces(self) -> list[Piece]:
        """Return all pieces."""
        found = []
        for place, source in enumerate(self.sources):
            of = min(_MOST_PIECES, max(1, math.ceil(source.size / _PIECE_BYTES)))
            found += [Piece(place, number, of) for number in range(of)]
        return found

    def run(self, engine: str, workers: int | None, address: str | None) -> int:
        """Do what is left; return the number of messages in all.

        Raises:
            DataError: a file cannot be read, or workers are lost again and again.
        """
        done = self.results.names("done")
        left = [piece for piece in self.pieces() if piece.name not in done]
        say(f"{len(self.sources)} sources, {len(left)} of {len(self.pieces())} pieces to do")
        if left:
            does = self._with_ray(left, workers, address) if engine == "ray" else self._here(left, workers)
            for _ in progress(does, "pieces", len(left)):
                pass
        self.results.tidy("parts")
        return sum(int(json.loads(self.results.read(f"done/{piece.name}"))["messages"]) for piece in self.pieces())

    def parts(self) -> list[str]:
        """Return the names of all parts, in the order of the mail."""
        return sorted(self.results.names("parts"))

    def _here(self, left: list[Piece], workers: int | None) -> Iterator[int]:
        asked = [(self.sources[piece.source], piece) for piece in left]
        processes = min(workers or available_cores(), len(left))
        return in_processes(partial(_do, self.results.folder, self.work), asked, processes)

    def _with_ray(self, left: list[Piece], workers: int | None, address: str | None) -> Iterator[int]:
        from training.archive.on_ray import run_on_ray

        return run_on_ray(left, self.results.folder, self.work, workers, address)


def do_piece(results: Results, source: Source, suffix: str, worker: Worker, piece: Piece) -> int:
    """Write the parts of a piece that are not there yet, then say that it is done; return its messages."""
    messages = 0
    for number, block in enumerate(blocks(source)):
        if number % piece.of != piece.number:
            continue
        name = f"parts/{piece.source:06}-{number:08}{suffix}"
        if not results.has(name):
            results.write(name, worker(block))
        messages += len(block)
    results.write(f"done/{piece.name}", json.dumps({"messages": messages}).encode())
    return messages


@cache
def _worker(work: Work) -> Worker:
    """Make a worker, once a process."""
    return work.worker()


def _do(folder: str, work: Work, asked: tuple[Source, Piece]) -> int:
    source, piece = asked
    return do_piece(Results(folder), source, work.suffix, _worker(work), piece)


def _plain(source: Source) -> dict[str, Any]:
    plain = dataclasses.asdict(source)
    return {**plain, "names": list(source.names)}
