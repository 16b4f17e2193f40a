"""The online half of Hamlet: HTTP in, verdicts out."""
