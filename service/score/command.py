"""The command `python -m service score`: its options, its output and its exit codes."""

import argparse
import contextlib
import io
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from classifier.errors import HamletError
from classifier.mailboxes import is_from_line, split_mbox
from service.score.headers import with_verdict
from service.score.judges import Judge, Judged, NotJudged, open_judge
from service.score.mails import STDIN, FoundMail, files_in, found_mails, size_of
from service.score.progress import Progress

DONE = 0
VERDICT_CODES = {"spam": 0, "ham": 1, "unsure": 2}  # those of bogofilter, which mail rules know
# From here on as in sysexits.h, which mail programs know.
EX_USAGE = 64
EX_DATAERR = 65  # a mail has no verdict, and will have none
EX_NOINPUT = 66
EX_IOERR = 74
EX_TEMPFAIL = 75  # the fault is here: no model, no service, no time

DESCRIPTION = """Score mail. PATH is a file with one mail, an mbox, a Maildir, a folder of any of them, or - for
one mail on standard input. Without --url the model on this machine scores (HAMLET_MODELS, or the bundled one)."""
EXIT_CODES = """exit codes: 0 done (with --exit-code: 0 spam, 1 ham, 2 unsure); 64 wrong options; 65 a mail has no
verdict, and will have none; 66 there is no such path; 74 the output could not be written; 75 no model, no service or no
time: try again later. With --header and 75 the mail is written as it came."""


