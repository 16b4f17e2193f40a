"""`python -m training evaluate`, `compare`, `leave-out`, `cross-validate`, `evasion`, `replay`: their options."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from classifier.artifact import active_folder, bundled_models
from classifier.pipeline import SpamClassifier
from training import compare, cross_validate, leave_out
from training.adapt import AdaptConfig
from training.adaptation import measure_adaptation
from training.adaptation import table as adaptation_table
from training.config import load_preset
from training.contest import PEERS, RIVALS
from training.evaluate import evaluate, score_corpus, table, write_measures
from training.evasion import evasion_table, evasions, good_words, held_out_spam, measure_evasion
from training.findings import Extras, gather
from training.language_model import Pretrained
from training.prepare import prepare
from training.progress import say
from training.replay import replay, sentences, write_replay
from training.report import write_report
from training.split import Part

# What --part says, in words for the report.
_PARTS = {
    "all": "all of the mail that was given",
    "test": "mail of the same time as the mail that models are fitted on, none of it or of its near copies fitted on",
    "later": "mail newer than all that models are fitted on",
}


def add_measure_commands(
    steps: "argparse._SubParsersAction[argparse.ArgumentParser]", data: argparse.ArgumentParser
) -> None:
    """Add them to the command line; `data` has --data and --out."""
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
    _add_hold_out(step, leave_out.CONTENDERS, "A,B+C")
    step.set_defaults(step=_leave_out)

    step = steps.add_parser(
        "cross-validate", parents=[data], help="deal all mail into folds, test on each, learn from the others"
    )
    step.add_argument("--folds", type=int, default=4, help="into how many (%(default)s)")
    _add_hold_out(step, cross_validate.CONTENDERS, "1,2")
    step.set_defaults(step=_cross_validate)

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


def _add_hold_out(step: argparse.ArgumentParser, contenders: Sequence[str], folds: str) -> None:
    """Add what is asked whatever is held out; `folds` shows how it is named."""
    step.add_argument("--preset", default="quick", help="default, quick, smoke, or the path of a .toml file")
    step.add_argument(
        "--rivals",
        type=_names,
        default=contenders,
        metavar="A,B,C",
        help=f"of {','.join((*RIVALS, *PEERS))}; {','.join(contenders)} without it",
    )
    step.add_argument("--only", type=_names, default=(), metavar=folds, help="hold out these alone, one at a time")
    step.add_argument(
        "--pretrained",
        type=Path,
        metavar="FOLDER",
        help="start every LSTM from the language model that `pretrain` wrote there: saves its hours, but it has read "
        "what is held out, without labels",
    )


def _evaluate(options: argparse.Namespace) -> None:
    classifier = SpamClassifier.load(options.model)
    config = load_preset(options.preset)
    corpus, _ = prepare(options.data, config, options.out / "prepared", tokenizer=classifier.tokenizer)
    places = corpus.all_places() if options.part == "all" else corpus.places(Part[options.part.upper()])
    scores = score_corpus(classifier, corpus, places)
    measures = evaluate(scores, corpus.is_spam[places], corpus.corpora[places], classifier.thresholds)
    write_measures(options.out, measures)
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
    pretrained = _pretrained(options)
    results = leave_out.leave_out(options.data, config, options.out, options.rivals, options.only, pretrained)
    print(leave_out.table(results))


def _cross_validate(options: argparse.Namespace) -> None:
    results = cross_validate.cross_validate(
        options.data,
        load_preset(options.preset),
        options.out,
        options.rivals,
        folds=options.folds,
        only=options.only,
        pretrained=_pretrained(options),
    )
    print(cross_validate.table(results))


def _pretrained(options: argparse.Namespace) -> Pretrained | None:
    return Pretrained.load(options.pretrained) if options.pretrained else None


def _replay(options: argparse.Namespace) -> None:
    classifier = SpamClassifier.load(options.model or active_folder(bundled_models()))
    found = replay(classifier, options.data, options.label)
    page = write_replay(found, options.out, show_content=options.show_content)
    print("\n".join(sentences(found)))
    say(f"report in {page}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
