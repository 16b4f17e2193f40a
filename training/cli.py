"""`python -m training STEP`: the steps of training, from labelled mail to a version that can be served."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from classifier.artifact import activate, active_folder, bundled_models
from classifier.errors import ConfigError, HamletError
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from training import compare, leave_out
from training.adapt import AdaptConfig
from training.adaptation import measure_adaptation
from training.adaptation import table as adaptation_table
from training.archive.commands import add_archive_commands
from training.config import TrainingConfig, load_preset
from training.contest import PEERS, RIVALS
from training.corpus import Corpus
from training.evaluate import evaluate, score_corpus, table
from training.evasion import evasion_table, evasions, good_words, held_out_spam, measure_evasion
from training.findings import Extras, gather
from training.language_model import FILE_NAME, Pretrained
from training.model import fit_beside, fit_deep, fit_model
from training.prepare import data_manifest, prepare
from training.pretrain import pretrain, train_ids_sha256
from training.progress import say
from training.publish import publish
from training.ranks import join_ranks, leave_ranks, rank, rank_0_first, wait_for_all
from training.replay import replay, sentences, write_replay
from training.report import write_report
from training.retrain.commands import add_commands
from training.split import Part

# What --part says, in words for the report.
_PARTS = {
    "all": "all of the mail that was given",
    "test": "mail of the same time as the mail that models are fitted on, none of it or of its near copies fitted on",
    "later": "mail newer than all that models are fitted on",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one step; return the exit status: 0 only when the work was done, what else `retrain` says, 1 for an error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.step(options) or 0)
    except HamletError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files or folders of labelled mail: .jsonl(.gz/.xz), .csv, .parquet, .mbox, Maildir, folders of .eml; "
        "spam=PATH or ham=PATH says what mail without a label is",
    )
    data.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything is written")

    step = steps.add_parser("fit", parents=[data], help="labelled mail to a model")
    step.add_argument("--preset", default="default", help="default, smoke, or the path of a .toml file")
    step.add_argument("--resume", action="store_true", help="go on where a run in the same --out was stopped")
    step.add_argument(
        "--models", type=Path, metavar="FOLDER", help="folder of versions to publish to (OUT/models without it)"
    )
    start = step.add_mutually_exclusive_group()
    start.add_argument(
        "--pretrained",
        type=Path,
        metavar="FOLDER",
        help="start from the language model that `pretrain` wrote there",
    )
    start.add_argument(
        "--deep",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="keep LSTM and vocabulary of this version, or the mean of several versions' weights: only the n-grams, "
        "calibration and thresholds are fitted",
    )
    step.set_defaults(step=_fit)

    step = steps.add_parser(
        "calibrate", parents=[data], help="probabilities and thresholds of a model set anew, its weights kept"
    )
    step.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the version to start from")
    step.add_argument("--preset", default="default", help="whose split and budgets are taken")
    step.add_argument(
        "--models", type=Path, metavar="FOLDER", help="folder of versions to publish to (OUT/models without it)"
    )
    step.set_defaults(step=_calibrate)

    step = steps.add_parser("pretrain", parents=[data], help="a language model of the train part, for fit --pretrained")
    step.add_argument("--preset", default="default", help="default, quick, smoke, or the path of a .toml file")
    step.add_argument("--resume", action="store_true", help="go on where a run in the same --out was stopped")
    step.set_defaults(step=_pretrain)

    step = steps.add_parser("sample", help="mail that the language model writes, to see what it has learned")
    step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where `pretrain` wrote it")
    step.add_argument("--prompt", default="", metavar="TEXT", help="how the subject begins; nothing without it")
    step.add_argument("--temperature", type=float, default=0.7, help="0 takes the likeliest token (%(default)s)")
    step.add_argument("--tokens", type=int, default=100, help="how many are written (%(default)s)")
    step.add_argument("--seed", type=int, default=1, help="the same seed writes the same text (%(default)s)")
    step.set_defaults(step=_sample)

    step = steps.add_parser("evaluate", parents=[data], help="the measures of a model on labelled mail")
    step.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the version to measure")
    step.add_argument(
        "--part",
        choices=["all", "test", "later"],
        default="all",
        help="all of the mail, or a part that a model fitted on these very sources has not seen",
    )
    step.add_argument("--preset", default="default", help="whose split --part takes")
    step.add_argument("--rivals", type=Path, metavar="FOLDER", help="show what `compare` wrote there")
    step.add_argument("--leave-out", type=Path, metavar="FOLDER", help="show what `leave-out` wrote there")
    step.add_argument("--evasion", type=Path, nargs="+", default=(), metavar="FILE", help="show evasion.json of models")
    step.add_argument(
        "--adaptation",
        nargs="+",
        metavar="PATH",
        help="a mailbox that the model has not seen: how fast it is learned, beside bogofilter",
    )
    step.add_argument("--studies", action="store_true", help="study gradient flow and long lags, two minutes once")
    step.add_argument(
        "--show-content", action="store_true", help="show subjects and words of the worst errors: private mail!"
    )
    step.set_defaults(step=_evaluate)

    step = steps.add_parser("compare", parents=[data], help="the LSTM beside rivals and other filters on one split")
    step.add_argument("--preset", default="default", help="default, quick, smoke, or the path of a .toml file")
    step.add_argument(
        "--rivals", type=_names, default=RIVALS, metavar="A,B,C", help=f"of {','.join(RIVALS)}; all without it"
    )
    step.add_argument("--peers", action="store_true", help=f"also {', '.join(PEERS)}, which have to be installed")
    step.set_defaults(step=_compare)

    step = steps.add_parser("leave-out", parents=[data], help="train without a corpus, test on all of it")
    step.add_argument("--preset", default="quick", help="default, quick, smoke, or the path of a .toml file")
    step.add_argument(
        "--rivals",
        type=_names,
        default=leave_out.CONTENDERS,
        metavar="A,B,C",
        help=f"of {','.join((*RIVALS, *PEERS))}; {','.join(leave_out.CONTENDERS)} without it",
    )
    step.add_argument("--only", type=_names, default=(), metavar="A,B+C", help="hold out these alone, one at a time")
    step.set_defaults(step=_leave_out)

    step = steps.add_parser("evasion", parents=[data], help="how much spam is still caught when it is disguised")
    step.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the version to measure")
    step.add_argument("--messages", type=int, default=1000, help="most spam of the test part to try (%(default)s)")
    step.add_argument("--preset", default="default", help="whose split is taken")
    step.set_defaults(step=_evasion)

    step = steps.add_parser("replay", help="what the filter would have done with a mailbox's old mail")
    step.add_argument(
        "--data", nargs="+", required=True, metavar="PATH", help="the mailbox: Maildir, mbox, folders of .eml"
    )
    step.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the report is written")
    step.add_argument(
        "--model", type=Path, metavar="FOLDER", help="the version that is tried; the bundled one without it"
    )
    step.add_argument(
        "--label",
        choices=["ham", "spam"],
        default="ham",
        help="where mail lies whose folder does not tell (%(default)s)",
    )
    step.add_argument("--show-content", action="store_true", help="show subjects of what would change: private mail!")
    step.set_defaults(step=_replay)

    add_commands(steps)
    add_archive_commands(steps)
    return parser


def _fit(options: argparse.Namespace) -> None:
    config = load_preset(options.preset)
    manifest = data_manifest(options.data)
    if options.deep:
        base, corpus = _taken_up(options.deep[0], options, config)
        bases = [base, *map(SpamClassifier.load, options.deep[1:])]
        for each in bases:
            manifest.append(_made_apart(f"LSTM and vocabulary of {each.version}", each.digest.removeprefix("sha256:")))
        model, history = fit_beside(bases, corpus, config), base.card["history"]
        _publish(model, base.tokenizer, corpus, config, manifest, history, options)
        return
    lost = join_ranks()
    with rank_0_first():
        corpus, tokenizer = prepare(options.data, config, options.out / "prepared")
    pretrained = Pretrained.load(options.pretrained) if options.pretrained else None
    if pretrained:
        manifest.append(_made_apart(FILE_NAME, pretrained.fingerprint))
        if pretrained.train_ids_sha256 != train_ids_sha256(corpus):
            say("note: the language model was pretrained on another split and may have read mail that is measured here")
    resume = options.resume or lost
    if rank() > 0:  # the wide half is fitted, and the model published, by rank 0 alone
        fit_deep(corpus, tokenizer, config, options.out, resume=resume, pretrained=pretrained)
    else:
        model, history = fit_model(corpus, tokenizer, config, options.out, resume=resume, pretrained=pretrained)
        _publish(model, tokenizer, corpus, config, manifest, history, options)
    wait_for_all()
    leave_ranks()


def _calibrate(options: argparse.Namespace) -> None:
    config = load_preset(options.preset)
    base, corpus = _taken_up(options.model, options, config)
    config = replace(config, network=base.network.deep.config, ngrams=base.network.wide.config, encoding=base.encoding)
    manifest = [
        *data_manifest(options.data),
        _made_apart(f"weights of {base.version}", base.digest.removeprefix("sha256:")),
    ]
    history = base.card["history"]
    _publish(base.network, base.tokenizer, corpus, config, manifest, history, options)


def _taken_up(folder: Path, options: argparse.Namespace, config: TrainingConfig) -> tuple[SpamClassifier, Corpus]:
    """A model that exists, and the corpus with the ids of its vocabulary."""
    base = SpamClassifier.load(folder)
    corpus, _ = prepare(options.data, config, options.out / "prepared", tokenizer=base.tokenizer)
    if base.card["split"]["ids_sha256"]["train"] != train_ids_sha256(corpus):
        say(f"note: {base.version} was fitted on another split and may have read mail that is measured here")
    return base, corpus


def _made_apart(name: str, sha256: str) -> dict[str, str]:
    """An entry of the data manifest for what was not fitted in this run."""
    terms = "those of the mail that it has read"
    return {"name": name, "sha256": sha256, "origin": "fitted in a run of its own", "terms": terms}


def _publish(
    model: WideAndDeep,
    tokenizer: TextTokenizer,
    corpus: Corpus,
    config: TrainingConfig,
    manifest: list[dict[str, str]],
    history: list[dict[str, float]],
    options: argparse.Namespace,
) -> None:
    models = options.models or options.out / "models"
    folder, measures = publish(model, tokenizer, corpus, config, manifest, history, models)
    activate(models, folder.name)
    _write_measures(options.out, measures)
    for part, of in measures.items():
        print(f"\n{part}\n\n{table(of)}")
    say(f"published {folder} and made it the active version; measures in {options.out / 'metrics.json'}")


def _pretrain(options: argparse.Namespace) -> None:
    config = load_preset(options.preset)
    if not config.pretrain.epochs:
        raise ConfigError(f"the preset {options.preset!r} has pretrain.epochs = 0: nothing to do")
    corpus, tokenizer = prepare(options.data, config, options.out / "prepared")
    pretrained = pretrain(corpus, tokenizer, config, options.out, resume=options.resume)
    say(f"wrote {pretrained.save(options.out)}")


def _sample(options: argparse.Namespace) -> None:
    if not (options.temperature >= 0 and options.tokens >= 1):
        raise ConfigError("need --temperature of at least 0 and --tokens of at least 1")
    pretrained = Pretrained.load(options.out)
    print(pretrained.sample(options.prompt, options.tokens, temperature=options.temperature, seed=options.seed))


def _evaluate(options: argparse.Namespace) -> None:
    classifier = SpamClassifier.load(options.model)
    config = load_preset(options.preset)
    corpus, _ = prepare(options.data, config, options.out / "prepared", tokenizer=classifier.tokenizer)
    places = corpus.all_places() if options.part == "all" else corpus.places(Part[options.part.upper()])
    scores = score_corpus(classifier, corpus, places)
    measures = evaluate(scores, corpus.is_spam[places], corpus.corpora[places], classifier.thresholds)
    _write_measures(options.out, measures)
    print(table(measures))
    studies = options.out / "studies.json" if options.studies else None
    adaptation = None
    if options.adaptation:
        adaptation = measure_adaptation(
            options.model, corpus, options.data, options.adaptation, options.out / "adaptation", AdaptConfig()
        )
        print(f"\n{adaptation_table(adaptation)}")
    extras = Extras(
        options.rivals, options.leave_out, options.evasion, adaptation, studies, show_content=options.show_content
    )
    findings = gather(classifier, corpus, places, scores, measures, _PARTS[options.part], extras)
    write_report(findings, options.out / "report.html")
    say(f"report in {options.out / 'report.html'}")


def _evasion(options: argparse.Namespace) -> None:
    classifier = SpamClassifier.load(options.model)
    config = load_preset(options.preset)
    corpus, _ = prepare(options.data, config, options.out / "prepared", tokenizer=classifier.tokenizer)
    mails = held_out_spam(corpus, options.data, options.messages, seed=config.seed)
    rows = measure_evasion(classifier, mails, evasions(good_words(corpus, seed=config.seed)), seed=config.seed)
    text = json.dumps({"model": classifier.version, "rows": rows}, indent=2)
    (options.out / "evasion.json").write_text(text + "\n", encoding="utf-8")
    print(evasion_table(rows))


def _compare(options: argparse.Namespace) -> None:
    names = [*options.rivals, *(PEERS if options.peers else ())]
    results = compare.compare(options.data, load_preset(options.preset), options.out, names)
    print(compare.table(results))


def _leave_out(options: argparse.Namespace) -> None:
    config = load_preset(options.preset)
    results = leave_out.leave_out(options.data, config, options.out, options.rivals, options.only)
    print(leave_out.table(results))


def _replay(options: argparse.Namespace) -> None:
    classifier = SpamClassifier.load(options.model or active_folder(bundled_models()))
    found = replay(classifier, options.data, options.label)
    page = write_replay(found, options.out, show_content=options.show_content)
    print("\n".join(sentences(found)))
    say(f"report in {page}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _write_measures(folder: Path, measures: dict[str, object]) -> None:
    text = json.dumps(measures, indent=2, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
