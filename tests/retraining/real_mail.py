"""A champion fitted in a minute on real mail, and a mailbox of mail that it has never seen: SpamAssassin's corpus."""

import json
import lzma
import random
from pathlib import Path
from typing import Any

from training.cli import main

# One corpus of both classes, and modern spam and ham; nothing of SpamAssassin's.
BASE = {"enron_spam": 900, "lists_ham_modern": 250, "rlists_ham_2020_2026": 150, "nazario": 150, "cwl_spam_2026": 150}
# The vocabulary is of the bundled model's size: with a small one most words are several tokens, unknown to the n-grams.
_PRESET = """
seed = 1
[network]
vocabulary_size = 16384
embedding_width = 32
hidden_width = 32
readout_width = 32
[ngrams]
bucket_bits = 18
[encoding]
window_tokens = 128
head_tokens = 192
tail_tokens = 64
[shares]
train = 0.5
validation = 0.05
calibration = 0.15
test = 0.2
later = 0.1
[fit]
epochs = 2
learning_rate = 0.01
batch_tokens = 4096
# By its n-grams alone: an LSTM fitted in bfloat16 is another one on each kind of CPU, and one ham more or less decides
# what the gate does.
[evidence]
deep_share = 0.0
"""


def write_base(corpora: Path, path: Path) -> Path:
    """Write a sample of the old mail."""
    with path.open("w", encoding="utf-8") as file:
        for name, count in BASE.items():
            records = list(_records(corpora / f"{name}.jsonl.xz"))
            file.writelines(json.dumps(record) + "\n" for record in random.Random(1).sample(records, count))
    return path


def fit_champion(base: Path, folder: Path) -> Path:
    """Fit a small model on it; return its folder of versions."""
    preset = folder / "preset.toml"
    preset.write_text(_PRESET, encoding="utf-8")
    arguments = ["fit", "--preset", str(preset), "--data", str(base), "--out", str(folder), "--models"]
    assert main([*arguments, str(folder / "models")]) == 0
    return folder / "models"


def mailbox(corpora: Path) -> list[dict[str, Any]]:
    """Return SpamAssassin's mail as a mailbox gets it: both classes mixed."""
    records = list(_records(corpora / "spamassassin.jsonl.xz"))
    random.Random(2).shuffle(records)
    return records


def _records(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
