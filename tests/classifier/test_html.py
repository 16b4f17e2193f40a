"""HTML to visible text, hidden text and links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.html import Link, host_of, read_html


@pytest.mark.parametrize(
    "hiding",
    [
        'style="display:none"',
        'style="DISPLAY : none !important"',
        'style="color:red;visibility:hidden"',
        'style="font-size:0px"',
        'style="font-size: 1px; color: #fff"',
        'style="opacity:0"',
        'style="mso-hide:all"',
        "hidden",
    ],
)
def test_what_a_reader_cannot_see_is_hidden_text(hiding: str) -> None:
    """Text that style or attribute hides is told apart from what is shown, with everything inside it."""
    page = read_html(f"<p>seen</p><div {hiding}>one <b>two</b></div><p>too</p>")
    assert page.visible.split() == ["seen", "too"]
    assert page.hidden.split() == ["one", "two"]


def test_scripts_and_styles_are_no_text() -> None:
    """What is code is neither seen nor hidden."""
    page = read_html("<style>p{}</style><script>alert('x')</script><title>t</title><p>seen</p><!-- note -->")
    assert (page.visible, page.hidden) == ("seen", "")


def test_hiding_ends_with_the_element() -> None:
    """An element that is never closed hides the rest; one that is closed hides nothing after it."""
    assert read_html('<span style="display:none">a</span>b').visible == "b"
    assert read_html('<img style="display:none" src=x>b<br>c').visible.split() == ["b", "c"]
    assert read_html('<div style="display:none">a').visible == ""


@pytest.mark.parametrize(
    ("text", "target", "mismatch"),
    [
        ("www.bank.example", "http://evil.example.net/x", True),
        ("https://bank.com/login", "https://secure.bank.com/", False),
        ("bank.co.uk", "http://www.bank.co.uk", False),
        ("bank.co.uk", "http://other.co.uk", True),
        ("click here", "http://evil.example", False),
        ("mail@bank.example", "mailto:mail@bank.example", False),
    ],
)
def test_a_link_whose_text_names_another_owner_is_a_mismatch(text: str, target: str, mismatch: bool) -> None:
    """Only a text that reads as a host can mismatch, and subdomains of one owner do not."""
    (link,) = read_html(f'<a href="{target}">{text}</a>').links
    assert link == Link(text, target)
    assert link.is_mismatch is mismatch


@pytest.mark.parametrize(
    ("url", "host"),
    [("hxxps://A.Example[.]com/x", "a.example.com"), ("http://x.org:80", "x.org"), ("#top", ""), ("no host", "")],
)
def test_hosts_are_found_in_defanged_urls_too(url: str, host: str) -> None:
    """Corpora and reports write URLs so that nobody clicks them; the host is the same."""
    assert host_of(url) == host


@given(st.text(alphabet="<>/ap b='\"!-&;#x0divstyle:none\0\ud800\n", max_size=200))
def test_any_text_is_html(markup: str) -> None:
    """No markup raises, however broken."""
    read_html(markup)
