"""`python -m training retrain` and `rollback`: their options, and what they do with them."""

import argparse
import os
from pathlib import Path

from classifier.errors import ConfigError
from training.config import load_settings
from training.errors import RetrainError
from training.progress import say
from training.retrain.job import Job, RetrainConfig, retrain
from training.retrain.lock import locked
from training.retrain.registry import predecessor, roll_back
from training.retrain.service import Service

_KEYS = "HAMLET_ADMIN_KEYS"
_SERVICE = "HAMLET_URL"


def add_retrain_commands(steps: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both to the command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--models", type=Path, required=True, metavar="FOLDER", help="folder of versions that the service serves from"
    )
    shared.add_argument(
        "--service",
        default=os.environ.get(_SERVICE),
        metavar="URL",
        help=f"the running service, such as http://127.0.0.1:8000 ({_SERVICE} without it); an admin key is taken from "
        f"{_KEYS}. Without a service the file active alone is written, which every service looks at",
    )

    step = steps.add_parser(
        "retrain",
        parents=[shared],
        help="from feedback to the next version, if it is no worse; exit status 0 promoted, 3 kept, 4 nothing to do",
        description="Learns from all feedback that there is now, and puts the result into service if it passes the "
        "gate: OUT/decision.html says why or why not. Exit status: 0 promoted, 3 the version in service stays, 4 "
        "nothing to do, 1 it could not be done.",
    )
    step.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the job's own folder, kept from run to run"
    )
    step.add_argument("--feedback", type=Path, metavar="FILE", help="an export as a file, in place of the service's")
    step.add_argument(
        "--base",
        nargs="+",
        default=(),
        metavar="PATH",
        help="the mail that the model was fitted on, so that it is not forgotten; without it feedback alone judges",
    )
    step.add_argument("--at-least", type=int, default=1, metavar="N", help="new messages to wait for (%(default)s)")
    step.add_argument(
        "--keep", type=int, default=5, metavar="N", help="adapted versions that stay for a rollback (%(default)s)"
    )
    step.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="a .toml file with [adapt], [rules], [sizes] or [limits] in place of the defaults (docs/retraining.md)",
    )
    step.set_defaults(step=_retrain)

    step = steps.add_parser(
        "rollback", parents=[shared], help="put the version before the active one into service again"
    )
    step.add_argument("--to", metavar="VERSION", help="that one; the one before without it")
    step.set_defaults(step=_rollback)


def _retrain(options: argparse.Namespace) -> int:
    if options.service is None and options.feedback is None:
        raise ConfigError("say where the feedback is: --service URL, or --feedback FILE")
    if options.at_least < 1 or options.keep < 0:
        raise ConfigError("need --at-least of at least 1, and --keep of at least 0")
    try:
        config = load_settings(RetrainConfig, options.settings) if options.settings else RetrainConfig()
    except OSError as error:
        raise ConfigError(f"cannot read {options.settings}: {error.strerror}") from error
    job = Job(
        models=options.models,
        out=options.out,
        service=_service(options),
        file=options.feedback,
        base=options.base,
        at_least=options.at_least,
        keep=options.keep,
        config=config,
    )
    return retrain(job)


def _rollback(options: argparse.Namespace) -> None:
    with locked(options.models):
        to = options.to or predecessor(options.models)
        try:
            how = roll_back(options.models, to, _service(options))
        except OSError as error:
            raise RetrainError(f"cannot write to {options.models}: {error.strerror}") from error
    say(f"{to} is in service again, {how}; retraining will not put back the version that it replaced")


def _service(options: argparse.Namespace) -> Service | None:
    if options.service is None:
        return None
    keys = [key.strip() for key in os.environ.get(_KEYS, "").split(",") if key.strip()]
    return Service(options.service, keys[0] if keys else None)
