"""Import every module of the service where only its own extra is installed: python -m tests.packaging.service_alone.

What only training needs must be absent, or the imports would prove nothing; the import contract names it.
"""

import importlib
import importlib.util
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def modules(package: str) -> list[str]:
    """Return the dotted names of all modules of a package, from its files."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / package).rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def training_only() -> list[str]:
    """Return the packages that service and classifier may not import."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden: list[str] = next(c["forbidden_modules"] for c in contracts if c["id"] == "serving-without-training")
    return forbidden


def main() -> None:
    """Raise when a dependency of training is there, or a module of the service does not load without."""
    present = [name for name in training_only() if importlib.util.find_spec(name)]
    if present:
        raise SystemExit(f"this environment has {', '.join(present)}; install the service extra into an empty one")
    names = modules("service")
    for name in names:
        importlib.import_module(name)
    print(f"{len(names)} modules of the service load without {', '.join(training_only())}")


if __name__ == "__main__":
    main()
