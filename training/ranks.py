"""Training in several processes that `torchrun` starts: which one this is, and what they do together.

Every process (a rank) takes its share of each batch, gradients are averaged, so that all take the same step; rank 0
alone prepares the mail, writes and speaks. Without torchrun there is one rank, and nothing here costs anything.
"""

import contextlib
import datetime
import os
import zlib
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from classifier.errors import ConfigError

# Ranks wait for rank 0 while it prepares mail or pretrains, which may take days; torchrun notices one that has died.
_LONGEST_WAIT = datetime.timedelta(days=14)
# torchrun keeps one store for all tries, and gloo's addresses stand in it under the same keys at every try. With the
# second variable rank 0 opens a new store at each.
_SAME_STORE = "TORCHELASTIC_USE_AGENT_STORE"
_NEW_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"


def join_ranks() -> bool:
    """Join the other ranks, where torchrun has started this process; return whether this is a new try after a loss.

    Raises:
        ConfigError: torchrun may start ranks again, and was not told to let them meet at a new place.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        return False
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and os.environ.get(_SAME_STORE) == "True":
        raise ConfigError(
            "ranks that are started again would find the addresses of the dead ones and wait for ever: "
            f"set {_NEW_STORE}=1 in the environment of torchrun, or --max-restarts 0"
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # gloo for what lies in memory, nccl for gradients on GPUs.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_LONGEST_WAIT)
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def leave_ranks() -> None:
    """End what `join_ranks` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Return the number of this process among those on this machine, from 0."""
    return int(os.environ["LOCAL_RANK"]) if dist.is_initialized() else 0


def wait_for_all() -> None:
    """Return when every rank has come here."""
    if ranks() > 1:
        dist.all_reduce(torch.zeros(1))


@contextlib.contextmanager
def rank_0_first() -> Iterator[None]:
    """Let rank 0 go through the body of the `with`, and then all others."""
    if rank() > 0:
        wait_for_all()
    yield
    if rank() == 0:
        wait_for_all()


def summed(values: Tensor) -> Tensor:
    """Return the sum over ranks of a tensor in memory, the same for all."""
    if ranks() > 1:
        dist.all_reduce(values)
    return values


def averaging(network: nn.Module, device: torch.device) -> nn.Module:
    """Return what runs the network and averages its gradients over ranks: those of the layers that move now."""
    if ranks() == 1:
        return network
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def seed_step(seed: int, step: int) -> None:
    """Let the dropout of this rank differ from that of the others, and follow from the step alone.

    Rank 0 goes on with the random state that its checkpoint keeps.
    """
    if rank() > 0:
        torch.manual_seed(zlib.crc32(f"{seed} {rank()} {step}".encode()))
