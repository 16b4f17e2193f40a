"""A language model over the classifier's embedding and cells: what it learns of mail, a classifier can start from.

Many-to-many: inputs from index 0, labels from index 1. The forwards cell predicts the next token; the backwards cell
reads each window in reverse, as the classifier has it, and so predicts the token before. The weights that guess are
those of the embedding (Press & Wolf 2017), behind a projection of the state. ULMFiT (Howard & Ruder 2018) is the
example. No label of spam or ham is looked at.

Shape letters: W windows, T tokens of the longest window, E embedding width, H hidden width of one direction,
N labels of all windows of a batch, V ids, K negatives, C candidates: the label, then the negatives.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from tokenizers import decoders
from torch import Tensor, nn

from classifier import text as marks
from classifier.errors import ArtifactCorruptError, ArtifactMissingError, ConfigError
from classifier.lookup import in_reverse
from classifier.network import NetworkConfig, SpamNetwork
from classifier.tokenizer import PADDING_ID, TextTokenizer

FILE_NAME = "pretrained.safetensors"
# Layers that the classifier has too.
SHARED = ("embedding", "forwards", "backwards")

# Labels whose logits over the whole vocabulary are held together: of 16,384 ids 16 MB, which stay in the cache.
_FULL_TOGETHER = 256
_BYTES = decoders.ByteLevel()
# Each marker by the name of its constant: "subject", "link mismatch", "url".
_NAMES = {marker: name.lower().replace("_", " ") for name, marker in vars(marks).items() if marker in marks.MARKERS}


class Guesses(NamedTuple):
    """What one direction has to guess, and what it guesses by."""

    projected_NE: Tensor
    labels_N: Tensor  # int64


class Negatives(NamedTuple):
    """Ids that stand for all others in a sampled softmax."""

    token_ids_K: Tensor  # int64
    log_expected_K: Tensor  # float32, log of how often each is drawn on average


class LanguageModel(nn.Module):
    """Both directions of SpamNetwork, each with a projection to what the embedding can be compared with."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        reader = SpamNetwork(config)  # initialised as the classifier is
        self.embedding, self.forwards, self.backwards = reader.embedding, reader.forwards, reader.backwards
        self.forwards_projection = nn.Linear(config.hidden_width, config.embedding_width)
        self.backwards_projection = nn.Linear(config.hidden_width, config.embedding_width)
        self.bias_V = nn.Parameter(torch.zeros(config.vocabulary_size))

    def start_from_frequencies(self, noise: "Noise") -> None:
        """Let the first guess be how often each id stands in the text."""
        with torch.no_grad():
            self.bias_V.copy_(noise.log_V)
            self.bias_V[PADDING_ID] = 0.0

    def forward(self, token_ids_WT: Tensor, lengths_W: Tensor) -> tuple[Guesses, Guesses]:
        """Return what the forwards and the backwards direction guess.

        Args:
            token_ids_WT: int64, right-padded with PADDING_ID.
            lengths_W: int64, 1 <= length <= T.
        """
        position_T = torch.arange(token_ids_WT.shape[1] - 1, device=token_ids_WT.device)
        has_label_WT = position_T < lengths_W[:, None] - 1
        guesses = []
        for cell, projection, ids_WT in (
            (self.forwards, self.forwards_projection, token_ids_WT),
            (self.backwards, self.backwards_projection, in_reverse(token_ids_WT, lengths_W)),
        ):
            states_WTH, _ = cell(self.embedding(ids_WT))
            projected_NE = projection(states_WTH[:, :-1][has_label_WT])
            guesses.append(Guesses(projected_NE, ids_WT[:, 1:][has_label_WT]))
        return guesses[0], guesses[1]

    def sampled_losses(self, guesses: Guesses, negatives: Negatives) -> Tensor:
        """Return about what `full_losses` does, float32 (N,) in nats, at the cost of K ids in place of V.

        The sum over all ids under the softmax is the label's own share, exactly, and for all others their mean over
        ids drawn by lot, each divided by how likely it was drawn (Bengio & Senecal 2008; Jean et al. 2015): right on
        average, and exact in the limit of many. All labels of a batch share the negatives.
        """
        weight_VE = self.embedding.weight
        label_NE = nn.functional.embedding(guesses.labels_N, weight_VE)
        label_N = (guesses.projected_NE * label_NE).sum(1).float() + self.bias_V[guesses.labels_N]
        negative_KE = nn.functional.embedding(negatives.token_ids_K, weight_VE)
        correction_K = self.bias_V[negatives.token_ids_K] - negatives.log_expected_K
        negative_NK = nn.functional.linear(guesses.projected_NE, negative_KE).float() + correction_K
        is_label_NK = guesses.labels_N[:, None] == negatives.token_ids_K
        logits_NC = torch.cat([label_N[:, None], negative_NK.masked_fill(is_label_NK, float("-inf"))], dim=1)
        return nn.functional.cross_entropy(logits_NC, torch.zeros_like(guesses.labels_N), reduction="none")

    def full_losses(self, guesses: Guesses) -> Tensor:
        """Return -log probability of each label among all ids but padding, float32 (N,) in nats."""
        losses = [
            nn.functional.cross_entropy(self._logits(projected_NE), labels_N, reduction="none")
            for projected_NE, labels_N in zip(
                torch.split(guesses.projected_NE, _FULL_TOGETHER),
                torch.split(guesses.labels_N, _FULL_TOGETHER),
                strict=True,
            )
        ]
        return torch.cat(losses)

    @torch.inference_mode()
    def written(self, prompt: Sequence[int], tokens: int, *, temperature: float = 1.0, seed: int = 1) -> list[int]:
        """Return the prompt and up to `tokens` more ids, each drawn from what the forwards direction expects.

        Args:
            prompt: at least one id.
            temperature: the logits are divided by it: under 1 the likely becomes likelier; 0 takes the likeliest.
        """
        random = torch.Generator().manual_seed(seed)
        written = list(prompt)
        unread, state = written, None
        for _ in range(tokens):
            states_WTH, state = self.forwards(self.embedding(torch.tensor([unread])), state)
            logits_V = self._logits(self.forwards_projection(states_WTH[:, -1]))[0]
            if temperature:
                unread = torch.softmax(logits_V / temperature, 0).multinomial(1, generator=random).tolist()
            else:
                unread = [int(logits_V.argmax())]
            written = written + unread
        return written

    def _logits(self, projected_NE: Tensor) -> Tensor:
        """Log-odds of every id but padding, which no text has; float32 (N, V)."""
        logits_NV = nn.functional.linear(projected_NE, self.embedding.weight).float() + self.bias_V
        return logits_NV.index_fill(1, torch.tensor([PADDING_ID], device=logits_NV.device), float("-inf"))


