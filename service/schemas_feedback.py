"""The bodies of the feedback routes. Loads without torch and without a database."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from service.schemas import MailForms

MAX_REPORTER_CHARACTERS = 256
MAX_REASON_CHARACTERS = 2000

# PostgreSQL keeps no NUL in a text, and a name with a line break in it is none.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
_NO_NUL = r"^[^\x00]*$"
REQUEST_ID = r"^[A-Za-z0-9._:/+=@-]{1,128}$"


class FeedbackRequest(MailForms):
    """A message in exactly one form, and what somebody calls it."""

    label: Literal["spam", "ham"]
    reporter: Annotated[str, StringConstraints(max_length=MAX_REPORTER_CHARACTERS, pattern=_PRINTABLE)] | None = Field(
        None, description="Who says so; the next training can limit how much one reporter counts."
    )
    reason: Annotated[str, StringConstraints(max_length=MAX_REASON_CHARACTERS, pattern=_NO_NUL)] | None = Field(
        None, description="Why, in free words, for whoever looks at the journal."
    )
    request_id: Annotated[str, StringConstraints(pattern=REQUEST_ID)] | None = Field(
        None, description="`X-Request-Id` of the prediction that this is about, to find it in the logs."
    )


class FeedbackOut(BaseModel):
    """The entry of the journal that says so now."""

    id: str = Field(description="For DELETE; of the first entry that said so.")
    label: Literal["spam", "ham"]
    outcome: Literal["learned", "already_learned", "relabelled"]


class FeedbackEntry(BaseModel):
    """An entry of the journal, without its message."""

    id: str
    label: Literal["spam", "ham"]
    reporter: str | None
    reason: str | None
    request_id: str | None
    created_at: datetime
    supersedes: str | None = Field(description="The entry with the other label that this one takes the place of.")
    model_version: str | None = Field(description="The model in service when this was said, if it could be asked.")
    spam_probability: float | None = Field(description="What that model said of the message.")
    size_bytes: int


class FeedbackList(BaseModel):
    """Entries, newest first."""

    feedback: list[FeedbackEntry]
    next: str | None = Field(description="For `before`, to see older ones; null when there are none.")
