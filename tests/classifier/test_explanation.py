"""How much each token pulls."""

import numpy as np
import pytest
import torch

from classifier.encoding import make_batch
from classifier.errors import ConfigError
from classifier.explanation import logit_of_nothing, token_weights
from classifier.network import NetworkConfig, score_batch
from classifier.ngrams import bucket_of_token
from classifier.wide_and_deep import WideAndDeep
from tests.classifier.models import ENCODING, NGRAMS, VOCABULARY, random_model

# One window, several, a window of one token, and so many windows that they are read in several groups.
LENGTHS = (1, 2, 7, 31, 32, 33, 64, 65, 96, 50, 3, 90, 91, 17, 80, 70, 60)


@pytest.fixture
def model() -> WideAndDeep:
    return random_model()


@pytest.fixture(scope="module")
def messages() -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(1, VOCABULARY, length).tolist() for length in LENGTHS]


def logits(model: WideAndDeep, messages: list[list[int]]) -> list[float]:
    with torch.inference_mode():
        found: list[float] = score_batch(model, make_batch(messages, ENCODING), torch.device("cpu")).tolist()
    return found


def test_the_weights_add_up_to_the_logit(model: WideAndDeep, messages: list[list[int]]) -> None:
    """Of a message of any length, from the logit of nothing, in the order of its tokens."""
    weights = token_weights(model, messages, ENCODING)
    assert [len(of_message) for of_message in weights] == list(LENGTHS)
    sums = [float(of_message.sum()) + logit_of_nothing(model) for of_message in weights]
    assert sums == pytest.approx(logits(model, messages), abs=1e-3)
    assert np.ptp(sums) > 0.5


def test_what_is_settled_is_weighed_by_its_n_grams(model: WideAndDeep, messages: list[list[int]]) -> None:
    """Where the deep half does not read, it moves nothing; told apart by what the wide half adds to the logit."""
    both = token_weights(model, messages, ENCODING)
    seen: list[float] = []

    def is_settled(wide_logit: float) -> bool:
        seen.append(wide_logit)
        return len(seen) % 2 == 0

    weights = token_weights(model, messages, ENCODING, is_settled=is_settled)
    wide_scale = float(model.scales[1])
    with torch.inference_mode():
        wide = wide_scale * score_batch(model.wide, make_batch(messages, ENCODING), torch.device("cpu"))
    assert seen == pytest.approx(wide.tolist(), abs=1e-4)
    for place, of_message in enumerate(weights):
        if place % 2:
            assert float(of_message.sum()) == pytest.approx(seen[place] - wide_scale * float(model.wide.bias), abs=1e-4)
        else:
            assert np.abs(of_message - both[place]).max() < 1e-4


def test_the_weights_of_bfloat16_add_up_nearly(model: WideAndDeep, messages: list[list[int]]) -> None:
    """The copy that scores in the service is taken apart as it is."""
    wanted = logits(model, messages)
    model.deep.to_bfloat16()
    weights = token_weights(model, messages, ENCODING)
    sums = [float(of_message.sum()) + logit_of_nothing(model) for of_message in weights]
    assert sums == pytest.approx(wanted, abs=0.1)


def test_a_message_without_tokens_has_no_weights(model: WideAndDeep, messages: list[list[int]]) -> None:
    """Nor does it move those of its neighbours."""
    first, empty, last = token_weights(model, [messages[5], [], messages[8]], ENCODING)
    assert len(empty) == 0
    assert np.abs(first - token_weights(model, [messages[5]], ENCODING)[0]).max() < 1e-4
    assert np.abs(last - token_weights(model, [messages[8]], ENCODING)[0]).max() < 1e-4


def test_the_weights_do_not_depend_on_the_other_messages(model: WideAndDeep, messages: list[list[int]]) -> None:
    """Alone or in a batch, whatever is longer."""
    together = token_weights(model, messages, ENCODING)
    for place in (0, 3, 5, 8):
        (alone,) = token_weights(model, [messages[place]], ENCODING)
        assert np.abs(alone - together[place]).max() < 1e-4


def test_nothing_is_what_a_message_of_padding_gets(model: WideAndDeep) -> None:
    """With an embedding of zeros and cells that put nothing in, all that is left is the logit of nothing."""
    with torch.no_grad():
        model.deep.embedding.weight.zero_()
        model.wide.weight_F.zero_()
        for cell in (model.deep.forwards, model.deep.backwards):
            for *_, bias, other_bias in cell.all_weights:
                bias.zero_()
                other_bias.zero_()
    assert logits(model, [[5, 6, 7]]) == pytest.approx([logit_of_nothing(model)], abs=1e-5)
    assert token_weights(model, [[5, 6, 7]], ENCODING)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("half", ["wide", "deep"])
def test_a_token_that_decides_has_the_greatest_weight(model: WideAndDeep, messages: list[list[int]], half: str) -> None:
    """Planted in either half: in the n-grams, or as the only embedding that the network can see.

    In the deep half it may be its neighbour: what the cells take in there follows from the state before.
    """
    decisive, place = 100, 20
    message = [token if token != decisive else 1 for token in messages[6]]
    message[place] = decisive
    if half == "wide":
        model.wide.weight_F[bucket_of_token(torch.tensor([decisive]), NGRAMS)] = 50.0
    else:
        model.wide.weight_F.zero_()
        others = torch.ones(VOCABULARY, dtype=torch.bool)
        others[decisive] = False
        model.deep.embedding.weight[others] = 0.0
        model.deep.embedding.weight[decisive] *= 20
    (weights,) = token_weights(model, [message], ENCODING)
    assert abs(int(np.abs(weights).argmax()) - place) <= (0 if half == "wide" else 1)


def test_other_cells_are_refused(messages: list[list[int]]) -> None:
    """What cannot be taken apart is said, and not guessed."""
    other = WideAndDeep.of_sizes(NetworkConfig(VOCABULARY, 16, 16, 8, cell="gru"), NGRAMS).eval()
    with pytest.raises(ConfigError, match="lstm"):
        token_weights(other, messages, ENCODING)
