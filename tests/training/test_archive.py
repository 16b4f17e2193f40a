"""Archives: the same results whichever engine computes them, once for every message, whatever is killed meanwhile."""

import itertools
import mailbox
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from classifier.artifact import active_folder, bundled_models
from classifier.errors import ConfigError
from classifier.pipeline import SpamClassifier
from tests.archives import ArchiveRun, rows_of, write_archive
from tests.conftest import MAIL, mail_files
from tests.service.stores import Bucket, bucket, s3_port
from training.archive.reading import BLOCK_MESSAGES, blocks, find_sources
from training.archive.run import Archive
from training.archive.work import ScoreWork, SignWork
from training.cli import main
from training.deduplicate import Deduplicator, clusters_on_disk, readable
from training.errors import DataError

__all__ = ["bucket", "s3_port"]  # fixtures

MESSAGES = 2_500
FILES = 5


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files of short messages."""
    folder = tmp_path_factory.mktemp("archive") / "mail"
    lines = [path.read_bytes().decode("utf-8", "replace") for path in mail_files("spam", "ham")]
    texts = [line for text in lines for line in text.partition("\n\n")[2].splitlines() if len(line.split()) > 4]
    write_archive(folder, texts, MESSAGES, FILES)
    return folder


@pytest.fixture(scope="module")
def scored_here(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local engine says, in one go."""
    out = tmp_path_factory.mktemp("local") / "scores"
    assert main(["score", "--data", str(archive), "--out", str(out), "--workers", "1"]) == 0
    return out


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("parts/[!.]*")}


