"""mbox and Maildir: each message once, and no byte lost."""

import io

from hypothesis import given
from hypothesis import strategies as st

from classifier.mailboxes import split_mbox

FROM = b"From ann@example.org Mon Jan  5 10:00:00 2026\n"


def test_an_mbox_is_cut_at_its_from_lines() -> None:
    """Quoting is undone, sentences that begin with From stay, and the empty line between two messages is of neither."""
    box = FROM + b"Subject: a\n\n>From noon on\n>>From then\n\n" + FROM + b"Subject: b\n\nx\n\nFrom me to you\n"
    first, second = split_mbox(io.BytesIO(box))
    assert (first.line_number, first.raw) == (1, b"Subject: a\n\nFrom noon on\n>From then\n")
    assert (second.line_number, second.raw) == (7, b"Subject: b\n\nx\n\nFrom me to you\n")
    assert first.separator == b"\n"


@given(
    st.lists(st.sampled_from([FROM, FROM[:-1] + b"\r\n", b"\n", b"\r\n", b"Subject: x\n", b">From x\n", b"\r", b"x"]))
)
def test_its_parts_are_the_file(lines: list[bytes]) -> None:
    """From lines, messages and separators, one after another, are every byte of it."""
    box = b"".join(lines)
    messages = list(split_mbox(io.BytesIO(box)))
    assert b"".join(one.from_line + one.stored + one.separator for one in messages) == box
