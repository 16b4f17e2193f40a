"""Reading labelled mail: every format gives the same messages, and bad rows are named."""

import base64
import csv
import datetime
import gzip
import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from classifier.message import MailFields
from training.errors import DataError
from training.sources import LabelledMail, SourceReport, read_sources, sha256_of

MAIL = Path(__file__).parents[1] / "mail"
RAW = b"From: a@example.org\nDate: Tue, 12 Mar 2024 09:00:00 +0100\nSubject: plan\n\nThe meeting moves \xfc.\n"


def read(*paths: Path | str, report: SourceReport | None = None, **options: Any) -> list[LabelledMail]:
    return list(read_sources(paths, report=report or SourceReport(), **options))


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def record(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "label": "spam", "source": "s:part", "raw_b64": base64.b64encode(RAW).decode(), **changes}


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_json_lines_are_read_packed_or_not(tmp_path: Path, suffix: str, pack: Any) -> None:
    """A record's bytes, label, source and date come out as they went in."""
    path = tmp_path / f"corpus.jsonl{suffix}"
    path.write_bytes(pack((json.dumps(record(date="2024-03-11")) + "\n").encode()))
    assert read(path) == [LabelledMail("1", "spam", "s:part", datetime.date(2024, 3, 11), RAW)]
    assert read(path)[0].corpus == "s"


def test_a_record_of_fields_keeps_what_is_known_apart_from_what_is_empty(tmp_path: Path) -> None:
    """A missing field is None, an empty one is an empty text."""
    [mail] = read(
        write_jsonl(tmp_path / "a.jsonl", [{"label": "ham", "subject": "", "from": "x@y.example", "text": "t"}])
    )
    assert mail.mail == MailFields(subject="", sender="x@y.example", text="t")
    assert (mail.id, mail.source, mail.date) == ("a#1", "a", None)


def test_the_feedback_export_is_read(tmp_path: Path) -> None:
    """Raw and field records of the service's export have their reporter as source and the day of the report."""
    row = {"id": "f1", "label": "ham", "reporter": "ann", "created_at": "2025-02-03T10:00:00Z"}
    mails = read(
        write_jsonl(
            tmp_path / "export.ndjson",
            [
                {**row, "raw_base64": base64.b64encode(b"Subject: x\n\ny").decode()},
                {**row, "fields": {"text": "hello"}},
            ],
        )
    )
    assert [mail.source for mail in mails] == ["feedback:ann"] * 2
    assert [mail.date for mail in mails] == [datetime.date(2025, 2, 3)] * 2
    assert [mail.mail for mail in mails] == [b"Subject: x\n\ny", MailFields(text="hello")]


@pytest.mark.parametrize(
    ("value", "label"), [("1", "spam"), (0, "ham"), (True, "spam"), ("HAM ", "ham"), ("False", "ham")]
)
def test_labels_have_several_spellings(tmp_path: Path, value: object, label: str) -> None:
    """Numbers, truth values and words in any case all tell the label."""
    assert read(write_jsonl(tmp_path / "a.jsonl", [record(label=value)]))[0].label == label


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_with_line_breaks_and_bytes_that_are_no_utf8(tmp_path: Path, delimiter: str) -> None:
    """A raw column gives the very bytes back, whatever the delimiter."""
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["Label", "raw"], ["spam", RAW.decode("utf-8", "surrogateescape")], ["0", "a: b\n\nc, d; e"]])
    mails = read(path)
    assert [(mail.label, mail.mail) for mail in mails] == [("spam", RAW), ("ham", b"a: b\n\nc, d; e")]