def test_every_message_is_scored_once_as_the_classifier_scores_it(archive: Path, scored_here: Path) -> None:
    """One row for each message, with the scores that the classifier gives it alone."""
    rows = rows_of(scored_here)
    wanted = [(str(path), number) for path in sorted(archive.iterdir()) for number in range(1, MESSAGES // FILES + 1)]
    assert [(row["file"], row["number"]) for row in rows] == wanted
    classifier = SpamClassifier.load(active_folder(bundled_models()))
    mails = [mail for source in find_sources([str(archive)])[0] for block in blocks(source) for mail in block]
    for place in range(0, MESSAGES, 251):
        mail = mails[place].mail
        assert mail is not None
        (score,) = classifier.score([classifier.prepare(mail)])
        assert rows[place]["spam_probability"] == pytest.approx(score.probability, abs=1e-4)
        assert rows[place]["verdict"] == score.verdict.value


def test_a_worker_of_ray_that_is_killed_changes_nothing(archive: Path, scored_here: Path, tmp_path: Path) -> None:
    """A local cluster of two workers, one of them killed: the same parts as the local engine writes, to the byte."""
    data = ("--data", str(archive), "--out", str(tmp_path / "ray"), "--engine", "ray", "--workers", "2")
    run = ArchiveRun("score", *data, log=tmp_path / "log")
    try:
        run.kill_a_worker(after_parts=1)
        run.finish()
    finally:
        if run.process.poll() is None:
            run.kill()
    assert contents(tmp_path / "ray") == contents(scored_here)


def test_a_run_that_was_killed_goes_on_where_it_was(archive: Path, scored_here: Path, tmp_path: Path) -> None:
    """First a worker is killed, which is made good at once; then all of it, and a second run does the rest alone."""
    data = ("score", "--data", str(archive), "--out", str(tmp_path / "out"), "--workers", "2")
    run = ArchiveRun(*data, log=tmp_path / "first")
    run.kill_a_worker(after_parts=1)
    run.wait_until(lambda: "is done again" in run.log.read_text() or run.parts() == FILES)
    run.wait_until(lambda: run.parts() >= 2)
    run.kill()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").glob("[!.]*")}
    ArchiveRun(*data, log=tmp_path / "second").finish()
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a part was written again"
    assert not list((tmp_path / "out" / "parts").glob(".*")), "what was being written at the kill is still there"
    assert contents(tmp_path / "out") == contents(scored_here)


def test_results_of_other_mail_are_not_mixed(scored_here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same --out for other files is refused with a sentence."""
    assert main(["score", "--data", str(MAIL / "spam"), "--out", str(scored_here)]) == 1
    assert "give another --out" in capsys.readouterr().err


def test_what_hinders_a_worker_is_said_once(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that was changed since the run began is no worker that was killed, and nothing is tried again."""
    model = str(active_folder(bundled_models()))
    run = Archive([str(archive)], str(tmp_path), {}, ScoreWork(model, digest="another"))
    with pytest.raises(ConfigError, match="where it began"):
        run.run("local", 1, None)
    assert "killed" not in capsys.readouterr().err


def test_all_formats_give_the_same_mail(tmp_path: Path) -> None:
    """Files of one message, a Maildir, an mbox and Parquet with the same mails have the same scores."""
    raws = [path.read_bytes() for path in mail_files("spam")[:8]]
    box = mailbox.Maildir(str(tmp_path / "maildir"))
    for number, raw in enumerate(raws):
        (tmp_path / "eml").mkdir(exist_ok=True)
        (tmp_path / "eml" / f"{number}.eml").write_bytes(raw)
        (tmp_path / "maildir" / "cur" / f"{number}:2,S").write_bytes(raw)
    box.close()
    pyarrow.parquet.write_table(pyarrow.table({"raw": pyarrow.array(raws, pyarrow.binary())}), tmp_path / "m.parquet")
    found = {}
    for name in ("eml", "maildir", "m.parquet"):
        out = tmp_path / f"scores of {name}"
        assert main(["score", "--data", str(tmp_path / name), "--out", str(out), "--workers", "1"]) == 0
        found[name] = [(row["spam_probability"], row["tokens"]) for row in rows_of(out)]
    assert len(found["eml"]) == len(raws)
    assert found["eml"] == found["maildir"] == found["m.parquet"]


def test_an_archive_in_an_object_store(
    archive: Path, scored_here: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail is read from s3:// and results are written there; all but the names of files is the same."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    bucket.upload(archive.parent, archive.name)
    data = f"{bucket.url}/{archive.name}"
    assert main(["score", "--data", data, "--out", f"{bucket.url}/scores", "--workers", "2"]) == 0
    bucket.filesystem.get(f"{bucket.url}/scores/parts", str(tmp_path / "scores" / "parts"), recursive=True)
    rows = rows_of(tmp_path / "scores")
    assert [row.pop("file") for row in rows] == [
        f"{data}/{path.name}" for path in sorted(archive.iterdir()) for _ in range(MESSAGES // FILES)
    ]
    assert rows == [{k: v for k, v in row.items() if k != "file"} for row in rows_of(scored_here)]


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.benchmark)])
def test_near_copies_are_those_of_training(archive: Path, tmp_path: Path, engine: str) -> None:
    """Each engine gives the clusters that Deduplicator gives for the same texts in the same order."""
    from classifier.message import read_mail
    from classifier.text import message_text

    deduplicator = Deduplicator()
    for source in find_sources([str(archive)])[0]:
        for mail in itertools.chain.from_iterable(blocks(source)):
            assert mail.mail is not None
            deduplicator.add(readable(message_text(read_mail(mail.mail))))
    out = tmp_path / "clusters"
    arguments = ["deduplicate", "--data", str(archive), "--out", str(out), "--engine", engine, "--workers", "2"]
    ArchiveRun(*arguments, log=tmp_path / "log").finish()
    assert [row["cluster"] for row in rows_of(out, "clusters")] == deduplicator.clusters().tolist()


def test_clusters_do_not_depend_on_how_much_is_sorted_together(tmp_path: Path) -> None:
    """Eleven at a time from files give what all in memory give."""
    random = np.random.default_rng(1)
    deduplicator = Deduplicator()
    words = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(60)]
    kinds = [random.choice(words, 30).tolist() for _ in range(12)]
    for _ in range(150):
        text = list(kinds[random.integers(12)])
        text[random.integers(30)] = random.choice(words)
        deduplicator.add(" ".join(text[: random.integers(3, 31)]))
    found, count = clusters_on_disk(*deduplicator.signatures(), tmp_path, together=11)
    assert found.tolist() == deduplicator.clusters().tolist()
    assert count == found.max() + 1


def test_blocks_are_bounded_and_cut_the_same_for_all(archive: Path, tmp_path: Path) -> None:
    """No block is longer than it may be; several pieces of a source make its blocks together, each once."""
    (source,) = find_sources([str(archive / "mail-0000.jsonl")])[0]
    assert [len(block) for block in blocks(source)] == [MESSAGES // FILES]
    long = tmp_path / "long.jsonl"
    long.write_text("".join((archive / f"mail-{number:04}.jsonl").read_text() for number in range(FILES)))
    run = Archive([str(long)], str(tmp_path / "out"), {}, SignWork())
    sizes = [len(block) for block in blocks(run.sources[0])]
    assert sizes == [BLOCK_MESSAGES, BLOCK_MESSAGES, MESSAGES % BLOCK_MESSAGES]


def test_an_archive_without_mail_is_told(tmp_path: Path) -> None:
    """A folder with nothing in it ends with a sentence."""
    with pytest.raises(DataError, match="holds no labelled mail"):
        find_sources([str(tmp_path)])
