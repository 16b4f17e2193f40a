"""`python -m training STEP`: see training.cli."""

if __name__ == "__main__":
    # Imported here: the worker processes that parse mail load this file too, and need no torch.
    import os
    import sys

    from training.cli import main

    status = main()
    if "pyarrow" in sys.modules:
        # All is done and written. Ended as Python ends, one of Arrow's threads can still abort the process, and score
        # would end with 134, as one run of 100,000 messages did: "terminate called without an active exception".
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
