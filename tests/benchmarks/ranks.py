"""Fitting in one, two and four processes (torchrun, gloo): padded tokens a second, and losses as trained, with dropout.

That they are equal without dropout is held by tests/training/test_ranks.py.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from classifier.artifact import active_folder, load_artifact
from tests.benchmarks.results import Result, Table
from tests.service.process import ROOT
from training.config import PRESETS


def measure(*, quick: bool) -> Result:
    """Fit the preset `quick`, without a language model, on text messages (and mail of a list, in full length)."""
    corpora = Path(os.environ["HAMLET_CORPORA"])
    data = [corpora / "sms.jsonl.xz"] if quick else [corpora / "sms.jsonl.xz", corpora / "lingspam.jsonl.xz"]
    epochs = 2 if quick else 3
    text = (PRESETS / "quick.toml").read_text(encoding="utf-8")
    head, _, fit = text.partition("[fit]")
    head = re.sub(r"(\[pretrain\][^\[]*?epochs = )\d+", r"\g<1>0", head)
    fit = re.sub(r"\nepochs = \d+", f"\nepochs = {epochs}", fit, count=1)
    names = ", ".join(path.name for path in data)
    result = Result(notes=[f"{names}; {epochs} epochs of the preset quick, one thread a rank"])
    rows, curves = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        preset = Path(scratch) / "preset.toml"
        preset.write_text(f"{head}[fit]{fit}", encoding="utf-8")
        for ranks in (1, 2, 4):
            out = Path(scratch) / str(ranks)
            start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m", "training"]
            arguments = ["fit", "--preset", str(preset), "--data", *map(str, data), "--out", str(out)]
            done = subprocess.run(
                [sys.executable, *start, *arguments],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
            rates = [int(rate.replace(",", "")) for rate in re.findall(r"wrong .*, ([\d,]+) padded", done.stderr)]
            curves[ranks] = load_artifact(active_folder(out / "models")).card["history"]
            losses = ", ".join(f"{epoch['validation_loss']:.4f}" for epoch in curves[ranks])
            rows.append((str(ranks), f"{max(rates):,}", losses))
    result.tables.append(Table(("ranks", "padded tokens/s, fastest epoch", "validation loss of each epoch"), rows))
    same = {tuple(epoch["epoch"] for epoch in curve) for curve in curves.values()}
    result.exactly("all went through the same epochs", len(same), 1)
    return result
