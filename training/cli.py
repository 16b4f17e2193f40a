"""`python -m training STEP`: the steps of training, from labelled mail to a version that can be served."""

import argparse
import sys
from pathlib import Path

from classifier.allocator import TRAINING_STEP_BYTES, keep_freed_memory
from classifier.errors import HamletError
from training.archive.commands import add_archive_commands
from training.measure_commands import add_measure_commands
from training.model_commands import add_model_commands
from training.retrain.commands import add_retrain_commands


def main(arguments: list[str] | None = None) -> int:
    """Run one step; return the exit status: 0 only when the work was done, what else `retrain` says, 1 for an error."""
    keep_freed_memory(TRAINING_STEP_BYTES)
    options = _parser().parse_args(arguments)
    try:
        return int(options.step(options) or 0)
    except HamletError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files or folders of labelled mail: .jsonl(.gz/.xz), .csv, .parquet, .mbox, Maildir, folders of .eml; "
        "spam=PATH or ham=PATH says what mail without a label is",
    )
    data.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything is written")

    add_model_commands(steps, data)
    add_measure_commands(steps, data)
    add_retrain_commands(steps)
    add_archive_commands(steps)
    return parser
