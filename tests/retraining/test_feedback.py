"""What may be learned from: only what stands in the journal now, agreed on, and from nobody too much."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.retraining.mailbox import entries, entry, mail, write
from training.errors import DataError
from training.retrain.feedback import (
    FILE_NAME,
    Feedback,
    Rules,
    Sieved,
    agreeing,
    lines_of_file,
    read_feedback,
    reporter_weights,
    write_journal,
)

RULES = Rules()


def read(rows: list[dict[str, Any]], folder: Path, rules: Rules = RULES) -> tuple[list[Feedback], Sieved]:
    journal = write_journal(lines_of_file(write(rows, folder / "export")), folder / FILE_NAME)
    return read_feedback(folder / FILE_NAME, rules, journal.sieved), journal.sieved


def said(labels: str, reporters: str) -> list[Feedback]:
    """s for spam, h for ham; a letter for each reporter."""
    return [
        Feedback(str(n), label == "s", f"feedback:{reporter}", f"text {n}")
        for n, (label, reporter) in enumerate(zip(labels, reporters, strict=True))
    ]


def test_feedback_comes_in_its_order_with_label_and_reporter(tmp_path: Path) -> None:
    """What the service exports is what is learned from."""
    rows = entries(10)
    found, sieved = read(rows, tmp_path)
    assert [one.id for one in found] == [row["id"] for row in rows]
    assert [one.is_spam for one in found] == [row["label"] == "spam" for row in rows]
    assert [one.reporter for one in found] == [row["reporter"] for row in rows]
    assert (sieved.exported, sieved.bad, sieved.forgotten) == (10, 0, 0)


def test_what_was_forgotten_or_taken_back_later_in_the_file_is_gone(tmp_path: Path) -> None:
    """A file may be several exports behind one another: the last word on a message counts, and none of a forgotten."""
    rows = entries(6)
    relabelled = entry(mail("spam", 2), "ham", 7, supersedes=rows[2]["id"])
    forgotten = {"id": rows[4]["id"], "forgotten_at": "2026-11-21T00:00:00+00:00"}
    found, sieved = read([*rows, relabelled, forgotten], tmp_path)
    assert [one.id for one in found] == [row["id"] for row in (rows[0], rows[1], rows[3], rows[5], relabelled)]
    assert not found[-1].is_spam
    assert sieved.forgotten == 1
    assert rows[4]["raw_base64"] not in (tmp_path / FILE_NAME).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"export", FILE_NAME}


def test_bad_rows_are_counted_and_many_of_them_refused(tmp_path: Path) -> None:
    """One of a hundred is left out and told; three of a hundred are an export that something is wrong with."""
    rows = entries(100)
    rows[7] = {"id": "x", "label": "perhaps", "raw_base64": rows[7]["raw_base64"]}
    found, sieved = read(rows, tmp_path)
    assert (len(found), sieved.bad) == (99, 1)
    assert "perhaps" in sieved.bad_places[0]
    rows[8] = rows[9] = {"id": "y"}
    with pytest.raises(DataError, match="rows are bad"):
        read([*rows, {"id": "z"}], tmp_path)


def test_a_flood_of_one_reporter_is_cut_to_the_newest(tmp_path: Path) -> None:
    """The others lose nothing by it."""
    found, sieved = read(entries(40), tmp_path, Rules(most_of_reporter=5))
    assert sieved.over_volume == {"ann": 15, "bob": 15}
    for reporter in ("ann", "bob"):
        newest = [row["id"] for row in entries(40) if row["reporter"] == reporter][-5:]
        assert [one.id for one in found if one.reporter == reporter] == newest


@pytest.mark.parametrize(
    ("labels", "clusters", "kept"),
    [("sssh", "0000", "sss"), ("sshh", "0000", ""), ("shsh", "0123", "shsh"), ("sssssh", "000001", "sssssh")],
)
def test_near_copies_have_to_agree(labels: str, clusters: str, kept: str) -> None:
    """A few that differ are left out; where the sides are near even all are."""
    feedback = said(labels, "a" * len(labels))
    sieved = Sieved()
    usable = agreeing(feedback, np.array([int(each) for each in clusters]), Rules(), sieved)
    expected = "".join(label for label, good in zip(labels, usable, strict=True) if good)
    assert expected == kept
    assert sieved.conflicting == len(labels) - len(expected)


def test_no_reporter_outweighs_all_others() -> None:
    """Above a floor that even a small mailbox reaches; a sole reporter is the mailbox."""
    sieved = Sieved()
    weights = reporter_weights(said("s" * 500 + "h" * 100, "a" * 500 + "b" * 100), Rules(), sieved)
    assert weights[:500].sum() == pytest.approx(100)
    assert (weights[500:] == 1).all()
    assert sieved.capped == {"a": 0.2}
    assert (reporter_weights(said("s" * 500, "a" * 500), Rules(), Sieved()) == 1).all()
    assert (reporter_weights(said("s" * 45 + "h", "a" * 45 + "b"), Rules(), Sieved()) == 1).all()
