"""`python -m service`: serve over HTTP until a signal, `score` mail, or `export` the journal of feedback."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Each imports no more than it needs: a mail rule waits for `score`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["score"]:
        from service.score.command import main as score

        return score(arguments[1:])
    from service.serve import main as serve

    return serve(arguments)


if __name__ == "__main__":
    sys.exit(main())
