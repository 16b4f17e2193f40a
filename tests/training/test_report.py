"""The report: one page that stands by itself and tells what was measured, and no mail."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.artifact import active_folder
from classifier.verdict import Thresholds
from tests.conftest import MAIL
from training.cli import main
from training.corpus import Corpus
from training.errors import DataError
from training.evaluate import evaluate
from training.findings import Extras, Findings, gather
from training.report import markdown_tables, page
from training.source_guess import SourceGuess, guess_source

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
THRESHOLDS = Thresholds(spam_from=0.9, ham_below=0.1)


def findings(**changes: Any) -> Findings:
    random = np.random.default_rng(1)
    is_spam = random.random(600) < 0.4
    scores = np.clip(np.where(is_spam, 0.8, 0.2) + random.normal(0, 0.2, 600), 0, 1)
    corpora = np.where(random.random(600) < 0.5, "office", "lists & more")
    values: dict[str, Any] = {
        "model": "2030.01.01-abc",
        "mail": "made up",
        "thresholds": THRESHOLDS,
        "measures": evaluate(scores, is_spam, corpora, THRESHOLDS),
        "probabilities_N": scores,
        "is_spam_N": is_spam,
        "corpora_N": corpora,
        "ids_N": [f"message<{number}>" for number in range(600)],
        "history": [{"epoch": epoch, "train_loss": 1 / epoch, "validation_loss": 1.1 / epoch} for epoch in (1, 2, 3)],
        "guess": SourceGuess(600, 2, 0.75, 31.5, {"office": 44.0}),
        "gradients": {"last state": {"rnn": [1e-9, 0.1, 1.0], "lstm": [0.1, 0.5, 1.0]}},
        "lags": {"rnn": {"8": 1.0, "64": 0.5}, "lstm": {"8": 1.0, "64": 1.0}},
        "tables": {"rivals": "| contender | minutes |\n|---|---|\n| gru* | 3.0 |\n\n\\* gru: slower."},
    }
    return Findings(**(values | changes))


class _Reader(HTMLParser):
    """Collects what a page refers to and what stands in it, and whether its elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.resources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.resources += [v for n, v in attrs if n in ("src", "href", "xlink:href") and v and not v.startswith("#")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "meta":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_by_itself() -> None:
    """No script, nothing loaded from anywhere, every element closed, in both schemes of colour."""
    text = page(findings())
    reader = _Reader(text)
    assert reader.open == []
    assert reader.resources == []
    assert "<script" not in text
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "color-scheme: light dark" in text


def test_pictures_take_their_colours_from_the_page() -> None:
    """No stand-in for a colour is left, and no two pictures share an id that they refer to."""
    text = page(findings())
    assert text.count("<svg") == 7
    assert not re.search(r"#0[14]0[25]0[36]|#0a0b0\d", text)
    assert "currentColor" in text
    assert "var(--series-2)" in text
    referred = set(re.findall(r"url\(#([^)]+)\)", text))
    ids = _Reader(text).ids
    assert all(ids.count(name) == 1 for name in referred)


def test_names_are_shown_and_escaped_and_subjects_only_when_asked_for() -> None:
    """The worst errors are told by id; words of the mail need a flag."""
    text = page(findings())
    assert "message&lt;" in text
    assert "message<3" not in text
    assert "lists &amp; more" in text
    assert '<th scope="col">subject</th>' not in text
    assert "private words" in page(findings(subjects_N=["private words"] * 600))


def test_what_was_not_measured_is_left_out() -> None:
    """A page of the scores alone has no empty section."""
    text = page(findings(history=(), guess=None, gradients={}, lags={}, tables={}))
    assert "How it learned" not in text
    assert "know the collections" not in text
    assert text.count("<svg") == 4


def test_mail_of_one_class_has_no_curve() -> None:
    """Spam alone gives no ROC, and still a page."""
    spam = np.ones(30, np.bool_)
    scores, corpora = np.linspace(0, 1, 30), np.array(["a"] * 30)
    only = {"is_spam_N": spam, "probabilities_N": scores, "corpora_N": corpora, "guess": None}
    text = page(findings(**only, measures=evaluate(scores, spam, corpora, THRESHOLDS)))
    assert "ROC curve" not in text
    assert "Spam that looks most like ham" in text
    assert "Ham that looks most like spam" not in text


def test_the_same_findings_give_the_same_page() -> None:
    """No date and no chance in it: a page that differs has figures that differ."""
    assert page(findings()) == page(findings())


def test_markdown_becomes_a_table() -> None:
    """Tables of other steps are shown as they were printed."""
    html = markdown_tables("| a | b |\n|---|---|\n| x<y | 1 |\n\n\\* note")
    assert re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", html) == ["a", "b", "x&lt;y", "1"]
    assert html.endswith('<p class="note">* note</p>')


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("smoke")
    assert main(["fit", "--preset", "smoke", "--data", *SOURCES, "--out", str(out)]) == 0
    return out


def test_evaluate_writes_the_page_beside_the_figures(run_folder: Path) -> None:
    """With the table of another step, the studies that were kept, and subjects because they were asked for."""
    (run_folder / "table.md").write_text("| contender |\n|---|\n| transformer |\n")
    studies = {"gradient_flow": {"last state": {"rnn": [0.5, 1.0]}}, "long_lag": {"rnn": {"8": 1.0}}}
    (run_folder / "studies.json").write_text(json.dumps(studies))
    (run_folder / "evasion.json").write_text(json.dumps({"model": "augmented", "rows": []}))
    model = str(active_folder(run_folder / "models"))
    arguments = ["evaluate", "--model", model, "--preset", "smoke", "--data", *SOURCES, "--out", str(run_folder)]
    extras = ["--rivals", str(run_folder), "--evasion", str(run_folder / "evasion.json"), "--studies"]
    assert main([*arguments, *extras, "--show-content"]) == 0
    text = (run_folder / "report.html").read_text()
    assert _Reader(text).open == []
    for shown in ("transformer", "augmented", "accuracy by lag", "learning curves", ">subject<"):
        assert shown in text


def test_a_table_that_is_not_there_is_told_in_a_sentence(run_folder: Path) -> None:
    """The reader of the message knows which step to run."""
    corpus = Corpus.load(run_folder / "prepared")
    with pytest.raises(DataError, match=r"nowhere/table\.md for the report .* run the step"):
        gather(None, corpus, corpus.all_places(), np.zeros(0), {}, "", Extras(rivals=Path("nowhere")))  # type: ignore[arg-type]  # never asked


def test_guessing_the_source_is_measured_where_there_are_several(run_folder: Path) -> None:
    """Folders of spam and of ham are sources that give the label away; of one source there is nothing to guess."""
    corpus = Corpus.load(run_folder / "prepared")
    guess = guess_source(corpus)
    if len(set(corpus.corpora.tolist())) == 1:
        assert guess is None
        return
    assert guess is not None
    assert guess.sources == len(set(corpus.corpora.tolist()))
    assert 0 <= guess.one_minus_roca_percent <= 100
