"""Contenders on one split, on the tests' own mail."""

import json
from pathlib import Path

import pytest

from tests.conftest import MAIL
from training import contest
from training.cli import main

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
TINY = """
[network]
vocabulary_size = 1024
embedding_width = 8
hidden_width = 8
readout_width = 8

[fit]
epochs = 2
batch_tokens = 4096
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A preset that takes seconds."""
    path = tmp_path_factory.mktemp("preset") / "tiny.toml"
    path.write_text(TINY)
    return str(path)


def test_compare_measures_every_contender_on_the_same_mail(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has measures with intervals over the same test messages; what is finished is not done again."""
    command = ["compare", "--data", *SOURCES, "--out", str(tmp_path), "--preset", tiny]
    assert main([*command, "--rivals", "lstm,feed_forward"]) == 0
    first = json.loads((tmp_path / "metrics.json").read_text())
    assert list(first["contenders"]) == ["lstm", "feed_forward"]

    monkeypatch.setattr(contest, "fit_network", None)  # must not be asked again
    capsys.readouterr()
    assert main([*command, "--rivals", "lstm,feed_forward,tfidf"]) == 0
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results["contenders"]) == ["lstm", "feed_forward", "tfidf"]
    assert results["contenders"]["lstm"] == first["contenders"]["lstm"]
    counts = {(of["test"]["all"]["spam"], of["test"]["all"]["ham"]) for of in results["contenders"].values()}
    assert [sum(both) for both in counts] == [results["messages"]["test"]]
    for result in results["contenders"].values():
        of = result["test"]["all"]["one_minus_roca_percent"]
        assert 0 <= of["low"] <= of["value"] <= of["high"] <= 100
    printed = capsys.readouterr().out
    assert "| tfidf | 2,097,153 |" in printed
    assert (tmp_path / "table.md").read_text().strip() == printed.strip()


def test_other_settings_are_another_contest(tiny: str, tmp_path: Path) -> None:
    """Results of one preset are not shown as those of another."""
    command = ["compare", "--data", *SOURCES, "--out", str(tmp_path), "--rivals", "feed_forward", "--preset"]
    assert main([*command, tiny]) == 0
    first = json.loads((tmp_path / "contenders/feed_forward/result.json").read_text())
    wider = tmp_path / "wider.toml"
    wider.write_text(TINY.replace("readout_width = 8", "readout_width = 16"))
    assert main([*command, str(wider)]) == 0
    second = json.loads((tmp_path / "contenders/feed_forward/result.json").read_text())
    assert first["key"] != second["key"]
    assert first["result"]["parameters"] < second["result"]["parameters"]


def test_an_unknown_contender_is_refused_at_once(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists who there is, before any mail is read."""
    command = ["compare", "--data", *SOURCES, "--out", str(tmp_path), "--preset", tiny, "--rivals", "lstm,svm"]
    assert main(command) == 1
    assert "there is no contender 'svm'; there is hamlet, lstm, gru, rnn" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
