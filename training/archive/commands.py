"""`python -m training score` and `deduplicate`: an archive on all cores of a machine, or on a Ray cluster."""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from classifier.artifact import active_folder, bundled_models, load_artifact
from classifier.errors import ConfigError
from training.archive.near_copies import write_clusters
from training.archive.run import ENGINES, Archive
from training.archive.work import ScoreWork, SignWork, Work
from training.progress import say


def add_archive_commands(steps: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both to the command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, folders or URLs (s3://, gs://) of mail: .jsonl, .csv, .parquet, .mbox, Maildir, .eml",
    )
    shared.add_argument("--out", required=True, metavar="FOLDER", help="a folder or a URL; run again it goes on there")
    shared.add_argument("--engine", choices=ENGINES, default="local", help="local: this machine; ray: a cluster")
    shared.add_argument("--workers", type=int, metavar="N", help="processes, one a core (all cores without it)")
    shared.add_argument("--address", metavar="HOST:PORT", help="a running Ray cluster; one on this machine without it")

    step = steps.add_parser("score", parents=[shared], help="a score for every message of an archive")
    step.add_argument("--model", type=Path, metavar="FOLDER", help="the version to score with; the bundled one without")
    step.set_defaults(step=_score)

    step = steps.add_parser("deduplicate", parents=[shared], help="clusters of near copies in an archive")
    step.set_defaults(step=_deduplicate)


def _score(options: argparse.Namespace) -> None:
    model = (options.model or active_folder(bundled_models())).resolve()
    artifact = load_artifact(model)
    work = ScoreWork(str(model), artifact.digest)
    archive = _archive(options, {"step": "score", "model": artifact.digest}, work)
    messages = archive.run(options.engine, options.workers, options.address)
    say(f"{messages} messages scored by {artifact.version}, in {options.out}/parts")
    for verdict, count in sorted(_verdicts(archive).items()):
        print(f"{verdict}\t{count}")


def _deduplicate(options: argparse.Namespace) -> None:
    archive = _archive(options, {"step": "deduplicate"}, SignWork())
    messages = archive.run(options.engine, options.workers, options.address)
    with tempfile.TemporaryDirectory(prefix="hamlet-clusters-") as scratch:
        clusters = write_clusters(archive, Path(scratch), messages)
    say(f"{messages} messages in {clusters} clusters of near copies, in {options.out}/clusters")
    print(f"messages\t{messages}\nclusters\t{clusters}")


def _archive(options: argparse.Namespace, what: dict[str, str], work: Work) -> Archive:
    if options.workers is not None and options.workers < 1:
        raise ConfigError("need --workers of at least 1")
    if options.address and options.engine != "ray":
        raise ConfigError("--address is for --engine ray")
    return Archive(options.data, str(options.out), what, work)


def _verdicts(archive: Archive) -> Counter[str]:
    import pyarrow.parquet

    found: Counter[str] = Counter()
    for name in archive.parts():
        # No Python file and no threads of Arrow's: one that still lets go of the file as Python ends aborts the process
        # (pyarrow 26.0.1: 93 of 120 processes that ended after such a read, none of 120 so).
        part = pyarrow.BufferReader(archive.results.read(f"parts/{name}"))
        column = pyarrow.parquet.read_table(part, columns=["verdict"], use_threads=False, pre_buffer=False)
        found.update(value or "error" for value in column["verdict"].to_pylist())
    return found
