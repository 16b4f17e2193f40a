"""What a measurement says: tables to read, and figures that hold or do not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its limit."""

    what: str
    found: str
    wanted: str
    passed: bool
    measured: bool  # a figure, which depends on the machine; else right or wrong


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; the cells are text already."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    heading: str = ""


@dataclass(slots=True)
class Result:
    """All that one measurement found."""

    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every figure keeps its limit."""
        return all(check.passed for check in self.checks)

    @property
    def sound(self) -> bool:
        """Whether everything holds that is right or wrong on any machine."""
        return all(check.passed or check.measured for check in self.checks)

    def at_most(self, what: str, found: float, limit: float, unit: str = "") -> None:
        """Hold a figure against the largest that is allowed."""
        self.checks.append(Check(what, _figure(found, unit), f"at most {_figure(limit, unit)}", found <= limit, True))

    def at_least(self, what: str, found: float, limit: float, unit: str = "") -> None:
        """Hold a figure against the smallest that is allowed."""
        self.checks.append(Check(what, _figure(found, unit), f"at least {_figure(limit, unit)}", found >= limit, True))

    def exactly(self, what: str, found: object, wanted: object) -> None:
        """Hold something against the only value that is right."""
        self.checks.append(Check(what, str(found), str(wanted), found == wanted, False))

    def __str__(self) -> str:
        parts = [*self.notes, *map(_markdown, self.tables)]
        if self.checks:
            rows = [
                (check.what, check.found, check.wanted, "pass" if check.passed else "FAIL") for check in self.checks
            ]
            parts.append(_markdown(Table(("promise", "found", "wanted", ""), rows)))
        return "\n\n".join(parts)


def milliseconds(seconds: float) -> str:
    """Return a time for a table of milliseconds; nothing for NaN."""
    return "" if math.isnan(seconds) else f"{seconds * 1000:,.1f}"


def megabytes(size_bytes: float) -> str:
    """Return a size for a table of megabytes."""
    return f"{size_bytes / 1e6:,.0f}"


def _figure(value: float, unit: str) -> str:
    if math.isnan(value):
        return "none"
    if unit == "%":
        return f"{value:.1%}".replace("%", " %")
    if 0 < abs(value) < 0.005:
        return f"{value:.1e} {unit}".strip()
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}"
    return f"{number} {unit}".strip()


def _markdown(table: Table) -> str:
    lines = [table.heading, ""] if table.heading else []
    lines += ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines)
