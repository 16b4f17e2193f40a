"""`python -m tests.readme_tables`: writes the README's tables and file tree anew, from the code they speak of."""

import ast
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from service.metrics import Metrics
from service.settings import MIB, Settings, variable

ROOT = Path(__file__).parents[1]
PACKAGES = ("classifier", "service", "training")
END = "\n<!-- end -->"


def with_tables(readme: str) -> str:
    """Return the README with each table, which stands between two marks, made anew."""
    tables = {"settings": settings_table(), "metrics": metrics_table(), "files": f"```\n{file_tree()}\n```"}
    for name, table in tables.items():
        mark = f"<!-- {name} -->\n"
        before, found, after = readme.partition(mark)
        if not found or END not in after:
            raise ValueError(f"README.md has no place for its table of {name}: {mark}...{END}")
        readme = before + mark + table + END + after.partition(END)[2]
    return readme


def settings_table() -> str:
    """Return a row for every setting: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable(name)}` | {_default(field.default)} | {field.description} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Return a row for every metric: its name as it is scraped, labels, meaning."""
    rows = ["| metric | labels | meaning |", "|---|---|---|"]
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append(f"| `{name}` | {', '.join(metric._labelnames) or '-'} | {family.documentation} |")
    return "\n".join(rows)


def file_tree() -> str:
    """Return a line for every module of the three packages: its path and the first sentence of its docstring."""
    return "\n".join(line for package in PACKAGES for line in _lines(package))


def _lines(package: str) -> Iterator[str]:
    for path in sorted((ROOT / package).rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = " ".join(docstring.split("\n\n")[0].split()).replace("`", "")
        name = path.relative_to(ROOT).as_posix()
        yield f"{name:<34}{first.rstrip('.')}"


def _default(value: object) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, int) and value >= MIB and value % MIB == 0:
        return f"{value} ({value // MIB} MiB)"
    return str(value)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
