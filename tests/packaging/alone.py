"""Import every module of a part where only its own extra is installed: python -m tests.packaging.alone PART.

What the part does without must be absent, or the imports would prove nothing; its import contract names it.
"""

import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = {"service": "serving-without-training", "service/client": "client"}


def modules(part: str) -> list[str]:
    """Return the dotted names of all modules in a folder, from its files; a part inside it has an extra of its own."""
    inner = [ROOT / other for other in CONTRACTS if other.startswith(f"{part}/")]
    files = [path for path in sorted((ROOT / part).rglob("*.py")) if not any(map(path.is_relative_to, inner))]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]


def forbidden(part: str) -> list[str]:
    """Return the packages that a part may not import."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named: list[str] = next(c["forbidden_modules"] for c in contracts if c["id"] == CONTRACTS[part])
    return named


def main(part: str) -> None:
    """Raise when something that the part does without is there, or one of its modules does not load."""
    present = [name for name in forbidden(part) if importlib.util.find_spec(name)]
    if present:
        raise SystemExit(f"this environment has {', '.join(present)}; install the extra of {part} into an empty one")
    names = modules(part)
    for name in names:
        importlib.import_module(name)
    print(f"{len(names)} modules of {part} load without {', '.join(forbidden(part))}")


if __name__ == "__main__":
    main(sys.argv[1])
