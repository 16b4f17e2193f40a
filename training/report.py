"""What was measured as one page, for a reader who did not write the code: no outside resources, light and dark.

Of the mail itself nothing is shown but the names of messages and how much each of their fields weighs, unless content
is asked for: it is private.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import classifier
from training import plots
from training.adaptation import curves as adaptation_curves
from training.adaptation import table as adaptation_table
from training.evaluate import table
from training.findings import Findings, worst
from training.reasons import FIELD_NAMES, Word

# Colours and type, which the service's page has too; then the layout.
_STYLES = (Path(classifier.__file__).with_name("look.css"), Path(__file__).with_name("report.css"))
_WORDS = 5


def write_report(findings: Findings, path: Path) -> None:
    """Write the page."""
    path.write_text(page(findings), encoding="utf-8")


def page(findings: Findings) -> str:
    """Return the page as HTML."""
    sections = [_summary, _measures, _verdicts, _curves, _source, _others, _adaptation, _fitting, _errors]
    return html_page(findings.model, (part for section in sections for part in section(findings)))


def html_page(title: str, parts: Iterable[str]) -> str:
    """Return a page that stands by itself, of parts that are HTML."""
    body = "\n".join(parts)
    style = "\n".join(path.read_text(encoding="utf-8") for path in _STYLES)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Hamlet: {escape(title)}</title>\n<style>\n{style}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def markdown_tables(text: str) -> str:
    """Return tables and lines of Markdown, as the steps print them, as HTML."""
    html: list[str] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if rows:
            html.append(html_table(rows[0], rows[2:]))
            rows = []
        if line.strip():
            html.append(f'<p class="note">{escape(line.replace(chr(92), ""))}</p>')
    return "\n".join(html)


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain texts as HTML."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    # In the order of Tab, for those who scroll a wide table with the keyboard.
    return f'<div class="table" tabindex="0" role="group" aria-label="Table">{table}</div>'


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _summary(findings: Findings) -> Iterable[str]:
    of = findings.measures["all"]
    yield f"<h1>What the spam filter can do, measured</h1>\n<p class='note'>Model {escape(findings.model)}</p>"
    yield (
        f"<p>The model read {of['spam']:,} spam and {of['ham']:,} wanted messages (ham): {escape(findings.mail)}. It "
        f"gives each a probability of being spam and says <em>spam</em> from {findings.thresholds.spam_from:.4f} on, "
        f"<em>ham</em> below {findings.thresholds.ham_below:.4f} and <em>unsure</em> between.</p>"
    )
    figures = [
        ("spam_caught", "of the spam is called spam"),
        ("ham_lost", "of the ham is called spam"),
        ("spam_caught_at_0.1_percent_ham_loss", "of the spam would be caught if 1 ham in 1,000 may be lost"),
    ]
    shown = [
        (f"{100 * of[name]['value']:.2f} %", f"{words} ({_interval(of[name])})")
        for name, words in figures
        if name in of
    ]
    shown.append((f"{100 * of['unsure']:.1f} %", "of all mail is left unsure"))
    if "calibration_error" in of:
        shown.append((f"{of['calibration_error']:.3f}", "calibration error: how far stated probabilities are off"))
    items = "".join(f"<li><strong>{escape(value)}</strong>{escape(words)}</li>" for value, words in shown)
    yield f'<ul class="figures">{items}</ul>'
    yield (
        '<p class="note">Numbers in brackets are 95 % intervals. A share of ham below 3 / (number of ham) cannot be '
        "claimed: so few were seen.</p>"
    )


def _measures(findings: Findings) -> Iterable[str]:
    yield "<h2>By collection of mail</h2>"
    yield (
        "<p><b>(1-ROCA)%</b> is the chance, in percent, that a ham picked at random looks more like spam than a spam "
        "picked at random: 0 is perfect, 50 is guessing. It does not depend on any threshold. <b>Caught</b> and "
        "<b>ham lost</b> are at the model's own threshold. A collection with one class alone has no (1-ROCA)%.</p>"
    )
    yield markdown_tables(table(dict(findings.measures)))
    if findings.by_length:
        yield "<h2>By length</h2>"
        yield markdown_tables(table(dict(findings.by_length)).replace("| corpus |", "| tokens |"))
    if findings.by_language:
        yield "<h2>By language, as guessed from the text</h2>"
        yield markdown_tables(table(dict(findings.by_language)).replace("| corpus |", "| language |"))


def _verdicts(findings: Findings) -> Iterable[str]:
    yield "<h2>What was said of what</h2>"
    is_spam, scores, thresholds = findings.is_spam_N, findings.probabilities_N, findings.thresholds
    said_ham, said_spam = scores < thresholds.ham_below, scores >= thresholds.spam_from
    rows = []
    for name, members in (("spam", is_spam), ("ham", ~is_spam)):
        number = max(1, int(members.sum()))
        said = (said_ham, ~said_ham & ~said_spam, said_spam)
        cells = [f"{(each & members).sum():,} ({(each & members).sum() / number:.2%})" for each in said]
        rows.append([f"{name} ({members.sum():,})", *cells])
    yield html_table(["it is", "called ham", "called unsure", "called spam"], rows)


def _curves(findings: Findings) -> Iterable[str]:
    yield "<h2>Every threshold at once</h2>"
    scores, is_spam, thresholds = findings.probabilities_N, findings.is_spam_N, findings.thresholds
    yield '<div class="pictures">'
    if 0 < is_spam.sum() < len(is_spam):
        yield _figure(
            plots.roc(scores, is_spam, thresholds),
            "ROC: how much spam is caught for how much ham lost. Up and to the left is better; the diamond is the "
            "model's threshold.",
        )
        yield _figure(
            plots.det(scores, is_spam, thresholds),
            "DET: spam missed for ham lost, both on scales that spread small shares. Down and to the left is better.",
        )
    yield _figure(
        plots.reliability(scores, is_spam),
        "Reliability: of the mail that gets 70 %, 70 % should be spam. On the dashed line probabilities mean what they "
        "say.",
    )
    yield _figure(
        plots.histogram(scores, is_spam, thresholds),
        "How many messages get which probability; the dotted lines are the two thresholds. Counts on a logarithmic "
        "scale.",
    )
    yield "</div>"


def _source(findings: Findings) -> Iterable[str]:
    guess = findings.guess
    if guess is None:
        return
    yield "<h2>Could the model just know the collections?</h2>"
    yield (
        "<p>Some collections hold spam alone and some ham alone, so a program that recognises the collection gets "
        "most labels right without knowing what spam is. A classifier made to do only that, from the words, was tried "
        f"on {guess.messages:,} test messages: it names the right one of {guess.sources} collections for "
        f"{guess.right:.1%}, and telling spam from that guess alone gives a (1-ROCA)% of "
        f"{guess.one_minus_roca_percent:.2f}. A figure over all mail near this one would prove nothing. Inside one "
        "collection the guess only knows which of its mail resembles another collection's: where the model is far "
        "below it there, it knows more than the source.</p>"
    )
    rows = []
    for name, area in guess.within.items():
        own = findings.measures.get(name, {}).get("one_minus_roca_percent")
        rows.append([name, f"{area:.2f}", f"{own['value']:.3f}" if own else "-"])
    yield html_table(["inside", "(1-ROCA)% by guessing the source", "(1-ROCA)% of the model"], rows)


def _others(findings: Findings) -> Iterable[str]:
    texts = {
        "rivals": (
            "Beside other methods",
            "Other networks and other people's filters, fitted and tested on the same split of the same mail. Hamlet "
            "is the sum of two halves, which stand here by themselves too: lstm and ngrams.",
        ),
        "leave-out": (
            "Mail of other people",
            "Fitted without a collection, tested on all of it. This is the figure that counts: mail of other people.",
        ),
        "evasion": (
            "Spam in disguise",
            "The same spam as it came and after each trick that spammers use, at the model's own threshold. An image "
            "in place of the text leaves sender, subject and link to judge by; the model does not look at pictures.",
        ),
    }
    for name, markdown in findings.tables.items():
        heading, words = texts[name]
        yield f"<h2>{escape(heading)}</h2>\n<p>{escape(words)}</p>\n{markdown_tables(markdown)}"


def _adaptation(findings: Findings) -> Iterable[str]:
    found = findings.adaptation
    if found is None:
        return
    yield "<h2>A new mailbox</h2>"
    yield (
        "<p>The model adapted to the first messages of a mailbox that it had never seen and tested on the next ones, "
        "beside bogofilter, which learned the same old mail and the same messages. (1-ROCA)%; on old mail it shows "
        "what is forgotten.</p>"
    )
    words = "The chance that a ham of the mailbox looks more like spam than a spam does, by how much of it was learned."
    yield f'<div class="pictures">{_figure(plots.adaptation(adaptation_curves(found)), words)}</div>'
    yield markdown_tables(adaptation_table(found))


def _fitting(findings: Findings) -> Iterable[str]:
    pictures = []
    if findings.history:
        words = "Loss by epoch. Where the loss on unseen mail rises again the model begins to learn by heart."
        pictures.append(_figure(plots.learning_curves(findings.history), words))
    for name, norms in findings.gradients.items():
        words = (
            f"How much of the learning signal comes back to a token, by how far it stands from the end; {name}, before "
            "training. The network cannot learn from tokens that it does not come back to."
        )
        pictures.append(_figure(plots.gradient_flow(norms), words))
    if findings.lags:
        words = (
            "A made-up task: one token early on tells spam from ham, all others are noise. 50 % is guessing. The cells "
            "are read at their last state; the model keeps the mean and the maximum over time, and the mean word."
        )
        pictures.append(_figure(plots.long_lag(findings.lags), words))
    if pictures:
        yield '<h2>How it learned, and why an LSTM</h2>\n<div class="pictures">'
        yield from pictures
        yield "</div>"


def _errors(findings: Findings) -> Iterable[str]:
    headings = ["message", "probability", "collection"] + (["subject"] if findings.subjects_N is not None else [])
    names = ("Ham that looks most like spam", "Spam that looks most like ham")
    for heading, places in zip(names, worst(findings.probabilities_N, findings.is_spam_N), strict=True):
        rows = []
        for place in places:
            row = [findings.ids_N[place], f"{findings.probabilities_N[place]:.4f}", str(findings.corpora_N[place])]
            rows.append(row if findings.subjects_N is None else [*row, findings.subjects_N[place]])
        if rows:
            yield f"<h2>{heading}</h2>\n{html_table(headings, rows)}"
            yield from _reasons(findings, [place for place in places if place in findings.reasons])


def _reasons(findings: Findings, places: Sequence[int]) -> Iterable[str]:
    """What pulled these messages to spam or ham: by field, and by word where words may be shown."""
    if not places:
        return
    found = [findings.reasons[place] for place in places]
    fields = [name for name in FIELD_NAMES.values() if any(name in each.by_field for each in found)]
    yield (
        "<h3>What pulled them there</h3>\n<p>The score before it is turned into a probability, in nats (0 is even, "
        "each 0.7 doubles or halves the odds), starts at what the model says where it has read nothing; each field of "
        "the mail pulls it up to spam (+) or down to ham, and together they are the score. The pull of a word is that "
        "in its place among the others: it need not pull so elsewhere.</p>"
    )
    rows = []
    for place, each in zip(places, found, strict=True):
        pulls = [f"{each.by_field[name]:+.2f}" if name in each.by_field else "" for name in fields]
        rows.append([findings.ids_N[place], f"{each.baseline_logit:+.2f}", *pulls, f"{each.logit:+.2f}"])
    yield html_table(["message", "nothing read", *fields, "score"], rows)
    if findings.subjects_N is None:
        yield '<p class="note">The words that pulled most are shown with --show-content: private mail.</p>'
        return
    rows = []
    for place, each in zip(places, found, strict=True):
        to_spam, to_ham = each.strongest(_WORDS)
        rows.append([findings.ids_N[place], _pulls(to_spam), _pulls(to_ham)])
    table_of_words = html_table(["message", "words that pull to spam", "words that pull to ham"], rows)
    yield f'<div class="words">{table_of_words}</div>'


def _pulls(words: Sequence[Word]) -> str:
    return ", ".join(f"{word.text} ({word.field}) {word.weight:+.2f}" for word in words)


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{100 * estimate['low']:.2f} to {100 * estimate['high']:.2f} %"