class Noise:
    """Draws negatives as often as their ids stand in the text that is learned from."""

    def __init__(self, counts_V: NDArray[np.int64]) -> None:
        """Take how often each id was seen, to which one is added; padding is never drawn."""
        likely_V = torch.from_numpy(counts_V).double() + 1
        likely_V[PADDING_ID] = 0
        self._likely_V = likely_V / likely_V.sum()
        self.log_V = self._likely_V.log().float()  # -inf for padding

    def draw(self, negatives: int, device: torch.device) -> Negatives:
        """Draw with replacement, by torch's random state."""
        token_ids_K = self._likely_V.multinomial(negatives, replacement=True)
        log_expected_K = self.log_V[token_ids_K] + math.log(negatives)
        return Negatives(token_ids_K.to(device), log_expected_K.to(device))


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A language model as it lies on disk: with the tokenizer that its ids belong to."""

    model: LanguageModel
    tokenizer: TextTokenizer
    # Which messages it has read: Corpus.ids_sha256.
    train_ids_sha256: str
    history: list[dict[str, float]]

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode("utf-8"))
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def start(self, network: SpamNetwork, tokenizer: TextTokenizer) -> None:
        """Give a classifier the embedding and the cells.

        Raises:
            ConfigError: its ids are those of another tokenizer, or its layers have other sizes.
        """
        if vocabulary_sha256(tokenizer) != vocabulary_sha256(self.tokenizer):
            raise ConfigError(
                "the language model was pretrained with another vocabulary than this mail is encoded with: pretrain "
                "and fit on the same --data with a preset of the same seed, shares and network.vocabulary_size"
            )
        for name in ("embedding_width", "hidden_width", "cell", "vocabulary_size"):
            ours, theirs = getattr(network.config, name), getattr(self.model.config, name)
            if ours != theirs:
                raise ConfigError(f"the preset sets network.{name} to {ours!r}, the language model has {theirs!r}")
        for name in SHARED:
            network.get_submodule(name).load_state_dict(self.model.get_submodule(name).state_dict())

    def save(self, folder: Path) -> Path:
        """Write one file below `folder` and return its path."""
        about = {
            "network": json.dumps(asdict(self.model.config)),
            "tokenizer": self.tokenizer.to_json(),
            "train_ids_sha256": self.train_ids_sha256,
            "history": json.dumps(self.history),
        }
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        path = folder / FILE_NAME
        beside = path.with_suffix(".new")
        beside.write_bytes(save_tensors(weights, about))
        beside.replace(path)
        return path

    @classmethod
    def load(cls, folder: Path) -> "Pretrained":
        """Read what `save` wrote.

        Raises:
            ArtifactMissingError: there is no language model in `folder`.
            ArtifactCorruptError: the file cannot be read.
        """
        path = folder / FILE_NAME
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata()
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a mapping
            model = LanguageModel(NetworkConfig(**json.loads(about["network"])))
            model.load_state_dict(weights)
            tokenizer = TextTokenizer.from_json(about["tokenizer"])
            history = json.loads(about["history"])
        except FileNotFoundError as error:
            raise ArtifactMissingError(
                f"{path} is not there: give the --out of `python -m training pretrain`"
            ) from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactCorruptError(f"{path} is no language model: {error}") from error
        return cls(model, tokenizer, about["train_ids_sha256"], history)

    def sample(self, prompt: str, tokens: int, *, temperature: float, seed: int) -> str:
        """Write on from a prompt, as the start of a subject; fields and marks by their names."""
        token_ids = self.tokenizer.encode(marks.SUBJECT + prompt)
        return _readable(self.model.written(token_ids, tokens, temperature=temperature, seed=seed), self.tokenizer)


def vocabulary_sha256(tokenizer: TextTokenizer) -> str:
    """Return what tells one tokenizer from another: ids mean other words with another vocabulary."""
    return hashlib.sha256(tokenizer.to_json().encode("utf-8")).hexdigest()


def _readable(token_ids: Sequence[int], tokenizer: TextTokenizer) -> str:
    pieces = []
    for token in tokenizer.tokens(token_ids):
        if token in marks.FIELD_MARKERS:
            pieces.append(f"\n{_NAMES[token]}:")
        else:
            pieces.append(f" [{_NAMES[token]}]" if token in _NAMES else token)
    # A name has a white space, which is no byte's character in the vocabulary, so the decoder leaves it as it is.
    return str(_BYTES.decode(pieces)).strip()