def main(arguments: Sequence[str]) -> int:
    """Score, and return the exit code."""
    options = parse_arguments(arguments)
    missing = [path for path in options.paths if path != STDIN and not Path(path).exists()]
    if missing:
        return _failed(f"there is nothing at {_printable(missing[0])}", EX_NOINPUT)
    try:
        if options.header:
            return add_headers(options)
        return list_verdicts(options)
    except BrokenPipeError:
        # Whoever read this has enough; without a new standard output Python would complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR
    except OSError as error:
        return _failed(f"the output could not be written: {error}", EX_IOERR)
    except Exception as error:  # 1 would be a verdict
        return _failed(f"an error of its own: {error!r}", EX_TEMPFAIL)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the options; wrong ones end the process with EX_USAGE, since 2 is a verdict."""
    parser = _Parser(prog="python -m service score", description=DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, mbox, Maildir, folder or -")
    parser.add_argument(
        "--url", help="ask the service there instead of loading a model: a start in a fraction of the time"
    )
    parser.add_argument("--key-file", type=Path, help="file with a key for that service")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="longest wait for it (30)")
    parser.add_argument("--models", type=Path, help="folder of versions, instead of HAMLET_MODELS")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    form.add_argument(
        "--header", action="store_true", help="write the mail back with X-Spam and X-Hamlet in its header, and no more"
    )
    form.add_argument("--exit-code", action="store_true", help="print nothing; 0 is spam, 1 ham, 2 unsure; one mail")
    options = parser.parse_args(arguments)
    if (options.header or options.exit_code) and len(options.paths) != 1:
        parser.error("--header and --exit-code take one path")
    if options.header and Path(options.paths[0]).is_dir():
        parser.error("--header takes a file or -")
    if options.url is None and options.key_file is not None:
        parser.error("--key-file is for --url")
    if options.models is None and os.environ.get("HAMLET_MODELS"):
        options.models = Path(os.environ["HAMLET_MODELS"])
    return options


def add_headers(options: argparse.Namespace) -> int:
    """Write the mail, or each of an mbox, with its verdict; as it came where the fault is here."""
    path = options.paths[0]
    try:
        whole = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        return _failed(f"{_printable(path)} cannot be read: {error.strerror or error}", EX_NOINPUT)
    try:
        marked = _marked(whole, options, is_mbox=path != STDIN and is_from_line(whole.partition(b"\n")[0]))
        code = DONE
    except Exception as error:  # a mail must not be lost by whatever goes wrong here
        code = _failed(error if isinstance(error, HamletError) else f"an error of its own: {error!r}", EX_TEMPFAIL)
        marked = whole
    sys.stdout.buffer.write(marked)
    sys.stdout.buffer.flush()
    return code


def list_verdicts(options: argparse.Namespace) -> int:
    """Print the verdicts in order; stop where nothing more can be had."""
    files = [file for path in options.paths for file in ([Path(path)] if path == STDIN else files_in(Path(path)))]
    progress = Progress(size_of(files))
    counts: Counter[str] = Counter()
    if not options.json and not options.exit_code:
        print(f"{'verdict':8}{'probability':>12}  mail")
    try:
        with _judge(options) as judge, contextlib.closing(answers(judge, found_mails(files))) as answered:
            for mail, answer in answered:
                if isinstance(answer, NotJudged) and answer.ours:
                    raise HamletError(answer.message)
                counts[answer.verdict if isinstance(answer, Judged) else "without a verdict"] += 1
                progress.clear()
                if options.exit_code:
                    if isinstance(answer, NotJudged):
                        return _failed(answer.message, EX_DATAERR)
                    if sum(counts.values()) > 1:
                        return _failed("--exit-code is for one mail, and there are more", EX_USAGE)
                else:
                    print(as_json(mail, answer) if options.json else as_row(mail, answer), flush=sys.stdout.isatty())
                progress.show(mail.end_bytes, sum(counts.values()))
    except HamletError as error:
        progress.clear()
        return _failed(error, EX_TEMPFAIL)
    progress.clear()
    if options.exit_code:
        return VERDICT_CODES[next(iter(counts))] if counts else _failed("there is no mail", EX_DATAERR)
    if not options.json:
        each = ", ".join(f"{counts[kind]} {kind}" for kind in (*VERDICT_CODES, "without a verdict") if counts[kind])
        print(f"{sum(counts.values())} mails{': ' if each else ''}{each}", file=sys.stderr)
    sys.stdout.flush()
    return EX_DATAERR if counts["without a verdict"] else DONE


def answers(judge: Judge, mails: Iterable[FoundMail]) -> Generator[tuple[FoundMail, Judged | NotJudged], None, None]:
    """Yield each mail with its answer, in order; one that could not be read is not asked about."""
    waiting: deque[FoundMail] = deque()

    def readable() -> Iterator[bytes]:
        for mail in mails:
            waiting.append(mail)
            if mail.problem is None:
                yield mail.raw

    def unreadable() -> Iterator[tuple[FoundMail, NotJudged]]:
        while waiting and waiting[0].problem is not None:
            mail = waiting.popleft()
            yield mail, NotJudged("unreadable", mail.problem or "", ours=False)

    for answer in judge.judge(readable()):
        yield from unreadable()
        yield waiting.popleft(), answer
    yield from unreadable()


def as_row(mail: FoundMail, answer: Judged | NotJudged) -> str:
    """Return a row of the table."""
    if isinstance(answer, NotJudged):
        return f"{'-':8}{'-':>12}  {_printable(mail.place)}: {answer.message}"
    return f"{answer.verdict:8}{answer.spam_probability:12.4f}  {_printable(mail.place)}"


def as_json(mail: FoundMail, answer: Judged | NotJudged) -> str:
    """Return an object as one line."""
    if isinstance(answer, NotJudged):
        return json.dumps({"mail": mail.place, "error": {"code": answer.code, "message": answer.message}})
    return json.dumps(
        {
            "mail": mail.place,
            "verdict": answer.verdict,
            "spam_probability": answer.spam_probability,
            "tokens": answer.tokens,
            "truncated": answer.truncated,
            "defects": answer.defects,
            "model": answer.model,
        }
    )


def _marked(whole: bytes, options: argparse.Namespace, *, is_mbox: bool) -> bytes:
    """Return a mail, or each of an mbox, with its verdict.

    Raises:
        HamletError: there is no verdict, and the fault is here.
    """
    if not is_mbox:
        stored, raws, rests = [whole], [whole], [b""]
    else:
        messages = list(split_mbox(io.BytesIO(whole)))
        stored = [message.from_line + message.stored for message in messages]
        raws, rests = [message.raw for message in messages], [message.separator for message in messages]
    with _judge(options) as judge:
        parts: list[bytes] = []
        for mail, rest, answer in zip(stored, rests, judge.judge(raws), strict=True):
            if isinstance(answer, NotJudged) and answer.ours:
                raise HamletError(answer.message)
            parts += [with_verdict(mail, answer), rest]
    return b"".join(parts)


def _judge(options: argparse.Namespace) -> contextlib.AbstractContextManager[Judge]:
    return open_judge(options.url, options.key_file, options.timeout, options.models)


def _failed(what: object, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"hamlet: {what}", file=sys.stderr)
    return code


def _printable(text: str) -> str:
    """Return a file's name without what a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return seconds


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"hamlet: {message}\n")
