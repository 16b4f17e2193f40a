"""From a mail to what the network reads: the part of a model that needs no torch and can work in another process."""

from classifier.encoding import EncodingConfig, PreparedMessage, select_tokens
from classifier.message import MailFields, ParseLimits, read_mail
from classifier.text import message_text
from classifier.tokenizer import TextTokenizer


class MailReader:
    """Parses, normalises and tokenises; safe to use from several threads. Pickled as what it was made of."""

    def __init__(self, tokenizer_json: str, encoding: EncodingConfig, limits: ParseLimits) -> None:
        self._made_of = (tokenizer_json, encoding, limits)
        self.tokenizer = TextTokenizer.from_json(tokenizer_json)
        self.encoding = encoding
        self.limits = limits

    def __reduce__(self) -> tuple[type["MailReader"], tuple[str, EncodingConfig, ParseLimits]]:
        return MailReader, self._made_of

    def prepare(self, mail: bytes | MailFields) -> PreparedMessage:
        """Return one mail as the network reads it.

        Raises:
            MessageError: there is nothing in it to score. Broken mail does not raise.
        """
        message = read_mail(mail, self.limits)
        token_ids, truncated = select_tokens(self.tokenizer.encode(message_text(message)), self.encoding)
        return PreparedMessage(token_ids, truncated, message.defects)
