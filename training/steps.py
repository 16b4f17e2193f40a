"""Steps of the optimiser: a warm-up, then half a cosine; gradients clipped; what is not finite is left out."""

import math

import torch
from torch import Tensor, nn

from training.checkpoint import Progress
from training.config import FitConfig
from training.errors import DivergedError
from training.progress import say


class Stepper:
    """Takes the steps of one run."""

    def __init__(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, config: FitConfig, steps: int, section: str = "fit"
    ) -> None:
        """Take about `steps` steps in all; `section` of the preset is where its learning rate stands."""
        self._network = network
        self._optimiser = optimiser
        self._config = config
        self._steps = steps
        self._section = section

    def take(self, loss: Tensor, progress: Progress, value: float | None = None) -> bool:
        """Take one step down the gradient of `loss`; False when loss or gradient is not finite, and nothing moved.

        Args:
            loss: of this rank.
            progress: is taken further.
            value: the loss of all ranks; that of this one without it.

        Raises:
            DivergedError: that was so too many times in a row.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.learning_rate * self._schedule(progress.step)
        progress.step += 1
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self._network.parameters(), self._config.clip_norm))
        value = float(loss.detach()) if value is None else value
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._skip(value, norm, progress)
            return False
        progress.bad_steps = 0
        self._optimiser.step()
        return True

    def _skip(self, loss: float, norm: float, progress: Progress) -> None:
        progress.bad_steps += 1
        say(f"step {progress.step} left out: loss {loss}, gradient norm {norm}")
        if progress.bad_steps >= self._config.most_bad_steps:
            raise DivergedError(
                f"loss or gradient was not finite {progress.bad_steps} steps in a row: lower "
                f"{self._section}.learning_rate or fit.clip_norm, and look at the data of the last batches"
            )

    def _schedule(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to 2 % of the rate."""
        warmup = max(1, round(self._config.warmup_share * self._steps))
        if step < warmup:
            return (step + 1) / warmup
        share = min(1.0, (step - warmup) / max(1, self._steps - warmup))
        return 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
