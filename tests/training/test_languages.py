"""The language of a mail."""

from classifier.text import BODY, SUBJECT
from training.languages import language_of, names_in_order, rare_as_others

ENGLISH = f"{SUBJECT} the meeting on friday {BODY} please send me the minutes of the last meeting before we meet again"
GERMAN = f"{SUBJECT} die sitzung am freitag {BODY} bitte schicken sie mir das protokoll der letzten sitzung"


def test_a_mail_is_in_the_language_of_its_words() -> None:
    """Subject and body decide; what is too short or no words at all is not guessed at."""
    texts = [ENGLISH, GERMAN, f"{BODY} ok", f"{BODY} 000 000 000 000 000 000 000 000 000"]
    assert [language_of(text) for text in texts] == ["en", "de", "not sure", "not sure"]


def test_rare_languages_stand_together() -> None:
    """A line of a table for each of two mails would say nothing."""
    found = rare_as_others(["en"] * 3 + ["de", "not sure"], fewest=2)
    assert found == ["en", "en", "en", "others", "not sure"]
    assert names_in_order(found) == ["en", "others", "not sure"]
