"""What `python -m service` does by the settings: serve over HTTP until a signal, or export the journal of feedback."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from classifier.errors import ConfigError
from service.logs import configure_logging
from service.process_setup import set_up_process
from service.settings import Settings, load_settings, variable

log = logging.getLogger("service")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve or export; return 0 after a clean end, 1 when it could not be done, 2 when a setting makes no sense."""
    options = parse_arguments(arguments)
    try:
        settings = load_settings()
    except ConfigError as error:
        print(f"hamlet: {error}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level)
    if options.command == "export":
        from service.export_command import export_journal

        return export_journal(settings)
    # What follows is imported after the settings: a mistake in them is told without a second of imports.
    return serve_alone(settings) if settings.workers == 1 else serve_with_workers(settings)


def serve_with_workers(settings: Settings) -> int:
    """Serve in several processes; return the exit code."""
    from service.supervisor import Supervisor

    return Supervisor(settings).run()


def serve_alone(settings: Settings) -> int:
    """Serve in this process; return the exit code."""
    set_up_process(settings.inference_threads)
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)  # another program's folder; ours is the supervisor's to set

    from service.app import create_app
    from service.server import make_server

    app = create_app(settings)
    state = app.state.service
    try:
        make_server(app, state, settings).run()
    except SystemExit as error:  # uvicorn could not listen; it has logged why
        return int(error.code or 1)
    if state.failure is not None:
        log.error("the service cannot start: %s", state.failure)
        return 1
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what is to be done; the environment says the rest."""
    lines = [f"  {variable(name)}: {field.description}" for name, field in Settings.model_fields.items()]
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve spam predictions over HTTP; to score mail that lies here: python -m service score --help. "
        "Settings come from the environment:",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["export"],
        help="write the journal of feedback to standard output, whether a service runs or not; serve without it",
    )
    return parser.parse_args(arguments)
