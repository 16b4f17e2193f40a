"""Sources to a prepared corpus: parse, cluster near copies, split, learn the tokenizer, encode.

Every stage is kept on disk; a run that is resumed takes up what an earlier one with the same sources and settings
finished.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from classifier.errors import MessageError
from classifier.message import read_mail
from classifier.text import message_text
from classifier.threads import available_cores
from classifier.tokenizer import TextTokenizer
from training.config import TrainingConfig
from training.corpus import Corpus, MessageInfo, Texts, TextWriter, TokenIds
from training.deduplicate import Deduplicator, Signature, readable, sign
from training.errors import DataError
from training.languages import language_of
from training.processes import in_processes
from training.progress import progress, say
from training.sources import LabelledMail, SourceReport, expand, read_sources, sha256_of
from training.split import Part, count_parts, split

# Below so many messages starting processes costs more than it gains.
_PARALLEL_FROM = 2_000
_FEWEST = 20
_PARSED_TOGETHER = 64
_ENCODED_TOGETHER = 1_000
_DONE = "prepared.json"
_TOKENIZER = "tokenizer.json"

# A message, its text unless it says nothing, and its signature.
_Parsed = tuple[MessageInfo, str | None, Signature]


def data_manifest(paths: Sequence[str]) -> list[dict[str, str]]:
    """Return the name and content hash of each source, for the card and for telling whether anything changed."""
    manifest: list[dict[str, str]] = []
    for path in paths:
        place = Path(path.partition("=")[2] if path.startswith(("spam=", "ham=")) else path)
        if not place.exists():
            raise DataError(f"{place} does not exist; give a file or a folder of labelled mail.")
        files = list(expand(place, SourceReport()))
        # Single messages are one source together, whatever their number.
        named = [place] if any(file.kind == "eml" for file in files) else [file.path for file in files]
        manifest += [{"name": path.resolve().name, "sha256": sha256_of(path)} for path in named]
    return manifest


def prepare(
    paths: Sequence[str], config: TrainingConfig, folder: Path, *, tokenizer: TextTokenizer | None = None
) -> tuple[Corpus, TextTokenizer]:
    """Return the prepared corpus of `paths` in `folder`, made there unless it is there already.

    Args:
        tokenizer: encode with this one; without it one is learned on the train part.

    Raises:
        DataError: the sources cannot be used, or hold too little of one class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _settings(paths, config, tokenizer)
    if _is_prepared(folder, wanted):
        say(f"taking up the prepared corpus in {folder}")
        return Corpus.load(folder), TextTokenizer.from_json((folder / _TOKENIZER).read_text(encoding="utf-8"))
    (folder / _DONE).unlink(missing_ok=True)
    corpus, deduplicator = _read(paths, folder)
    _cluster_and_split(corpus, deduplicator, config)
    tokenizer = tokenizer or _learn_tokenizer(corpus, config)
    texts = corpus.texts()
    TokenIds.write(folder, encoded(texts, tokenizer), tokenizer.vocabulary_size)
    corpus.save()
    (folder / _TOKENIZER).write_text(tokenizer.to_json(), encoding="utf-8")
    (folder / _DONE).write_text(json.dumps(wanted), encoding="utf-8")
    return corpus, tokenizer


def describe_split(corpus: Corpus) -> dict[str, object]:
    """Return the split as plain values, for the card: the table, and a hash of the ids of each part."""
    messages = corpus.messages
    lines = count_parts(
        corpus.parts,
        corpus.clusters,
        [message.source for message in messages],
        ["spam" if message.is_spam else "ham" for message in messages],
        [message.date for message in messages],
    )
    table = [
        {
            "corpus": line.corpus,
            "label": line.label,
            "part": line.part.name.lower(),
            "messages": line.messages,
            "clusters": line.clusters,
            "from": line.first_date.isoformat() if line.first_date else None,
            "to": line.last_date.isoformat() if line.last_date else None,
        }
        for line in lines
    ]
    return {"parts": table, "ids_sha256": {part.name.lower(): corpus.ids_sha256(part) for part in Part}}


