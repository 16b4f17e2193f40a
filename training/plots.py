"""The pictures of the report, as SVG that takes its colours from the page, so that it reads in light and in dark.

matplotlib is imported by the first picture: training without a report does not need it.

Shape letters: N messages, S spam, H ham.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifier.verdict import Thresholds
from training import curves
from training.curves import Line
from training.measures import IsSpam, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins in the drawing for colours that the page defines (classifier/look.css).
_INK, _FAINT, _LINE = "#010203", "#040506", "#070809"
_SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05")
_COLOURS = {_INK: "currentColor", _FAINT: "var(--faint)", _LINE: "var(--line)"} | {
    stand_in: f"var(--series-{number})" for number, stand_in in enumerate(_SERIES, start=1)
}
_DASHES = ("-", "--", ":", "-.", (0, (5, 1)))
_SHARES = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5)


def roc(scores_N: Scores, is_spam_N: IsSpam, thresholds: Thresholds) -> str:
    """Return spam caught by ham lost, the latter on a logarithmic scale: what counts happens below 1 %."""
    lost, caught = curves.roc(scores_N, is_spam_N)
    least = 1 / max(1, int((~is_spam_N).sum()))

    def draw(axes: "Axes") -> None:
        axes.plot(np.maximum(lost, least / 2), caught, color=_SERIES[0], drawstyle="steps-post")
        _mark(axes, *_at(scores_N, is_spam_N, thresholds.spam_from), least / 2)
        axes.set_xscale("log")
        axes.set_xlabel("ham lost")
        axes.set_ylabel("spam caught")
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)

    return _svg(draw, "ROC curve")


def det(scores_N: Scores, is_spam_N: IsSpam, thresholds: Thresholds) -> str:
    """Return spam missed by ham lost, both on normal deviate scales: two normal distributions give a straight line."""
    lost, caught = curves.roc(scores_N, is_spam_N)
    inside = (lost > 0) & (lost < 1) & (caught > 0) & (caught < 1)
    ticks = _deviates(np.array(_SHARES))

    def draw(axes: "Axes") -> None:
        axes.plot(_deviates(lost[inside]), _deviates(1 - caught[inside]), color=_SERIES[0])
        at_lost, at_caught = _at(scores_N, is_spam_N, thresholds.spam_from)
        if 0 < at_lost < 1 and 0 < at_caught < 1:
            x, y = _deviates(np.array([at_lost, 1 - at_caught])).tolist()
            _mark(axes, x, y, x)
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks(ticks, [_percent(share) for share in _SHARES])
        axes.set_xlabel("ham lost")
        axes.set_ylabel("spam missed")

    return _svg(draw, "DET curve")


def reliability(probabilities_N: Scores, is_spam_N: IsSpam) -> str:
    """Return how much of the mail at each probability is spam, beside how much should be; empty bins have no point."""
    said, found, _ = curves.reliability(probabilities_N, is_spam_N)

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=_FAINT, linestyle="--")
        axes.plot(said, found, color=_SERIES[0], marker="o")
        axes.set_xlabel("probability of spam that the model gives")
        axes.set_ylabel("share that is spam")
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)

    return _svg(draw, "reliability diagram")


def histogram(probabilities_N: Scores, is_spam_N: IsSpam, thresholds: Thresholds) -> str:
    """Return how many ham and spam get which probability, counts on a logarithmic scale, with the thresholds."""

    def draw(axes: "Axes") -> None:
        for number, (name, members) in enumerate((("ham", ~is_spam_N), ("spam", is_spam_N))):
            counts, edges = np.histogram(probabilities_N[members], bins=40, range=(0, 1))
            axes.stairs(counts, edges, color=_SERIES[number], label=name, linestyle=_DASHES[number], linewidth=1.8)
        for threshold in (thresholds.ham_below, thresholds.spam_from):
            axes.axvline(threshold, color=_INK, linestyle=":", linewidth=1)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_xlabel("probability of spam that the model gives")
        axes.set_ylabel("messages")
        axes.xaxis.set_major_formatter(_percent)
        axes.legend()

    return _svg(draw, "histogram of scores")


def learning_curves(history: Sequence[Mapping[str, float]]) -> str:
    """Return the loss by epoch on mail that is fitted on and on mail that is not."""
    epochs = [each["epoch"] for each in history]

    def draw(axes: "Axes") -> None:
        for number, name in enumerate(("train", "validation")):
            losses = [each[f"{name}_loss"] for each in history]
            axes.plot(epochs, losses, color=_SERIES[number], marker="o", linestyle=_DASHES[number], label=name)
        axes.set_xticks(epochs)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss, nats")
        axes.legend()

    return _svg(draw, "learning curves")


def gradient_flow(norms: Mapping[str, Sequence[float]]) -> str:
    """Return the norm of the gradient by how far a token stands from the end, one line a cell."""
    lines = {name: (np.arange(len(of))[::-1].astype(float), np.maximum(of, 1e-12)) for name, of in norms.items()}

    def draw(axes: "Axes") -> None:
        _lines(axes, lines)
        axes.set_yscale("log")
        axes.set_xlabel("tokens before the end")
        axes.set_ylabel("gradient, 1 = largest")

    return _svg(draw, "gradient by distance from the end")


def long_lag(accuracy: Mapping[str, Mapping[str, float]]) -> str:
    """Return accuracy by lag, one line a network; a half is guessing."""
    lines = {name: (np.array([float(lag) for lag in of]), np.array(list(of.values()))) for name, of in accuracy.items()}

    def draw(axes: "Axes") -> None:
        _lines(axes, lines, marker="o")
        axes.axhline(0.5, color=_FAINT, linestyle="--")
        axes.set_ylim(0.4, 1.03)
        axes.set_xlabel("tokens between the telling one and the end")
        axes.set_ylabel("right")
        axes.yaxis.set_major_formatter(_percent)

    return _svg(draw, "accuracy by lag")


def adaptation(curves: Mapping[str, Line]) -> str:
    """Return (1-ROCA)% on mail that follows by how many messages of a mailbox were learned, one line a filter."""
    lines = {name: (learned, np.maximum(areas, 1e-3)) for name, (learned, areas) in curves.items()}
    ticks = next(iter(lines.values()))[0]

    def draw(axes: "Axes") -> None:
        _lines(axes, lines, "o")
        axes.set_xscale("symlog", linthresh=100)
        axes.set_yscale("log")
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.set_xlabel("messages of the mailbox that were learned")
        axes.set_ylabel("(1-ROCA)% on the next ones")
        axes.legend()

    return _svg(draw, "adaptation to a mailbox")


def _lines(axes: "Axes", lines: Mapping[str, Line], marker: str = "") -> None:
    for number, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, color=_SERIES[number], linestyle=_DASHES[number], marker=marker, label=name)
    axes.legend()


def _at(scores_N: Scores, is_spam_N: IsSpam, threshold: float) -> tuple[float, float]:
    is_caught = scores_N >= threshold
    return float(is_caught[~is_spam_N].mean()), float(is_caught[is_spam_N].mean())


def _mark(axes: "Axes", x: float, y: float, least: float) -> None:
    """A point where the model's threshold lies."""
    axes.plot([max(x, least)], [y], color=_INK, marker="D", linestyle="", label="threshold spam_from")
    axes.legend()


def _deviates(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([NormalDist().inv_cdf(float(share)) for share in shares])


def _percent(share: float, position: float = 0) -> str:
    return f"{100 * share:.4g} %"


def _svg(draw: Callable[["Axes"], None], name: str) -> str:
    """One picture as an svg element. Colours come from the page, letters are text."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # ids of pictures on one page must differ, and be the same for the same figures
        "font.size": 10,
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": _LINE,
        "legend.frameon": False,
    }
    settings |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), _INK)
    settings |= dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), _FAINT)
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for stand_in, colour in _COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg
