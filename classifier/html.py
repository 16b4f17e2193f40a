"""HTML to what a reader sees, what is hidden from them, and where the links go.

The parser is libxml2's, fed as a stream of events: no tree is built, so time is linear whatever the input is. A tree
builder that follows the HTML standard is not: of 20,000 unclosed `<b id=i>` it opens each again in every `<p>` that
follows (`quadratic_html` of tests/hostile_mail.py).
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from lxml import etree

# Characters of HTML read; the rest is cut. How long the worst takes:
# python -m timeit -s "from classifier.html import read_html" "read_html('<p>' * 349525)"
MAX_HTML_CHARACTERS = 1024 * 1024

# fmt: off
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "center", "dd", "div", "dl", "dt", "fieldset", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "option",
    "p", "pre", "section", "table", "td", "th", "tr", "ul",
))
# fmt: on
_NO_TEXT = frozenset(("script", "style", "title"))
# Their content is text that no mail program shows: as good a hiding place as `display:none`.
_HIDING = frozenset(
    (
        "applet",
        "audio",
        "canvas",
        "datalist",
        "iframe",
        "math",
        "noscript",
        "object",
        "select",
        "svg",
        "template",
        "video",
    )
)
_INVISIBLE_STYLE = re.compile(
    r"display:none|visibility:hidden|font-size:[01](?:px|pt|em|%)?(?:[;! ]|$)|opacity:0(?:\.0\d*)?(?:[;! ]|$)"
    r"|max-height:0|max-width:0|mso-hide:all|text-indent:-\d{3}|color:transparent"
)
_LONGEST_REMEMBERED = 200  # characters of a style; no mail can fill the memory with longer ones
_HOST = re.compile(r"(?:h[tx]{2}ps?://)?((?:[a-z0-9-]+\[?\.\]?)+[a-z]{2,24})(?:[/:?#]|$)")


@dataclass(frozen=True, slots=True)
class Link:
    """A link: the text that a reader sees (empty in plain text) and where it leads."""

    text: str
    target: str

    @property
    def host(self) -> str:
        """Host of the target in lower case; empty when it has none (mailto:, a fragment)."""
        return host_of(self.target)

    @property
    def is_mismatch(self) -> bool:
        """Whether the text names a host of another domain than the target's."""
        shown, actual = host_of(self.text), self.host
        return bool(shown and actual) and _domain(shown) != _domain(actual)


@dataclass(slots=True)
class HtmlText:
    """What an HTML body says."""

    visible: str = ""
    hidden: str = ""
    links: list[Link] = field(default_factory=list)


def host_of(url: str) -> str:
    """Return the host in a URL or bare `host/path` text, lower case, or "" when there is none."""
    match = _HOST.match(url.strip()[:512].lower())
    return match[1].replace("[", "").replace("]", "") if match else ""


def _domain(host: str) -> str:
    """The last two labels, three below a short second level (`example.co.uk`): near enough to tell owners apart."""
    labels = host.split(".")
    size = 3 if len(labels) > 2 and len(labels[-2]) <= 3 and len(labels[-1]) == 2 else 2
    return ".".join(labels[-size:])


def read_html(html: str) -> HtmlText:
    """Read HTML of any quality. Never raises; input past MAX_HTML_CHARACTERS is not looked at."""
    reader = _Reader()
    # recover: broken markup is read on. huge_tree: no limit on depth, which costs nothing without a tree.
    parser = etree.HTMLParser(target=reader, recover=True, huge_tree=True, encoding="utf-8", no_network=True)
    markup = html[:MAX_HTML_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        parser.feed(markup.encode("utf-8", "replace"))
        parser.close()
    except etree.LxmlError:  # nothing but white space, or nothing that looks like markup
        pass
    return reader.result()


class _Reader:
    """Receives the parser's events, which are balanced even where the markup is not."""

    def __init__(self) -> None:
        self._visible: list[str] = []
        self._hidden: list[str] = []
        self._links: list[Link] = []
        self._no_text_depth = 0  # open elements since the one whose text is no text (script, style)
        self._hidden_depth = 0  # open elements since the one that hides its content
        self._anchor: str | None = None
        self._anchor_text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._no_text_depth or tag in _NO_TEXT:
            self._no_text_depth += 1
            return
        if self._hidden_depth or tag in _HIDING or (attributes and _hides(attributes)):
            self._hidden_depth += 1
        if tag in _BLOCKS:
            self._text("\n")
        elif tag == "a":
            self._close_anchor()
            self._anchor = attributes.get("href")
        elif tag == "img" and attributes.get("alt"):
            self._text(f" {attributes['alt'][:200]} ")

    def end(self, tag: str) -> None:
        if self._no_text_depth:
            self._no_text_depth -= 1
            return
        if tag == "a":
            self._close_anchor()
        elif tag in _BLOCKS:
            self._text("\n")
        if self._hidden_depth:
            self._hidden_depth -= 1

    def data(self, text: str) -> None:
        if not self._no_text_depth:
            (self._hidden if self._hidden_depth else self._visible).append(text)
            if self._anchor is not None:
                self._anchor_text.append(text)

    # No `comment`: comments are neither seen nor hidden text, for mail programs write them for each other.

    def close(self) -> None:
        self._close_anchor()

    def result(self) -> HtmlText:
        return HtmlText("".join(self._visible).strip(), "".join(self._hidden).strip(), self._links)

    def _text(self, text: str) -> None:
        (self._hidden if self._hidden_depth else self._visible).append(text)

    def _close_anchor(self) -> None:
        if self._anchor:
            self._links.append(Link(" ".join("".join(self._anchor_text).split())[:200], self._anchor.strip()[:2000]))
        self._anchor = None
        self._anchor_text.clear()


def _hides(attributes: dict[str, str]) -> bool:
    """Whether an element's own attributes keep its content from being seen."""
    if "hidden" in attributes or attributes.get("type") == "hidden":
        return True
    style = attributes.get("style")
    if not style:
        return False
    return _is_invisible_again(style) if len(style) <= _LONGEST_REMEMBERED else _is_invisible(style)


def _is_invisible(style: str) -> bool:
    return bool(_INVISIBLE_STYLE.search("".join(style[:2000].lower().split())))


# Newsletters write the same few styles at every cell.
_is_invisible_again = lru_cache(2048)(_is_invisible)