def _settings(paths: Sequence[str], config: TrainingConfig, tokenizer: TextTokenizer | None) -> dict[str, object]:
    """What the prepared corpus depends on: the sources, the settings, and the code that reads and writes text."""
    here = Path(__file__).parent
    core = here.parent / "classifier"
    code = [core / f"{name}.py" for name in ("mime", "html", "message", "text", "tokenizer")]
    code += [here / f"{name}.py" for name in ("deduplicate", "languages", "split", "prepare")]
    return {
        "data": data_manifest(paths),
        "seed": config.seed,
        "shares": asdict(config.shares),
        "vocabulary": tokenizer.to_json() if tokenizer else config.network.vocabulary_size,
        "code": hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest(),
    }


def _is_prepared(folder: Path, wanted: dict[str, object]) -> bool:
    try:
        return bool(json.loads((folder / _DONE).read_text(encoding="utf-8")) == wanted)
    except (OSError, ValueError):
        return False


def _read(paths: Sequence[str], folder: Path) -> tuple[Corpus, Deduplicator]:
    report = SourceReport()
    messages: list[MessageInfo] = []
    deduplicator = Deduplicator()
    with TextWriter(folder) as texts:
        for info, text, signature in progress(_parsed(read_sources(paths, report=report)), "reading mail"):
            if text is None:
                report.add_bad(info.id, "says nothing")
            else:
                messages.append(info)
                texts.add(text)
                deduplicator.add_signed(signature)
    for note in report.notes:
        say(f"note: {note}")
    if report.bad:
        say(f"{report.bad} messages left out, the first: {'; '.join(report.bad_places[:3])}")
    corpus = Corpus(folder, messages)
    spam = int(corpus.is_spam.sum())
    if min(spam, len(messages) - spam) < _FEWEST:
        raise DataError(
            f"{spam} spam and {len(messages) - spam} ham are too few to learn from: give at least {_FEWEST} of each"
        )
    say(f"{spam} spam and {len(messages) - spam} ham")
    return corpus, deduplicator


def _parsed(mails: Iterator[LabelledMail]) -> Iterator[_Parsed]:
    """Parse in this process first, in one per core once there is much to do. Order is kept."""
    yield from map(_parse, islice(mails, _PARALLEL_FROM))
    together = iter(lambda: list(islice(mails, _PARSED_TOGETHER)), [])
    for some in in_processes(_parse_all, together, available_cores()):
        yield from some


def _parse_all(mails: list[LabelledMail]) -> list[_Parsed]:
    return [_parse(mail) for mail in mails]


def _parse(mail: LabelledMail) -> _Parsed:
    try:
        text = message_text(read_mail(mail.mail)) or None
    except MessageError:
        text = None
    info = MessageInfo(mail.id, mail.label == "spam", mail.source, mail.date, language_of(text or ""))
    return info, text, sign(readable(text or ""))


def _cluster_and_split(corpus: Corpus, deduplicator: Deduplicator, config: TrainingConfig) -> None:
    corpus.clusters = deduplicator.clusters()
    say(f"{len(deduplicator)} messages in {len(set(corpus.clusters.tolist()))} clusters of near copies")
    corpus.parts = split(
        corpus.clusters,
        [message.source for message in corpus.messages],
        ["spam" if message.is_spam else "ham" for message in corpus.messages],
        [message.date for message in corpus.messages],
        shares=config.shares,
        seed=config.seed,
    )


def encoded(texts: Texts, tokenizer: TextTokenizer) -> Iterator[list[int]]:
    """The ids of every text, many at a time: the tokenizer works on all cores."""
    chunks = range(0, len(texts), _ENCODED_TOGETHER)
    for start in progress(chunks, f"encoding ({_ENCODED_TOGETHER} messages a step)", len(chunks)):
        places = range(start, min(start + _ENCODED_TOGETHER, len(texts)))
        yield from tokenizer.encode_batch([texts[place] for place in places])


def _learn_tokenizer(corpus: Corpus, config: TrainingConfig) -> TextTokenizer:
    """Learn the vocabulary on the training part alone."""
    say("learning the vocabulary")
    texts = corpus.texts()
    train = (texts[place] for place in corpus.places(Part.TRAIN))
    return TextTokenizer.learn(train, config.network.vocabulary_size)
