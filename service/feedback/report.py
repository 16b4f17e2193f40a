"""What somebody says of a message, ready to be stored."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from classifier.message import MailFields

Label = Literal["spam", "ham"]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as the journal keeps it: `raw` and its bytes, or `fields` and their JSON."""

    form: str
    content: bytes

    @property
    def digest(self) -> bytes:
        """32 bytes that only this message has; fields that would make up the same mail are another message."""
        return hashlib.sha256(self.form.encode() + b"\0" + self.content).digest()

    def as_json(self) -> dict[str, Any]:
        """Return the message in a form that POST /v1/feedback and training.sources read."""
        if self.form == "raw":
            return {"raw_base64": base64.b64encode(self.content).decode()}
        fields: dict[str, Any] = orjson.loads(self.content)
        return fields


def stored_message(mail: bytes | MailFields) -> StoredMessage:
    """Return a mail as the journal keeps it; fields under their names in the contract, those not known left out."""
    if isinstance(mail, bytes):
        return StoredMessage("raw", mail)
    fields = {
        "subject": mail.subject,
        "from": mail.sender,
        "to": mail.to,
        "reply_to": mail.reply_to,
        "text": mail.text,
        "html": mail.html,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return StoredMessage("fields", orjson.dumps(known))


@dataclass(frozen=True, slots=True)
class Report:
    """A message, what somebody calls it, and what the model in service thought of it at that moment."""

    message: StoredMessage
    label: Label
    reporter: str | None = None
    reason: str | None = None
    request_id: str | None = None
    model_version: str | None = None
    spam_probability: float | None = None
