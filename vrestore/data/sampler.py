"""StreamSampler: an endless stream of draw numbers, shared out among processes, that starts where it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from vrestore.errors import ConfigError
from vrestore.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class StreamSampler(Sampler[int]):
    """Draw numbers `start + r, start + r + w, start + r + 2w, …` for rank r of w processes, without end.

    All processes together take every draw once, whatever their number; and since a dataset makes each sample from its
    draw number alone, a run resumes exactly by starting the stream after the draws that were consumed.

    Args:
        dataset: what the draws are made from; gives the sampler its nominal length.
        start: first draw of the stream, >= 0.
        rank, world_size: this process and their number; None asks the process group.
        seed: taken because MMEngine's Runner hands one to every sampler; the stream holds no randomness.

    Raises:
        ConfigError: a negative start, or a rank outside of the world.
    """

    def __init__(
        self,
        dataset: Sized | None = None,
        start: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        seed: int | None = None,
    ):
        this_rank, this_world = get_dist_info()
        self.rank = this_rank if rank is None else rank
        self.world_size = this_world if world_size is None else world_size
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"StreamSampler: rank must be from 0 to {self.world_size - 1}, got {self.rank}")
        self.dataset = dataset
        self.set_start(start)

    def set_start(self, draws_consumed_in_total: int) -> None:
        """Start the next iteration after this many draws, counted over all processes.

        Raises:
            ConfigError: the number is negative or not whole.
        """
        if not isinstance(draws_consumed_in_total, int) or draws_consumed_in_total < 0:
            raise ConfigError(f"StreamSampler: start must be a whole number >= 0, got {draws_consumed_in_total!r}")
        self.start = draws_consumed_in_total

    def __iter__(self) -> Iterator[int]:
        draw = self.start + self.rank
        while True:
            yield draw
            draw += self.world_size

    def __len__(self) -> int:
        """The dataset's length: what progress by epochs is counted in; the stream itself has no end."""
        return len(self.dataset) if self.dataset is not None else 0

    def set_epoch(self, epoch: int) -> None:
        """An endless stream has no epochs; MMEngine's loops call this on every sampler."""
