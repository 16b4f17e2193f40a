"""`python -m training STEP`: see training.cli."""

if __name__ == "__main__":
    # Imported here: the worker processes that parse mail load this file too, and need no torch.
    import sys

    from training.cli import main

    sys.exit(main())
