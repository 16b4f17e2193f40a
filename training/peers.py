"""Other people's programs on the same mail: bogofilter, SpamAssassin and fastText, as Debian packages them.

The two filters read mail, not our text: raw mail as it came but for the verdicts that filters before them wrote into
it, which would tell them the answer. Where a corpus kept only fields, a minimal message is built of them: Subject,
From, body. fastText classifies text, and gets ours.
"""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.message import MailFields
from classifier.threads import available_cores
from training.corpus import Corpus
from training.errors import DataError, PeerError
from training.measures import Scores
from training.progress import progress
from training.sources import SourceReport, read_sources

_DONE = "done"
_PACKAGES = {"bogofilter": "bogofilter", "spamd": "spamd", "sa-learn": "spamassassin", "fasttext": "fasttext"}
_START_SECONDS = 60.0
# As the spamd protocol has it: "Spam: True ; 15.3 / 5.0".
_SPAMD_SCORE = re.compile(rb"^Spam: \w+ ; (-?[\d.]+) / ", re.MULTILINE)
_VERDICTS = re.compile(
    rb"^X-(?:Spam|Bogosity|Barracuda|Mimecast|MailScanner|Microsoft-Antispam|Forefront-Antispam|SID-|Message-Delivery)"
    rb"[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER_END = re.compile(rb"\n\r?\n")
# As its tutorial on text classification ends up, with fewer epochs: it reads long mail, not questions of one line.
_FASTTEXT_OPTIONS = {"-lr": "1.0", "-epoch": "10", "-wordNgrams": "2", "-thread": "1", "-seed": "1"}
_LINE_ENDS = re.compile(r"[\r\n\0]+")


class MailFiles:
    """The messages of a prepared corpus as one file each, named by their place in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, place: int) -> Path:
        return self._folder / f"{place:07}.eml"

    def paths(self, places: NDArray[np.int64]) -> list[Path]:
        return [self.path(place) for place in places.tolist()]


def write_mail_files(sources: Sequence[str], corpus: Corpus, folder: Path) -> MailFiles:
    """Write the mail of `corpus` into `folder`, from the sources that it was prepared of, unless it is there already.

    Raises:
        DataError: the sources are not those of the corpus any more.
    """
    files = MailFiles(folder)
    if (folder / _DONE).exists():
        return files
    folder.mkdir(parents=True, exist_ok=True)
    place = 0
    for mail in progress(read_sources(sources, report=SourceReport()), "writing mail for other filters"):
        # Messages that say nothing are in the sources and not in the corpus; the order is the same.
        if place < len(corpus.messages) and (mail.id, mail.source) == (
            corpus.messages[place].id,
            corpus.messages[place].source,
        ):
            files.path(place).write_bytes(as_raw(mail.mail))
            place += 1
    if place != len(corpus.messages):
        raise DataError(
            f"{corpus.messages[place].id} of the prepared corpus is not in the sources any more: "
            f"they changed while this ran; remove {corpus.folder} and start again"
        )
    (folder / _DONE).touch()
    return files


def as_raw(mail: bytes | MailFields) -> bytes:
    """Return the bytes that a filter is given: no verdicts of other filters, a minimal message for bare fields."""
    if isinstance(mail, bytes):
        end = _HEADER_END.search(mail)
        cut = end.start() + 1 if end else len(mail)
        return _VERDICTS.sub(b"", mail[:cut]) + mail[cut:]
    headers = [("From", mail.sender), ("Reply-To", mail.reply_to), ("To", mail.to), ("Subject", mail.subject)]
    lines = [f"{name}: {_LINE_ENDS.sub(' ', value)}" for name, value in headers if value]
    kind, body = ("html", mail.html) if mail.html and not mail.text else ("plain", mail.text or "")
    lines += ["MIME-Version: 1.0", f"Content-Type: text/{kind}; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    return ("\n".join(lines) + "\n\n" + body + "\n").encode("utf-8", "replace")


def require(*programs: str) -> None:
    """Raise PeerError, which names the package to install, unless these programs of _PACKAGES are there."""
    for program in programs:
        _found(program)


class Bogofilter:
    """bogofilter with its default settings and an empty word list in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._program = _found("bogofilter")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder

    def train(self, spam: Iterable[Path], ham: Iterable[Path]) -> None:
        """Register all mail of both classes, in bulk."""
        self._run("-s", spam)
        self._run("-n", ham)

    def score(self, mails: Sequence[Path]) -> Scores:
        """Return the spamicity of each message, 0 to 1, as many digits as it prints."""
        # A line is "path class spamicity".
        lines = self._run("-T", mails).splitlines()
        scores = {path: float(score) for path, _, score in (line.rsplit(" ", 2) for line in lines)}
        return np.array([scores[str(path)] for path in mails], np.float64)

    def _run(self, option: str, mails: Iterable[Path]) -> str:
        names = "".join(f"{path}\n" for path in mails)
        done = subprocess.run(  # noqa: S603 no shell, and every argument is ours
            [self._program, "-C", "-k", "256", "-d", str(self._folder), option, "-b"],
            input=names,
            capture_output=True,
            text=True,
            check=False,
        )
        # Statuses 0 to 2 are verdicts.
        if done.returncode > 2:
            raise PeerError(f"bogofilter {option} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout


class SpamAssassin:
    """SpamAssassin's rules without the network, by a spamd of its own on a socket; with Bayes once it is trained."""

    def __init__(self) -> None:
        self._program = _found("spamd")
        self._bayes: Path | None = None

    def train(self, spam: Iterable[Path], ham: Iterable[Path], folder: Path) -> None:
        """Teach its Bayes, in an empty database in `folder`. It counts from 200 messages of each class on."""
        learn = _found("sa-learn")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._bayes = folder / "bayes"
        for option, mails in (("--spam", spam), ("--ham", ham)):
            names = folder / f"mails{option}"
            names.write_text("".join(f"{path}\n" for path in mails), encoding="utf-8")
            settings = [f"--cf={line}" for line in _settings(self._bayes)]
            done = subprocess.run(  # noqa: S603 no shell, and every argument is ours
                [learn, "--local", option, "--no-sync", *settings, f"--folders={names}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise PeerError(f"sa-learn ended with status {done.returncode}: {done.stderr.strip()[-300:]}")

    def score(self, mails: Sequence[Path]) -> Scores:
        """Return the points of each message; its authors call 5 spam."""
        with self._daemon() as address, ThreadPoolExecutor(available_cores()) as pool:
            points = pool.map(lambda path: _check(address, path.read_bytes()), mails)
            return np.array(list(progress(points, "asking SpamAssassin", len(mails))), np.float64)

    @contextmanager
    def _daemon(self) -> Iterator[str]:
        """A running spamd; yields the address of its socket, whose path has to be short."""
        with tempfile.TemporaryDirectory() as folder:
            address, log = str(Path(folder) / "socket"), Path(folder) / "log"
            Path(folder).chmod(0o755)
            bayes = self._bayes
            if bayes is not None:  # a daemon that root starts reads as nobody, who may not enter a private folder
                copy = Path(shutil.copytree(bayes.parent, Path(folder) / "learned"))
                for path in (copy, *copy.iterdir()):
                    path.chmod(0o777)
                bayes = copy / bayes.name
            options = ["--local", "--nouser-config", f"--socketpath={address}", f"--max-children={available_cores()}"]
            settings = [f"--cf={line}" for line in _settings(bayes)]
            with log.open("wb") as output:
                daemon = subprocess.Popen(  # noqa: S603 no shell, and every argument is ours
                    [self._program, *options, *settings, "--syslog=stderr"], stdout=output, stderr=output
                )
                try:
                    _wait_until_it_answers(daemon, address, log)
                    yield address
                finally:
                    daemon.terminate()
                    daemon.wait()


class FastText:
    """fastText's supervised classifier: a bag of words and pairs of words, embedded (Joulin et al. 2016)."""

    def __init__(self, folder: Path) -> None:
        self._program = _found("fasttext")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder

    def train(self, texts: Iterable[str], is_spam: Iterable[bool]) -> None:
        """Fit on texts, in the order given."""
        mails = self._folder / "train.txt"
        with mails.open("w", encoding="utf-8") as file:
            for text, spam in zip(texts, is_spam, strict=True):
                file.write(f"__label__{'spam' if spam else 'ham'} {_one_line(text)}\n")
        options = [word for option in _FASTTEXT_OPTIONS.items() for word in option]
        self._run(["supervised", "-input", str(mails), "-output", str(self._folder / "model"), *options])
        mails.unlink()

    def score(self, texts: Iterable[str]) -> Scores:
        """Return the logit of each text, as many digits as it prints."""
        mails = self._folder / "score.txt"
        with mails.open("w", encoding="utf-8") as file:
            file.writelines(f"{_one_line(text)}\n" for text in texts)
        lines = self._run(["predict-prob", str(self._folder / "model.bin"), str(mails), "2"]).splitlines()
        mails.unlink()
        found = [dict(zip(line.split()[::2], map(float, line.split()[1::2]), strict=True)) for line in lines]
        return np.array([np.log(of["__label__spam"] / of["__label__ham"]) for of in found], np.float64)

    def _run(self, arguments: Sequence[str]) -> str:
        done = subprocess.run(  # noqa: S603 no shell, and every argument is ours
            [self._program, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PeerError(f"fasttext {arguments[0]} ended with status {done.returncode}: {done.stderr[-300:]}")
        return done.stdout


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _settings(bayes: Path | None) -> list[str]:
    if bayes is None:
        return ["use_bayes 0"]
    return ["use_bayes 1", f"bayes_path {bayes}", "bayes_file_mode 0777", "bayes_auto_learn 0"]


def _found(program: str) -> str:
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise PeerError(f"{program} is not installed: apt-get install {_PACKAGES[program]}, or leave this filter out")
    return path


def _wait_until_it_answers(daemon: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            if _ask(address, b"PING SPAMC/1.5\r\n\r\n"):
                return
        except OSError:
            time.sleep(0.1)
    raise PeerError(f"spamd did not start: {log.read_text(errors='replace').strip()[-300:]}")


def _check(address: str, raw: bytes) -> float:
    answer = _ask(address, b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(raw) + raw)
    found = _SPAMD_SCORE.search(answer)
    if found is None:
        raise PeerError(f"spamd answered {answer[:200]!r}, which has no score")
    return float(found[1])


def _ask(address: str, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
