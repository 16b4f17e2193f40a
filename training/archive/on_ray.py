"""The pieces of an archive on a Ray cluster, by Ray Data: what a killed process had is done again by another."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.errors import ConfigError
from training.archive.places import Results
from training.archive.reading import Source
from training.archive.run import Piece, do_piece
from training.archive.work import Work

_Batch = dict[str, NDArray[Any]]


def run_on_ray(
    left: Sequence[Piece], folder: str, work: Work, workers: int | None, address: str | None
) -> Iterator[int]:
    """Do pieces on a cluster; yield the messages of each as it is done.

    Args:
        left: the pieces.
        folder: of results; every machine has to reach it, and the mail and the model, under the same path.
        work: what is done with a block.
        workers: processes, each of which takes a core; all cores of the cluster without it.
        address: of a running cluster; without it one is started on this machine, and ended afterwards.

    Raises:
        ConfigError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray: pip install 'hamlet[ray]'")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import ray.data

    settings: dict[str, Any] = {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        number = workers or int(ray.cluster_resources()["CPU"])
        items = [piece._asdict() for piece in left]
        done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(folder, work),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(number, len(items))),
        )
        for row in done.iter_rows():
            yield int(row["messages"])
    finally:
        ray.shutdown()


class _Actor:
    """A process of the cluster. When it is killed Ray starts another, which does the piece again, parts left out."""

    def __init__(self, folder: str, work: Work) -> None:
        self._results = Results(folder)
        self._sources = [Source(**plain) for plain in json.loads(self._results.read("archive.json"))["sources"]]
        self._suffix = work.suffix
        self._worker = work.worker()

    def __call__(self, batch: _Batch) -> _Batch:
        messages = []
        for values in zip(*(batch[name].tolist() for name in Piece._fields), strict=True):
            piece = Piece(*values)
            source = self._sources[piece.source]
            messages.append(do_piece(self._results, source, self._suffix, self._worker, piece))
        return {"messages": np.array(messages, np.int64)}
