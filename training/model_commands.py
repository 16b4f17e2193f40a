"""`python -m training fit`, `calibrate`, `pretrain` and `sample`: their options, and what they do with them."""

import argparse
from dataclasses import replace
from pathlib import Path

from classifier.artifact import activate
from classifier.errors import ConfigError
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import TextTokenizer
from classifier.wide_and_deep import WideAndDeep
from training.config import TrainingConfig, load_preset
from training.corpus import Corpus
from training.evaluate import table, write_measures
from training.language_model import FILE_NAME, Pretrained
from training.model import fit_beside, fit_deep, fit_model
from training.prepare import data_manifest, prepare
from training.pretrain import pretrain
from training.progress import say
from training.publish import publish
from training.ranks import join_ranks, leave_ranks, rank, rank_0_first, wait_for_all
from training.split import Part


def add_model_commands(
    steps: "argparse._SubParsersAction[argparse.ArgumentParser]", data: argparse.ArgumentParser
) -> None:
    """Add them to the command line; `data` has --data and --out."""
    step = steps.add_parser("fit", parents=[data], help="labelled mail to a model")
    step.add_argument("--preset", default="default", help="default, quick, smoke, or the path of a .toml file")
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
        if pretrained.train_ids_sha256 != corpus.ids_sha256(Part.TRAIN):
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
    if base.card["split"]["ids_sha256"]["train"] != corpus.ids_sha256(Part.TRAIN):
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
    write_measures(options.out, measures)
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
