"""How well the label is told from nothing but where a mail seems to come from: what a filter must beat to be one.

Where one collection holds spam alone and another ham alone, a classifier that only tells collections apart gets most
labels right, and has learned nothing about spam. So a classifier guesses the collection from the text, and each mail
gets the share of spam among the collections that it may be from. Within one collection that score knows little.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.corpus import Corpus
from training.measures import IsSpam, Scores, one_minus_roca
from training.split import Part

_FITTED, _TESTED = 8_000, 4_000
_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class SourceGuess:
    """What guessing the source is worth, on test mail."""

    messages: int
    sources: int
    right: float  # share of mail whose source is guessed right
    one_minus_roca_percent: float  # of the label, told from the guess
    within: dict[str, float]  # (1-ROCA)% inside each source that has both classes: 50 is chance


def guess_source(corpus: Corpus, *, seed: int = 1) -> SourceGuess | None:
    """Fit on a sample of the train part, measure on a sample of the test part; None where there is one source alone."""
    random = np.random.default_rng(seed)
    fitted = random.permutation(corpus.places(Part.TRAIN))[:_FITTED]
    tested = random.permutation(corpus.places(Part.TEST))[:_TESTED]
    corpora, is_spam = corpus.corpora, corpus.is_spam
    if len(np.unique(corpora[fitted])) < 2 or len(np.unique(is_spam[tested])) < 2:
        return None
    # Imported here: no other part of an evaluation needs scikit-learn.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(max_features=50_000, sublinear_tf=True, min_df=2),
        LogisticRegression(max_iter=300, tol=1e-3, random_state=seed),
    )
    texts = corpus.texts()
    model.fit([texts[place][:_CHARACTERS] for place in fitted.tolist()], corpora[fitted])
    chance_NC: NDArray[np.float64] = model.predict_proba([texts[place][:_CHARACTERS] for place in tested.tolist()])
    spam_share_C = np.array([is_spam[fitted][corpora[fitted] == name].mean() for name in model.classes_])
    scores_N = chance_NC @ spam_share_C
    return SourceGuess(
        messages=len(tested),
        sources=len(model.classes_),
        right=float((model.classes_[chance_NC.argmax(1)] == corpora[tested]).mean()),
        one_minus_roca_percent=one_minus_roca(scores_N, is_spam[tested]),
        within=_within(scores_N, is_spam[tested], corpora[tested]),
    )


def _within(scores_N: Scores, is_spam_N: IsSpam, corpora_N: NDArray[np.str_]) -> dict[str, float]:
    areas: dict[str, float] = {}
    for name in np.unique(corpora_N):
        members = corpora_N == name
        if 0 < is_spam_N[members].sum() < members.sum():
            areas[str(name)] = one_minus_roca(scores_N[members], is_spam_N[members])
    return areas
