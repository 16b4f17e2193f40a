"""An archive of 100,000 short messages: both engines, a worker of Ray killed, every message once, memory."""

import os
import tempfile
from pathlib import Path

from tests.archives import ArchiveRun, rows_of, write_archive
from tests.benchmarks.results import Result, Table, megabytes
from training.archive.reading import find_sources
from training.sources import SourceReport, read_sources

MESSAGES = 100_000
FILES = 50
# What the largest process may grow by when there is ten times as much mail.
GROWTH = 0.10


def measure(*, quick: bool) -> Result:
    """Score the archive and a tenth of it on this machine, and with Ray, two workers, one of them killed."""
    messages = MESSAGES // 20 if quick else MESSAGES
    sms = Path(os.environ["HAMLET_CORPORA"]) / "sms.jsonl.xz"
    texts = [str(getattr(mail.mail, "text", "")) for mail in read_sources([sms], report=SourceReport())]
    result = Result(
        notes=[f"{messages:,} messages of up to 61 words, made from {len(texts):,} text messages by a seed"]
    )
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_archive(folder / "mail", texts, messages, FILES)
        write_archive(folder / "tenth", texts, messages // 10, FILES)
        peaks = {}
        for name, mail, engine in (("tenth", "tenth", "local"), ("local", "mail", "local"), ("ray", "mail", "ray")):
            data = ("--data", str(folder / mail), "--out", str(folder / name), "--engine", engine, "--workers", "2")
            run = ArchiveRun("score", *data, log=folder / f"{name}.log")
            if engine == "ray":
                run.kill_a_worker(after_parts=FILES // 3)
            seconds = run.finish()
            peaks[name] = run.peak_rss
            count = messages // 10 if mail == "tenth" else messages
            killed = ", one of two workers killed" if engine == "ray" else ", two processes"
            rate = f"{count / seconds:,.0f}"
            rows.append((f"score {engine}{killed}", f"{count:,}", f"{seconds:.0f}", rate, megabytes(run.peak_rss)))
        local, ray = rows_of(folder / "local"), rows_of(folder / "ray")
        wanted = {(source.names[0], number) for source in find_sources([str(folder / "mail")])[0]
                  for number in range(1, messages // FILES + 1)}  # fmt: skip
        result.exactly("messages scored by Ray", len(ray), messages)
        result.exactly("of these different ones", len({(row["file"], row["number"]) for row in ray} & wanted), messages)
        result.exactly("rows that differ between the engines", sum(a != b for a, b in zip(local, ray, strict=True)), 0)
        clusters = {}
        for engine in ("local", "ray"):
            out = str(folder / f"copies-{engine}")
            data = ("--data", str(folder / "mail"), "--out", out, "--engine", engine, "--workers", "2")
            run = ArchiveRun("deduplicate", *data, log=folder / "log")
            seconds = run.finish()
            clusters[engine] = rows_of(folder / f"copies-{engine}", "clusters")
            rate = f"{messages / seconds:,.0f}"
            rows.append((f"deduplicate {engine}", f"{messages:,}", f"{seconds:.0f}", rate, megabytes(run.peak_rss)))
        differ = sum(a != b for a, b in zip(clusters["local"], clusters["ray"], strict=True))
        result.exactly("clusters that differ between the engines", differ, 0)
    result.tables.append(Table(("what", "messages", "seconds", "messages/s", "largest process, RSS, MB"), rows))
    result.at_most("the largest process with ten times the mail", peaks["local"] / peaks["tenth"], 1 + GROWTH)
    return result