def test_parquet_is_read(tmp_path: Path) -> None:
    """Bytes and truth values of Parquet are taken as they are."""
    table = pyarrow.table({"label": [True, False], "raw": [RAW, b"Subject: x\n\ny"], "other": [1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [(mail.label, mail.mail) for mail in read(tmp_path / "a.parquet")] == [
        ("spam", RAW),
        ("ham", b"Subject: x\n\ny"),
    ]


def test_an_mbox_is_cut_at_its_from_lines_only(tmp_path: Path) -> None:
    """A sentence that begins with From stays in its message, and quoting is undone."""
    first = b"Subject: one\n\nhello\n\nFrom here on it rains.\n>From the desk\n"
    (tmp_path / "ham.mbox").write_bytes(
        b"From a@b Tue Mar 12 09:00:00 2024\n" + first + b"\nFrom c@d Tue Mar 12 09:00:00 2024\nSubject: two\n\nx\n"
    )
    mails = read(tmp_path / "ham.mbox")
    assert [mail.mail for mail in mails] == [first.replace(b">From", b"From"), b"Subject: two\n\nx\n"]
    assert {(mail.label, mail.source) for mail in mails} == {("ham", "ham")}


def test_a_maildir_has_its_junk_as_spam(tmp_path: Path) -> None:
    """`.Junk` is spam, the rest has the label given; drafts and trash are left out."""
    for folder, name in [(".", "cur/1:2,S"), (".", "cur/2:2,T"), (".Junk", "new/3"), (".Drafts", "cur/4")]:
        file = tmp_path / "box" / folder / name
        for part in ("cur", "new", "tmp"):
            (file.parent.parent / part).mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"Subject: x\n\n" + name.encode())
    mails = read(f"ham={tmp_path / 'box'}")
    assert [(mail.label, mail.mail) for mail in mails] == [
        ("ham", b"Subject: x\n\ncur/1:2,S"),
        ("spam", b"Subject: x\n\nnew/3"),
    ]


def test_mail_without_a_label_asks_for_one(tmp_path: Path) -> None:
    """The error says how to give the label."""
    (tmp_path / "x.eml").write_bytes(RAW)
    with pytest.raises(DataError, match="spam="):
        read(tmp_path / "x.eml")
    assert read(f"spam={tmp_path / 'x.eml'}")[0].label == "spam"


def test_folders_named_spam_and_ham_are_labels() -> None:
    """The repository's own messages are one corpus of two labels, each with a date and an id of its own."""
    mails = read(MAIL / "spam", MAIL / "ham")
    assert Counter(mail.source for mail in mails).keys() == {"mail:spam", "mail:ham"}
    assert all(mail.source == f"mail:{mail.label}" and mail.date for mail in mails)
    assert len({mail.id for mail in mails}) == len(mails)


def test_a_folder_around_the_data_does_not_label_it(tmp_path: Path) -> None:
    """A project called spam-filter makes no spam of the mail in it."""
    inbox = tmp_path / "spam-filter" / "inbox"
    inbox.mkdir(parents=True)
    (inbox / "1.eml").write_bytes(RAW)
    with pytest.raises(DataError, match="spam or ham"):
        read(inbox)


def test_a_corpus_folder_gives_its_known_files_and_notes_the_others(tmp_path: Path) -> None:
    """Descriptions and scripts in a corpus folder do not stop the reading."""
    write_jsonl(tmp_path / "a.jsonl", [record()])
    (tmp_path / "MANIFEST.md").write_text("Note: this is no mail\n")
    (tmp_path / "spam").mkdir()
    (tmp_path / "spam" / "00012.0aef").write_bytes(RAW)
    report = SourceReport()
    assert [mail.mail for mail in read(tmp_path, report=report)] == [RAW, RAW]
    assert len(report.notes) == 1
    assert "MANIFEST.md" in report.notes[0]


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    """A row that cannot be used is left out, with its file, line and reason in the report."""
    bad = ["{", "[]", record(label="maybe"), record(raw_b64="%%%"), {"label": "ham", "text": "  "}]
    path = write_jsonl(tmp_path / "a.jsonl", [record(), *bad])
    report = SourceReport()
    assert len(read(path, report=report, max_bad_share=0.9)) == 1
    assert (report.read, report.bad) == (1, 5)
    assert [place.split(": ")[0] for place in report.bad_places] == [f"{path}:{line}" for line in range(2, 7)]


def test_too_many_bad_rows_stop_the_reading(tmp_path: Path) -> None:
    """Above the share allowed the error names the first places."""
    path = write_jsonl(tmp_path / "a.jsonl", [record(), "{"])
    with pytest.raises(DataError, match=r"1 of 2 rows are bad.*a\.jsonl:2"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl.xz", b"no xz", "damaged"),
        ("a.jsonl.gz", gzip.compress(b"x" * 9999, mtime=0)[:-9], "damaged"),  # the same test whichever process finds it
        ("a.csv", b"x,y\n1,2\n", "columns"),
        ("a.parquet", b"PAR1 not", "Parquet"),
        ("a.bin", b"\x00\x01", "no known format"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    """Every hopeless file ends in one sentence with its name."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as error:
        read(tmp_path / name)
    assert name in str(error.value)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    """A path that is not there is an error of ours, not of the system."""
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    "date", ["Thu, 99 Foo 20244 77:88:99 +9999", "Tue, 12 Mar 2199 09:00:00 +0100", "", "(" * 9999]
)
def test_impossible_dates_are_dropped(tmp_path: Path, date: str) -> None:
    """A date that cannot be is no date; the message stays."""
    raw = b"Date: " + date.encode() + b"\nSubject: x\n\ny\n"
    (tmp_path / "ham.eml").write_bytes(raw)
    assert read(tmp_path / "ham.eml")[0].date is None


def test_the_hash_of_a_folder_does_not_depend_on_its_place(tmp_path: Path) -> None:
    """Same names and contents, same hash; another content, another hash."""
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_bytes(b"x")
    before = sha256_of(tmp_path / "one")
    assert before == sha256_of(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a").write_bytes(b"y")
    assert before != sha256_of(tmp_path / "two")
    assert sha256_of(tmp_path / "two" / "sub" / "a") == (
        "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"
    )


def test_the_corpora_are_read_almost_whole(corpora: Path) -> None:
    """Of real corpora fewer than one row in a thousand is bad."""
    report = SourceReport()
    labels = Counter(mail.label for mail in read_sources([corpora], report=report, max_bad_share=0.001))
    assert min(labels["spam"], labels["ham"]) > 0
    assert report.read == labels.total()
