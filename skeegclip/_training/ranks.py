"""The processes that train one encoder together, and what they tell each other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist


@dataclass(frozen=True)
class Ranks:
    """This process and the others of its training; alone, every method gives back what it was given.

    Every process has all targets, reads its share of the epochs of each batch, and computes the loss of the whole batch
    from the embeddings of all. Differentiated by the embeddings of its own share, and summed over processes, that is the
    gradient of the one loss: nothing is averaged, and shares may differ in size.

    Parameters
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Ranks:
        """The process group of torch that this process is in, if any."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def share(self, n_rows: int) -> slice:
        """This process's part of so many rows; all of them where there are too few to give one to each."""
        if n_rows < self.size:
            return slice(0, n_rows)
        return slice(self.rank * n_rows // self.size, (self.rank + 1) * n_rows // self.size)

    def gather(self, z: torch.Tensor, n_rows: int) -> torch.Tensor:
        """Embeddings of the whole batch: constants, but for the rows of this process."""
        if len(z) == n_rows:
            return z
        own = self.share(n_rows)
        whole = z.new_zeros(n_rows, z.shape[1])  # summed with zeros, shares of any size come together
        whole[own] = z.detach()
        _together(dist.all_reduce)(whole)
        return torch.cat([whole[: own.start], z, whole[own.stop :]])

    def sum_gradients(self, module: torch.nn.Module, criterion: torch.nn.Module) -> None:
        """Add up the gradients of the network; those of the loss's own parameters are whole in every process."""
        if self.size == 1:
            return
        parts = [(p, 1.0) for p in module.parameters()] + [(p, 1 / self.size) for p in criterion.parameters()]
        learned = [(p, weight) for p, weight in parts if p.requires_grad]
        # One message: a parameter that these rows did not use counts as zero.
        flat = torch.cat(
            [
                torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() * weight
                for p, weight in learned
            ]
        )
        _together(dist.all_reduce)(flat)
        sizes = [p.numel() for p, _ in learned]
        for (p, _), gradient in zip(learned, flat.split(sizes), strict=True):
            p.grad = gradient.view_as(p)

    def share_state(self, *modules: torch.nn.Module) -> None:
        """Give all processes the weights of the first."""
        if self.size > 1:
            for module in modules:
                for value in module.state_dict().values():
                    _together(dist.broadcast)(value, 0)

    def agree(self, value: Any) -> Any:
        """What the first process says."""
        if self.size == 1:
            return value
        said = [value]
        _together(dist.broadcast_object_list)(said, 0)
        return said[0]

    def collect(self, value: Any) -> list:
        """What each process says, in their order."""
        if self.size == 1:
            return [value]
        said = [None] * self.size
        _together(dist.all_gather_object)(said, value)
        return said

    def check_same(self, values: dict[str, Any]) -> None:
        """Refuse values that differ between processes."""
        for name, heard in ((name, self.collect(value)) for name, value in values.items()):
            other = next((rank for rank, value in enumerate(heard) if value != heard[0]), None)
            if other is not None:
                raise ValueError(
                    f"{name} of process {other} differs from that of process 0. Give the same to all {self.size} processes:"
                    " each takes its share by itself."
                )

    def check_batches(self, n_rows: int, batch_size: int) -> None:
        """Refuse batches with fewer rows than processes."""
        smallest = n_rows // -(-n_rows // batch_size)
        if smallest < self.size:
            raise ValueError(
                f"batch_size={batch_size} makes batches of {smallest} epochs, too few for {self.size} processes."
                " Raise it, or start fewer processes."
            )


ALONE = Ranks()


def _together(collective: Callable) -> Callable:
    @functools.wraps(collective)
    def call(*args: Any) -> Any:
        try:
            return collective(*args)
        except RuntimeError as error:
            raise RuntimeError(
                f"the processes that train together have lost each other ({error}): one of them has ended or failed, and its"
                " own messages say why. Start them all again; with checkpoint_dir= they go on from the last pass."
            ) from error

    return call
