"""The language model: what it learns, what it may look at, and a classifier that starts from it."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.artifact import active_folder
from classifier.errors import ArtifactCorruptError, ArtifactMissingError, ConfigError
from classifier.network import NetworkConfig
from classifier.pipeline import SpamClassifier
from classifier.tokenizer import PADDING_ID, TextTokenizer
from tests.conftest import MAIL
from training import fit as fit_module
from training import pretrain as pretrain_module
from training.checkpoint import load_checkpoint
from training.cli import main
from training.config import TrainingConfig, load_preset
from training.corpus import Corpus, MessageInfo, TokenIds
from training.errors import DivergedError
from training.fit import fit
from training.language_model import FILE_NAME, SHARED, Guesses, LanguageModel, Negatives, Noise, Pretrained
from training.prepare import prepare
from training.pretrain import pretrain
from training.split import Part

SOURCES = [str(MAIL / "spam"), str(MAIL / "ham")]
CPU = torch.device("cpu")
Prepared = tuple[Corpus, TextTokenizer]


def config(*, fit: dict[str, object] | None = None, **changes: object) -> TrainingConfig:
    """Return settings of a small run; `changes` are those of pretraining."""
    smoke = load_preset("smoke")
    network = dataclasses.replace(smoke.network, embedding_width=16, hidden_width=16, readout_width=8)
    values = {"epochs": 2, "batch_tokens": 2048, "negatives": 64, "validation_messages": 5, **changes}
    pretrain = dataclasses.replace(smoke.pretrain, **values)  # type: ignore[arg-type]  # names are known at run time
    settings = {"epochs": 3, "checkpoint_seconds": 0.0, **(fit or {})}
    fitted = dataclasses.replace(smoke.fit, **settings)  # type: ignore[arg-type]  # as above
    return dataclasses.replace(smoke, network=network, pretrain=pretrain, fit=fitted)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SOURCES, config(), tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def pretrained(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    return pretrain(*prepared, config(), tmp_path_factory.mktemp("pretrained"), resume=False)


def assert_same_weights(one: LanguageModel, two: LanguageModel) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def small_model(vocabulary_size: int = 30) -> LanguageModel:
    torch.manual_seed(1)
    model = LanguageModel(NetworkConfig(vocabulary_size, 8, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.6)
    return model


def corpus_of(messages: list[list[int]], parts: list[Part], folder: Path) -> Corpus:
    TokenIds.write(folder, iter(messages), vocabulary_size=2048)
    infos = [MessageInfo(str(number), False, "made-up", None) for number in range(len(messages))]
    return Corpus(folder, infos, np.arange(len(messages)), np.array([part.value for part in parts], np.int8))


def test_a_sequence_without_choice_is_learned(prepared: Prepared, tmp_path: Path) -> None:
    """In text where each token has one follower and one forerunner, nothing is left to guess either way."""
    ring = list(range(100, 112))
    messages = [[ring[(start + step) % 12] for step in range(10 + start % 5)] for start in range(60)]
    corpus = corpus_of(messages, [Part.TRAIN] * 50 + [Part.VALIDATION] * 10, tmp_path)
    settings = config(epochs=40, batch_tokens=128, learning_rate=0.03)
    history = pretrain(corpus, prepared[1], settings, tmp_path, resume=False).history
    assert len(history) == 40
    assert 1 <= history[-1]["forwards_perplexity"] < 1.05
    assert 1 <= history[-1]["backwards_perplexity"] < 1.05


def test_each_direction_guesses_its_own_next_token() -> None:
    """Forwards the token after, backwards the token before; of one token, and of padding, nothing is guessed."""
    ids = torch.tensor([[5, 6, 7, PADDING_ID], [8, PADDING_ID, PADDING_ID, PADDING_ID], [1, 2, 3, 4]])
    forwards, backwards = small_model()(ids, torch.tensor([3, 1, 4]))
    assert forwards.labels_N.tolist() == [6, 7, 2, 3, 4]
    assert backwards.labels_N.tolist() == [6, 5, 3, 2, 1]


def test_padding_never_changes_a_guess() -> None:
    """A window among longer ones is guessed as it is alone."""
    model = small_model()
    alone = model(torch.tensor([[5, 6, 7]]), torch.tensor([3]))
    padded = model(torch.tensor([[5, 6, 7] + [PADDING_ID] * 9]), torch.tensor([3]))
    for one, two in zip(alone, padded, strict=True):
        torch.testing.assert_close(model.full_losses(one), model.full_losses(two))


def sampled(model: LanguageModel, guesses: Guesses, noise: Noise, negatives: int) -> torch.Tensor:
    drawn: Negatives = noise.draw(negatives, CPU)
    return model.sampled_losses(guesses, drawn)


@pytest.fixture
def few() -> tuple[LanguageModel, Guesses, Noise]:
    """A model of 30 ids with something to guess, and text in which some ids are seen 100 times as often as others."""
    model = small_model()
    guesses, _ = model(torch.randint(1, 30, (4, 6)), torch.full((4,), 6))
    return model, guesses, Noise(np.geomspace(5, 500, 30).astype(np.int64))


def test_a_sampled_softmax_is_right_on_average(few: tuple[LanguageModel, Guesses, Noise]) -> None:
    """The sum over all ids, which few negatives estimate, is on average that of the full softmax."""
    model, guesses, noise = few
    with torch.inference_mode():
        draws = torch.stack([sampled(model, guesses, noise, 8).exp() for _ in range(4000)])
        exact_N = model.full_losses(guesses).exp()
    error_N = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - exact_N).abs() < 4 * error_N).all()
    # Without the correction for how likely each id was drawn it would be far off.
    assert float((error_N / exact_N).max()) < 0.05


def test_many_negatives_give_the_full_softmax(few: tuple[LanguageModel, Guesses, Noise]) -> None:
    """Losses and gradients come as near as wanted."""
    model, guesses, noise = few
    gradients = []
    for losses in (sampled(model, guesses, noise, 200_000), model.full_losses(guesses)):
        gradients.append(torch.autograd.grad(losses.mean(), list(model.parameters())[:1], retain_graph=True)[0])
    torch.testing.assert_close(sampled(model, guesses, noise, 200_000), model.full_losses(guesses), atol=0.02, rtol=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=0.002, rtol=0.05)


def test_padding_is_never_expected(pretrained: Pretrained) -> None:
    """Its row of the embedding stays zero, as the classifier's mean of words needs it, and it is never written."""
    assert not pretrained.model.embedding.weight[PADDING_ID].any()
    written = pretrained.model.written([1], 200, temperature=50.0)
    assert len(written) == 201
    assert PADDING_ID not in written


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


