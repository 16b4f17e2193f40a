"""`python -m tests.benchmarks NAME...`: measure; exits with 1 when a promise is broken."""

import argparse
import importlib
import sys
import time

MEASUREMENTS = (
    "client",
    "start",
    "compare",
    "overload",
    "sizes",
    "vanish",
    "swap",
    "drain",
    "soak",
    "archive",
    "ranks",
    "cost",
    "day",
)


def main() -> int:
    """Measure what is named, one after the other, and print it as Markdown."""
    # Imported here: torch's threads are set in the processes that use it, and these import this module again.
    modules = {name: importlib.import_module(f"tests.benchmarks.{name}") for name in MEASUREMENTS}
    lines = [f"  {name:9} {(module.__doc__ or '').splitlines()[0]}" for name, module in modules.items()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure Hamlet on the raw mail of HAMLET_CORPORA.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; everything without")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a look at reduced length; figures that depend on the machine are shown, and fail nothing",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(MEASUREMENTS)}")
    passed = True
    for name in options.names or MEASUREMENTS:
        started = time.monotonic()
        result = modules[name].measure(quick=options.quick)
        print(f"## {name}\n\n{result}\n\n{time.monotonic() - started:.0f} s\n", flush=True)
        passed = passed and (result.sound if options.quick else result.passed)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
