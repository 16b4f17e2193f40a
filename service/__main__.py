"""`python -m service`: serve over HTTP until a signal."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from classifier.errors import ConfigError
from classifier.threads import available_cores, limit_threads
from service.settings import Settings, load_settings, variable

log = logging.getLogger("service")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; return 0 after a clean end, 1 when the model could not be loaded, 2 when a setting makes no sense."""
    parse_arguments(arguments)
    try:
        settings = load_settings()
    except ConfigError as error:
        print(f"hamlet: {error}", file=sys.stderr)
        return 2
    set_threads(settings)

    from service.app import create_app  # after the settings: a mistake in them is told without a second of imports
    from service.logs import configure_logging
    from service.server import make_server

    configure_logging(settings.log_level)
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


def parse_arguments(arguments: Sequence[str] | None) -> None:
    """Answer --help; there are no other options, the environment says the rest."""
    lines = [f"  {variable(name)}: {field.description}" for name, field in Settings.model_fields.items()]
    argparse.ArgumentParser(
        prog="python -m service",
        description="Serve spam predictions over HTTP. Settings come from the environment:",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)


def set_threads(settings: Settings) -> None:
    """Say how many threads one inference may use; the libraries read this once, when they load."""
    limit_threads(settings.inference_threads or available_cores())
    # Threads that spin while they wait take the cores from parsing and from neighbours: 32 messages of 768 tokens
    # on two cores shared with another busy process took 1.74 s with spinning and 0.24 s without (one run each).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


if __name__ == "__main__":
    sys.exit(main())
