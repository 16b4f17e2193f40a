"""What all three servers share: the model, and scoring the requests of one call."""

import base64
from pathlib import Path
from typing import Any

from classifier.pipeline import SpamClassifier


class Model:
    """The classifier, given requests as they come over HTTP: {"messages": [{"raw_base64": ...}]}."""

    def __init__(self, folder: str) -> None:
        self._classifier = SpamClassifier.load(Path(folder))
        self._classifier.use_bfloat16()  # as Hamlet does
        self._classifier.warm_up()

    def score(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score the messages of all requests in one go, and answer each request."""
        raws = [[base64.b64decode(message["raw_base64"]) for message in request["messages"]] for request in requests]
        scores = iter(self._classifier.score([self._classifier.prepare(raw) for some in raws for raw in some]))
        return [
            {"results": [{"verdict": score.verdict.value, "spam_probability": score.probability} for score in answers]}
            for answers in ([next(scores) for _ in some] for some in raws)
        ]
