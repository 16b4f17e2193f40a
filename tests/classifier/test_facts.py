"""What stands out in how a message is built."""

from pathlib import Path

import pytest

from classifier.facts import facts
from classifier.message import Attachment, MailFields, Message, message_from_fields, read_mail
from classifier.text import message_text
from tests.conftest import MAIL, mail_files


def found(message: Message) -> dict[str, str]:
    return {fact.code: fact.text for fact in facts(message, message_text(message))}


def test_a_link_whose_text_names_another_host() -> None:
    """Both hosts are named, and that there are more."""
    html = (
        '<a href="http://evil.example/x">paypal.com</a><a href="http://evil.example/y">https://bank.example/login</a>'
    )
    text = found(message_from_fields(MailFields(html=html)))["link_mismatch"]
    assert text == "The link text says paypal.com, the target is another host, evil.example. So does one more."


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        (MailFields(html='a<p style="display:none">meet me at noon</p>'), "hidden_text", "meet me at noon"),
        (MailFields(text="x", sender="a@b.example", reply_to="c@d.example"), "reply_to_differs", "c@d.example"),
        (MailFields(text="x", sender='"help@bank.example" <a@b.example>'), "sender_name_address", "help@bank.example"),
        (MailFields(text="p\u0430ypal v\u0456sa"), "lookalike_letters", "2 words"),
        (MailFields(text="v\u200biagra"), "invisible_characters", "1 word "),
        (MailFields(text="\U0001d405\U0001d42b\U0001d41e\U0001d41e"), "styled_letters", "1 word"),
        (MailFields(text="f r e e money"), "spaced_letters", "1 word"),
        (MailFields(text="x \u202e y"), "turned_direction", "direction"),
        (MailFields(text="http://192.0.2.7/login"), "link_to_ip_address", "192.0.2.7"),
        (MailFields(html='<a href="https://user@192.0.2.7:8080/x">x</a>'), "link_to_ip_address", "192.0.2.7"),
        (MailFields(text="http://xn--pypal-4ve.example/"), "foreign_letters_in_host", "xn--pypal-4ve.example"),
        (MailFields(subject="look", html='<img src="cid:a">'), "no_text", "no text"),
    ],
)
def test_what_stands_out_is_said(fields: MailFields, code: str, says: str) -> None:
    """Each by its code, with what it is about."""
    assert says in found(message_from_fields(fields))[code]


@pytest.mark.parametrize(
    ("name", "media_type", "code"),
    [
        ("invoice.pdf", "application/pdf", "attachment"),
        ("setup.EXE", "application/octet-stream", "attachment_runs"),
        ("offer.docm", "application/msword", "attachment_with_macros"),
        ("login.html", "text/html", "attachment_is_page"),
        ("invoice.pdf.js", "application/pdf", "double_extension"),
        ("", "image/png", "attachment"),
    ],
)
def test_attachments_are_told_by_what_they_can_do(name: str, media_type: str, code: str) -> None:
    """A program, macros, a page, or just a file."""
    text = found(Message(text="x", attachments=[Attachment(name, media_type)]))[code]
    assert name in text


def test_plain_mail_has_nothing_to_say() -> None:
    """An answer among colleagues."""
    message = read_mail((MAIL / "ham" / "work-thread-release.eml").read_bytes())
    assert found(message) == {}


def test_a_quote_is_short_and_on_one_line() -> None:
    """However long what it quotes is."""
    html = f'a<p style="display:none">{"long " * 10_000}\n\n</p>'
    text = found(message_from_fields(MailFields(html=html)))["hidden_text"]
    assert len(text) < 200
    assert "\n" not in text


@pytest.mark.parametrize("path", mail_files("defects"), ids=lambda path: path.stem)
def test_every_defect_is_put_into_words(path: Path) -> None:
    """The code of the fact is that of the defect."""
    message = read_mail(path.read_bytes())
    assert set(message.defects) <= set(found(message))
