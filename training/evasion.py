"""How much of the spam is still caught when spammers try to get it past the filter.

The same spam of the test part is scored as it is and after each trick (training.tricks), from its bytes, by the
classifier that the service runs, at the thresholds that the model ships with.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.encoding import PreparedMessage
from classifier.errors import MessageError
from classifier.pipeline import SpamClassifier
from classifier.text import BODY
from training.corpus import Corpus
from training.errors import DataError
from training.measures import share_interval
from training.progress import progress, say
from training.sources import SourceReport, read_sources
from training.split import Part
from training.tricks import (
    Mail,
    Trick,
    good_words_after,
    good_words_before,
    hidden_good_words,
    homoglyphs,
    image_only,
    leet,
    letter_spacing,
    zero_width,
)

UNTOUCHED = "untouched"
_SCORED_TOGETHER = 256
# Ham messages that good words are taken from.
_GOOD_MESSAGES = 2_000
_WORD = re.compile(r"[a-z]{3,}")


def evasions(good_words: Sequence[str]) -> dict[str, Trick]:
    """Return the tricks of the suite by name; `good_words` are words of ham that the network was fitted on."""
    tricks: dict[str, Trick] = {
        "zero-width characters in half of the words": zero_width,
        "look-alike letters in half of the words": homoglyphs,
        "digits for letters in half of the words": leet,
        "half of the words set in spaced letters": letter_spacing,
        "150 good words hidden by a style": hidden_good_words(good_words, 150),
    }
    for number in (30, 150):
        tricks[f"{number} good words before"] = good_words_before(good_words, number)
        tricks[f"{number} good words after"] = good_words_after(good_words, number)
    return tricks | {"an image in place of the text": image_only}


def good_words(corpus: Corpus, *, seed: int) -> list[str]:
    """Return words of the train part's ham, each as often as it is written there: the worst that a spammer can know."""
    places = corpus.places(Part.TRAIN)
    ham = places[~corpus.is_spam[places]]
    drawn = np.random.default_rng(seed).permutation(ham)[:_GOOD_MESSAGES]
    texts = corpus.texts()
    return [word for place in drawn.tolist() for word in _WORD.findall(texts[place].partition(BODY)[2])]


def held_out_spam(corpus: Corpus, paths: Sequence[str], most: int, *, seed: int) -> list[Mail]:
    """Return spam of the test part as it came, `most` drawn at random where there is more.

    Args:
        paths: the sources that the corpus was prepared from.

    Raises:
        DataError: the sources have changed since.
    """
    places = corpus.places(Part.TEST)
    drawn = np.random.default_rng(seed).permutation(places[corpus.is_spam[places]])[:most]
    mails = mails_at(corpus, paths, drawn)
    return [mails[place] for place in drawn.tolist()]


def mails_at(corpus: Corpus, paths: Sequence[str], places: NDArray[np.int64]) -> dict[int, Mail]:
    """Return the mails that stand at some places of a corpus, by place, read from its sources anew.

    Raises:
        DataError: the sources have changed since the corpus was prepared.
    """
    wanted = set(places.tolist())
    found: dict[int, Mail] = {}
    place = 0
    for mail in progress(read_sources(paths, report=SourceReport()), "reading mail"):
        if place < len(corpus.messages):
            info = corpus.messages[place]
            if (info.id, info.source, info.is_spam) != (mail.id, mail.source, mail.label == "spam"):
                continue  # it says nothing, and was left out of the corpus
            if place in wanted:
                found[place] = mail.mail
            place += 1
    if len(found) < len(wanted):
        raise DataError(
            f"{', '.join(paths)} is not what the corpus was prepared from: prepare it anew, in another --out"
        )
    return found


def measure_evasion(
    classifier: SpamClassifier, mails: Sequence[Mail], tricks: dict[str, Trick], *, seed: int
) -> list[dict[str, Any]]:
    """Return a row for the mails as they are and one for each trick, as plain values.

    A row has "trick", "spam" (how many), "caught" (share at or above `spam_from`, with its interval), "unsure" (share)
    and "fell_by_points" (how much less is caught than of the untouched mails, in percentage points).
    """
    rows: list[dict[str, Any]] = []
    all_tricks: dict[str, Trick] = {UNTOUCHED: lambda mail, random: mail} | tricks
    for number, (name, trick) in enumerate(all_tricks.items()):
        tricked = (trick(mail, np.random.default_rng((seed, number, place))) for place, mail in enumerate(mails))
        probabilities = _scores(classifier, progress(tricked, name, len(mails)))
        is_caught = probabilities >= classifier.thresholds.spam_from
        caught = share_interval(int(is_caught.sum()), len(probabilities))
        rows.append(
            {
                "trick": name,
                "spam": len(probabilities),
                "caught": asdict(caught),
                "unsure": float((~is_caught & (probabilities >= classifier.thresholds.ham_below)).mean()),
                "fell_by_points": 100 * (rows[0]["caught"]["value"] - caught.value) if rows else 0.0,
            }
        )
    return rows


def evasion_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table for people."""
    lines = ["| trick | spam | caught | fell by, points | unsure |", "|---|---|---|---|---|"]
    for row in rows:
        value, low, high = (f"{100 * row['caught'][key]:.1f}" for key in ("value", "low", "high"))
        fell = "-" if row["trick"] == UNTOUCHED else f"{row['fell_by_points']:.1f}"
        lines.append(f"| {row['trick']} | {row['spam']:,} | {value} ({low}-{high}) % | {fell} | {row['unsure']:.1%} |")
    return "\n".join(lines)


def _scores(classifier: SpamClassifier, mails: Iterable[Mail]) -> NDArray[np.float64]:
    """The probability of each mail. One that cannot be scored counts as not caught."""
    probabilities: list[float] = []
    waiting: list[PreparedMessage] = []
    unread = 0
    for mail in mails:
        try:
            waiting.append(classifier.prepare(mail))
        except MessageError:
            unread += 1
        if len(waiting) == _SCORED_TOGETHER:
            probabilities += [score.probability for score in classifier.score(waiting)]
            waiting = []
    probabilities += [score.probability for score in classifier.score(waiting)]
    if unread:
        say(f"{unread} of them say nothing any more and count as not caught")
    return np.array(probabilities + [0.0] * unread, np.float64)
