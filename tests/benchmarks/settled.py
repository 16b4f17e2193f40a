"""`python -m tests.benchmarks.settled --data PATH... --out FOLDER`: what changes as the LSTM does not read all mail.

On the parts of the mail that the bundled model was not fitted on; with the same sources in `--data` they are those of
its card. The mail is prepared in `--out`, as `python -m training evaluate` does.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.artifact import active_folder, bundled_models
from classifier.encoding import PreparedMessage, select_tokens
from classifier.pipeline import SpamClassifier
from tests.benchmarks.results import Result, Table
from training.config import load_preset
from training.corpus import Corpus
from training.measures import one_minus_roca, spam_caught
from training.prepare import prepare
from training.split import Part

PARTS = (Part.CALIBRATION, Part.TEST, Part.LATER)
COLUMNS = (
    *("part", "messages", "settled", "tokens not read", "verdicts changed", "probability moves by at most"),
    *("(1-ROCA)%, read all", "caught at 0.1 % ham loss, read all", "LSTM, of its bounds: most, median of settled"),
)


def main() -> None:
    """Score each part both ways and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.settled", description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    classifier = SpamClassifier.load(active_folder(bundled_models()))
    config = load_preset("default")
    corpus, _ = prepare(options.data, config, options.out / "prepared", tokenizer=classifier.tokenizer)
    rows = [(part.name.lower(), *measure(classifier, corpus, corpus.places(part))) for part in PARTS]
    print(Result(tables=[Table(COLUMNS, rows)]))


def measure(classifier: SpamClassifier, corpus: Corpus, places: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the cells of one part."""
    token_ids, is_spam = corpus.token_ids(), corpus.is_spam[places]
    prepared = [
        PreparedMessage(select_tokens(token_ids[place].tolist(), classifier.encoding)[0], False)
        for place in places.tolist()
    ]
    quick, whole = classifier.score(prepared), classifier.score(prepared, read_all=True)
    settled = np.array([one.logit != other.logit for one, other in zip(quick, whole, strict=True)])
    tokens = np.array([message.tokens for message in prepared])
    changed = sum(one.verdict is not other.verdict for one, other in zip(quick, whole, strict=True))
    quick_N, whole_N = (np.array([score.probability for score in scores]) for scores in (quick, whole))
    deep_N = _of_bounds(classifier, prepared, np.array([score.logit for score in whole]))
    both = [(one_minus_roca(scores, is_spam), spam_caught(scores, is_spam, 0.001)) for scores in (quick_N, whole_N)]
    return (
        f"{len(places):,}",
        f"{settled.mean():.1%}",
        f"{tokens[settled].sum() / tokens.sum():.1%}",
        str(changed),
        f"{np.abs(quick_N - whole_N).max():.4f}",
        f"{both[0][0]:.4f}, {both[1][0]:.4f}",
        f"{both[0][1]:.1%}, {both[1][1]:.1%}",
        f"{deep_N.max():.3f}, {np.median(deep_N[settled]):.2f}",
    )


def _of_bounds(
    classifier: SpamClassifier, prepared: list[PreparedMessage], logits_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far the LSTM went in each message, as a share of the bound on that side."""
    model = classifier.network
    deep_scale, wide_scale = model.scales.tolist()
    wide_N = np.array(classifier._scorer._run(model.wide, [message.token_ids for message in prepared]))
    deep_N = (logits_N - wide_scale * wide_N) / deep_scale
    least, most = model.deep.logit_bounds()
    of_bounds_N: NDArray[np.float64] = np.where(deep_N < 0, deep_N / least, deep_N / most)
    return of_bounds_N


if __name__ == "__main__":
    main()