def killed_after(steps: int, step: Callable[..., float]) -> Callable[..., float]:
    left = iter(range(steps))

    def killed(run: object, batch: object) -> float:
        if next(left, None) is None:
            raise KilledError
        return step(run, batch)

    return killed


@pytest.mark.parametrize("last_step", [1, 4])
def test_a_killed_run_resumes_to_the_same_weights(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_step: int
) -> None:
    """Wherever pretraining was stopped, going on ends where the whole run ends, negatives drawn by lot and all."""
    settings = config(batch_tokens=4096, fit={"checkpoint_seconds": 0.0})
    whole = pretrain(*prepared, settings, tmp_path / "whole", resume=False)
    killed = killed_after(last_step, pretrain_module._Run._step)
    monkeypatch.setattr(pretrain_module._Run, "_step", killed)
    with pytest.raises(KilledError):
        pretrain(*prepared, settings, tmp_path / "killed", resume=False)
    monkeypatch.undo()
    resumed = pretrain(*prepared, settings, tmp_path / "killed", resume=True)
    assert resumed.history == whole.history
    assert_same_weights(whole.model, resumed.model)


def test_a_model_that_diverges_stops_with_a_sentence(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps without a finite loss are left out; when they go on the run ends and names the setting."""

    def broken(self: LanguageModel, guesses: Guesses, negatives: Negatives) -> torch.Tensor:
        return guesses.projected_NE.sum(1) * float("nan")

    monkeypatch.setattr(LanguageModel, "sampled_losses", broken)
    with pytest.raises(DivergedError, match=r"3 steps in a row: lower pretrain\.learning_rate"):
        pretrain(*prepared, config(fit={"most_bad_steps": 3}), tmp_path, resume=False)


def test_no_label_and_no_held_out_mail_is_learned_from(
    prepared: Prepared, pretrained: Pretrained, tmp_path: Path
) -> None:
    """With all labels turned round, and other words in all mail but the train part, the weights are the same."""
    corpus, tokenizer = prepared
    token_ids = corpus.token_ids()
    messages = [
        token_ids[place].tolist() if corpus.parts[place] == Part.TRAIN else [400, 500, 600] * 4
        for place in corpus.all_places().tolist()
    ]
    TokenIds.write(tmp_path, iter(messages), tokenizer.vocabulary_size)
    turned = [dataclasses.replace(message, is_spam=not message.is_spam) for message in corpus.messages]
    blind = dataclasses.replace(corpus, folder=tmp_path, messages=turned)
    assert_same_weights(pretrain(blind, tokenizer, config(), tmp_path, resume=False).model, pretrained.model)


def test_a_corpus_can_be_left_out(prepared: Prepared, pretrained: Pretrained, tmp_path: Path) -> None:
    """Messages that are in no part at all are no obstacle, and the split that was read is told from others."""
    corpus, tokenizer = prepared
    parts = corpus.parts.copy()
    parts[corpus.places(Part.TRAIN)[:10]] = -1
    left = pretrain(dataclasses.replace(corpus, parts=parts), tokenizer, config(epochs=1), tmp_path, resume=False)
    assert left.train_ids_sha256 != pretrained.train_ids_sha256


def test_a_checkpoint_of_another_split_is_not_taken_up(
    prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The language model has read another train part then, though the vocabulary is the same."""
    corpus, tokenizer = prepared
    parts = corpus.parts.copy()
    parts[corpus.places(Part.TRAIN)[:10]] = Part.TEST
    pretrain(corpus, tokenizer, config(epochs=1), tmp_path, resume=False)
    pretrain(dataclasses.replace(corpus, parts=parts), tokenizer, config(epochs=1), tmp_path, resume=True)
    assert "other settings or mail, starting anew" in capsys.readouterr().err


def test_what_is_saved_is_what_is_loaded(pretrained: Pretrained, tmp_path: Path) -> None:
    """One file holds weights, sizes, tokenizer and what was read."""
    assert pretrained.save(tmp_path) == tmp_path / FILE_NAME
    loaded = Pretrained.load(tmp_path)
    assert_same_weights(loaded.model, pretrained.model)
    assert loaded.fingerprint == pretrained.fingerprint
    assert loaded.tokenizer.to_json() == pretrained.tokenizer.to_json()
    assert (loaded.history, loaded.train_ids_sha256) == (pretrained.history, pretrained.train_ids_sha256)


def test_a_folder_without_a_language_model_is_refused(tmp_path: Path) -> None:
    """The error names the file, and tells one that is missing from one that is broken."""
    with pytest.raises(ArtifactMissingError, match=f"{FILE_NAME} is not there: give the --out"):
        Pretrained.load(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"\x10" + bytes(40))
    with pytest.raises(ArtifactCorruptError, match=f"{FILE_NAME} is no language model"):
        Pretrained.load(tmp_path)


def test_the_same_seed_writes_the_same_text(pretrained: Pretrained) -> None:
    """Another seed writes another text; at temperature 0 there is no chance in it. Marks are written by their names."""

    def written(seed: int, temperature: float = 1.0) -> str:
        return pretrained.sample("Your parcel", 30, temperature=temperature, seed=seed)

    assert written(1) == written(1)
    assert written(1) != written(2)
    assert written(1, 0.0) == written(2, 0.0)
    assert written(1).startswith("subject: your parcel" if "your" in written(1) else "subject: Your parcel")
    assert not any("\ue000" <= character <= "\uf8ff" for character in written(1))


def moved(weights: dict[str, torch.Tensor], pretrained: Pretrained) -> set[str]:
    """Return which of the shared layers are no longer those of the language model."""
    theirs = pretrained.model.state_dict()
    shared = {name: name.partition(".")[0] for name in weights if name.partition(".")[0] in SHARED}
    assert set(shared.values()) == set(SHARED)
    return {layer for name, layer in shared.items() if not torch.equal(weights[name], theirs[name])}


@pytest.mark.parametrize(
    ("epochs", "frozen_epochs", "layers"),
    [(0, 0, set()), (1, 1, set()), (2, 1, {"forwards", "backwards"}), (2, 2, set()), (3, 1, set(SHARED))],
)
def test_frozen_layers_stay_those_of_the_language_model(
    prepared: Prepared, pretrained: Pretrained, tmp_path: Path, epochs: int, frozen_epochs: int, layers: set[str]
) -> None:
    """A fit starts with the pretrained weights; the cells are let go first, the embedding last."""
    settings = config(fit={"epochs": epochs, "frozen_epochs": frozen_epochs})
    network, _ = fit(*prepared, settings, tmp_path, resume=False, pretrained=pretrained)
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert moved(checkpoint.weights if checkpoint else network.state_dict(), pretrained) == layers


def test_without_a_language_model_nothing_is_frozen(prepared: Prepared, tmp_path: Path) -> None:
    """Cells that were drawn by lot are no use frozen."""
    first, _ = fit(*prepared, config(fit={"epochs": 0}), tmp_path, resume=False)
    fit(*prepared, config(fit={"epochs": 1, "frozen_epochs": 1}), tmp_path, resume=False)
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert checkpoint is not None
    for name, tensor in first.state_dict().items():
        assert not torch.equal(checkpoint.weights[name], tensor), name


def test_a_killed_fit_resumes_frozen_layers_and_all(
    prepared: Prepared, pretrained: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while the embedding is frozen, going on ends where the whole run ends."""
    settings = config(fit={"frozen_epochs": 1})
    whole, _ = fit(*prepared, settings, tmp_path / "whole", resume=False, pretrained=pretrained)
    monkeypatch.setattr(fit_module._Run, "_step", killed_after(5, fit_module._Run._step))
    with pytest.raises(KilledError):
        fit(*prepared, settings, tmp_path / "killed", resume=False, pretrained=pretrained)
    monkeypatch.undo()
    resumed, _ = fit(*prepared, settings, tmp_path / "killed", resume=True, pretrained=pretrained)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_another_vocabulary_is_refused(prepared: Prepared, pretrained: Pretrained, tmp_path: Path) -> None:
    """Ids mean other words there."""
    other = TextTokenizer.learn(iter(["a few words of another mail"] * 9), 300)
    with pytest.raises(ConfigError, match="pretrained with another vocabulary"):
        fit(prepared[0], other, config(), tmp_path, resume=False, pretrained=pretrained)


def test_other_sizes_are_refused(prepared: Prepared, pretrained: Pretrained, tmp_path: Path) -> None:
    """The error names both widths."""
    settings = config()
    settings = dataclasses.replace(settings, network=dataclasses.replace(settings.network, hidden_width=24))
    with pytest.raises(ConfigError, match=r"network\.hidden_width to 24, the language model has 16"):
        fit(*prepared, settings, tmp_path, resume=False, pretrained=pretrained)


def test_the_steps_as_a_person_uses_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pretrain, look at what it writes, fit from it; the card of the model names the language model."""
    preset = tmp_path / "small.toml"
    text = (Path(fit_module.__file__).parent / "presets" / "smoke.toml").read_text(encoding="utf-8")
    preset.write_text(text.replace("epochs = 12", "epochs = 2"), encoding="utf-8")
    data = ["--preset", str(preset), "--data", *SOURCES]
    assert main(["pretrain", *data, "--out", str(tmp_path)]) == 0
    assert main(["sample", "--out", str(tmp_path), "--prompt", "Invoice", "--tokens", "20", "--seed", "3"]) == 0
    assert capsys.readouterr().out.lower().startswith("subject: ")
    assert main(["sample", "--out", str(tmp_path), "--temperature", "-1"]) == 1
    assert main(["fit", *data, "--out", str(tmp_path), "--pretrained", str(tmp_path)]) == 0
    card = SpamClassifier.load(active_folder(tmp_path / "models")).card
    fingerprint = Pretrained.load(tmp_path).fingerprint
    assert [entry["sha256"] for entry in card["data"] if entry["name"] == FILE_NAME] == [fingerprint]
