"""Logits to probabilities that mean what they say, learned on mail that fit has not seen."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from classifier.calibration import Calibration
from training.measures import IsSpam, Scores


def calibrate(logits_N: Scores, is_spam_N: IsSpam) -> Calibration:
    """Return the Platt scaling of the logits. With one class alone, or a slope that is not positive: the identity."""
    if is_spam_N.all() or not is_spam_N.any():
        return Calibration()
    # C=100: next to no penalty, but finite weights where the classes are perfectly apart.
    model = LogisticRegression(C=100.0).fit(logits_N[:, None], is_spam_N)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Calibration(slope, offset) if slope > 0 else Calibration()


def probabilities(calibration: Calibration, logits_N: Scores) -> Scores:
    """Return the calibrated probability of each logit, by the very function that the service uses."""
    return np.array([calibration.probability(logit) for logit in logits_N.tolist()], np.float64)
