"""JSON lines: one object a line; also the service's feedback export."""

import json
from collections.abc import Iterator
from pathlib import Path

from training.sources.opened import opened
from training.sources.rows import Row


def jsonl_rows(path: Path) -> Iterator[tuple[str, Row | str]]:
    """Yield the place and the object of each line, or why the line is none."""
    with opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            yield f"{path}:{number}", _object(line.removeprefix(b"\xef\xbb\xbf"))


def _object(line: bytes) -> Row | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON ({str(error)[:80]})"
    return row if isinstance(row, dict) else "need a JSON object"
