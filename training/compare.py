"""Hamlet beside its rivals, and beside other people's filters, on one split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.config import TrainingConfig
from training.contest import Task, check, contest, fingerprint
from training.evaluate import cell, write_measures
from training.prepare import data_manifest, prepare
from training.split import Part


def compare(sources: Sequence[str], config: TrainingConfig, folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Prepare the mail once, let every contender learn and be tested on the same split; return what came of it.

    Writes metrics.json and table.md in `folder`, anew after each contender. What an earlier run with the same mail and
    settings finished there is taken up.
    """
    check(names)
    corpus, tokenizer = prepare(sources, config, folder / "prepared")
    key = fingerprint(corpus, tokenizer, config)
    task = Task(folder / "contenders", corpus, corpus.texts(), tokenizer, config, sources, folder, key)
    results: dict[str, Any] = {
        "data": data_manifest(sources),
        "messages": {part.name.lower(): len(corpus.places(part)) for part in Part},
        "contenders": {},
    }
    for name in names:
        results["contenders"] |= contest([name], task)
        write_measures(folder, results)
        (folder / "table.md").write_text(table(results) + "\n", encoding="utf-8")
    return results


def table(results: dict[str, Any]) -> str:
    """Return two Markdown tables: the measures over all mail, then (1-ROCA)% by corpus on the test part."""
    contenders = results["contenders"]
    lines = [
        "| contender | parameters | (1-ROCA)% | caught at 0.1 % ham loss | caught at 1 % ham loss "
        "| later mail: (1-ROCA)% | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in contenders.items():
        of = result["test"]["all"]
        cells = (
            name + ("*" if result["note"] else ""),
            f"{result['parameters']:,}" if result["parameters"] else "-",
            cell(of.get("one_minus_roca_percent"), 1, "{:.3f}"),
            cell(of.get("spam_caught_at_0.1_percent_ham_loss"), 100, "{:.1f}"),
            cell(of.get("spam_caught_at_1_percent_ham_loss"), 100, "{:.1f}"),
            cell(result["later"]["all"].get("one_minus_roca_percent"), 1, "{:.3f}"),
            f"{result['seconds'] / 60:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\n\\* {name}: {result['note']}." for name, result in contenders.items() if result["note"]]
    lines += ["", f"| (1-ROCA)% | {' | '.join(contenders)} |", "|---" * (len(contenders) + 1) + "|"]
    # A small sample may leave a corpus out, so that not every contender has them all.
    corpora = dict.fromkeys(corpus for result in contenders.values() for corpus in result["test"])
    for corpus in corpora:
        estimates = [result["test"].get(corpus, {}).get("one_minus_roca_percent") for result in contenders.values()]
        if any(estimates):
            lines.append(f"| {corpus} | {' | '.join(cell(estimate, 1, '{:.3f}') for estimate in estimates)} |")
    return "\n".join(lines)
