"""The decision as a page, in words: why a new version was promoted, or why the one in service stays.

No mail is in it: numbers, and the names of reporters.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from html import escape
from pathlib import Path

from training.evaluate import table
from training.report import html_page, html_table, markdown_tables
from training.retrain.decision import Decision, Outcome

_HEADINGS = {Outcome.PROMOTED: "A new version was put into service", Outcome.KEPT: "The version in service stays"}


def write_decision(decision: Decision, folder: Path) -> None:
    """Write decision.html, and the same for programs: decision.json."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [part for section in (_summary, _checks, _mail, _measures) for part in section(decision)]
    page = html_page(_HEADINGS[decision.outcome], parts)
    (folder / "decision.html").write_text(page, encoding="utf-8")
    values = asdict(decision) | {"outcome": decision.outcome.name.lower()}
    (folder / "decision.json").write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _summary(decision: Decision) -> Iterable[str]:
    yield f"<h1>{_HEADINGS[decision.outcome]}</h1>"
    yield f"<p><strong>{escape(decision.reason)}</strong></p>"
    rows = [
        ["in service before (the champion)", decision.champion],
        ["fitted, from which both were adapted", decision.origin],
        ["new (the candidate)", decision.candidate or "not published"],
    ]
    yield html_table(["version", ""], rows)
    for note in decision.notes:
        yield f'<p class="note">{escape(note)}</p>'


def _checks(decision: Decision) -> Iterable[str]:
    if not decision.checks:
        return
    yield "<h2>What the gate looked at</h2>"
    yield (
        "<p>Champion and candidate were judged on the same mail, which neither has learned from. All of it has to "
        "pass; intervals in brackets are 95 %, from the same messages drawn again a thousand times for both.</p>"
    )
    rows = [["passed" if check.passed else "STOPPED IT", check.name, check.words] for check in decision.checks]
    yield f'<div class="words">{html_table(["", "check", "what was found"], rows)}</div>'


def _mail(decision: Decision) -> Iterable[str]:
    sieved = decision.sieved
    yield "<h2>What it was made of</h2>"
    yield html_table(
        ["mail", "used for", "label", "messages"], [[*row[:3], f"{row[3]:,}"] for row in decision.messages]
    )
    rows = [
        ["messages in the journal", f"{sieved.exported:,}"],
        ["entries forgotten by their users, not in it any more", f"{sieved.forgotten:,}"],
        ["rows that could not be read", f"{sieved.bad:,} {'; '.join(sieved.bad_places[:3])}"],
        ["left out: near copies have the other label", f"{sieved.conflicting:,}"],
    ]
    rows += [[f"left out: too many from {name or 'nobody named'}", f"{n:,}"] for name, n in sieved.over_volume.items()]
    for name, weight in sieved.capped.items():
        rows.append([f"weight of one message of {name or 'nobody named'}, who sent most", f"{weight:.2f}"])
    yield html_table(["of the feedback", ""], rows)


def _measures(decision: Decision) -> Iterable[str]:
    if decision.measures:
        yield f"<h2>The candidate, measured</h2>\n{markdown_tables(table(dict(decision.measures)))}"
