"""The answers in rspamd's words."""

from collections.abc import Iterable, Mapping
from typing import Any

from classifier.verdict import Verdict
from service.mail_fields import VERDICT_FIELD, verdict_field
from service.models import ActiveModel, Score
from service.rspamd.scale import NO_ACTION, REJECT, REJECT_SCORE, SYMBOLS, THRESHOLDS, Choices, action_of, score_of

# A sender may have put these there; 0 means all of them. rspamd adds X-Spam itself, after that.
REMOVE_HEADERS = {"X-Spam": 0, VERDICT_FIELD: 0}


def checked(score: Score, model: ActiveModel, choices: Choices, *, message_id: str, seconds: float) -> dict[str, Any]:
    """Return the reply to /checkv2 for a message that was scored; ham gets no header, so that it stays as it is."""
    points = score_of(score.probability, model.classifier.thresholds)
    name, description = SYMBOLS[score.verdict]
    symbol = {
        "name": name,
        "score": points,
        "metric_score": points,
        "description": description,
        "options": [f"{score.probability:.4f}"],
    }
    action = action_of(score.verdict, choices)
    field = verdict_field(score.verdict, score.probability, model.classifier.version)
    add_headers = {} if score.verdict is Verdict.HAM else {VERDICT_FIELD: field}
    return {
        **_reply(action, points, message_id, seconds),
        "symbols": {name: symbol},
        "milter": {"add_headers": add_headers, "remove_headers": REMOVE_HEADERS},
    }


def skipped(why: str, *, seconds: float) -> dict[str, Any]:
    """Return the reply to /checkv2 for a message that is let through unread."""
    return {**_reply(NO_ACTION, 0.0, "undef", seconds), "is_skipped": True, "messages": {"hamlet": why}}


def _reply(action: str, score: float, message_id: str, seconds: float) -> dict[str, Any]:
    return {
        "is_skipped": False,
        "score": score,
        "required_score": REJECT_SCORE,
        "action": action,
        "thresholds": THRESHOLDS,
        "symbols": {},
        "messages": {},
        "urls": [],
        "emails": [],
        "message-id": message_id,
        "time_real": round(seconds, 6),
        "milter": {"add_headers": {}, "remove_headers": REMOVE_HEADERS},
    }


def statistics(verdicts: Mapping[Verdict, int], learned: Mapping[str, int], choices: Choices) -> dict[str, Any]:
    """Return what /stat counts.

    Args:
        verdicts: messages scored since the start, by whatever path they came.
        learned: messages of which somebody said `spam` or `ham` since the start.
        choices: what the actions of these verdicts would be.
    """
    actions = dict.fromkeys((REJECT, "soft reject", "rewrite subject", "add header", "greylist", NO_ACTION), 0)
    for verdict, count in verdicts.items():
        actions[action_of(verdict, choices)] += count
    scanned, spam = sum(verdicts.values()), verdicts.get(Verdict.SPAM, 0)
    return {
        "scanned": scanned,
        "learned": sum(learned.values()),
        "total_learns": sum(learned.values()),
        "actions": actions,
        "spam_count": spam,
        "ham_count": scanned - spam,
        "connections": 0,
        "control_connections": 0,
        "statfiles": [
            {"symbol": f"HAMLET_{label.upper()}", "type": "journal", "revision": count, "users": 0, "languages": 0}
            for label, count in sorted(learned.items())
        ],
    }


def counters(verdicts: Mapping[Verdict, int], uptime_s: float) -> list[dict[str, Any]]:
    """Return the reply to /counters: how often each symbol was given, and per second."""
    weights: Iterable[tuple[Verdict, float]] = (
        (Verdict.HAM, 0.0),
        (Verdict.UNSURE, THRESHOLDS["add header"]),
        (Verdict.SPAM, REJECT_SCORE),
    )
    return [
        {
            "symbol": SYMBOLS[verdict][0],
            "weight": weight,
            "frequency": verdicts.get(verdict, 0) / max(uptime_s, 1.0),
            "frequency_stddev": 0.0,
            "hits": verdicts.get(verdict, 0),
            "time": 0.0,
        }
        for verdict, weight in weights
    ]
