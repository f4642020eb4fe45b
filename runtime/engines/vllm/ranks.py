"""Which of vLLM's data-parallel ranks computes a request.

vLLM's front end sends each request to the rank that has least to do. A forced answer, a probe or a
fork goes on from a branch's own tokens, which one rank alone has in its prefix cache: any other
computes all of them anew, just when the time is up. So a branch's requests stay on one rank. Where
it begins is decided as vLLM does, by what this process has running on each.
"""

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..protocol import Generation

if TYPE_CHECKING:
    from vllm.config import VllmConfig

#: Branches whose rank is remembered: far more than any engine still has the tokens of.
_REMEMBERED: Final = 4096


def rank_count(config: "VllmConfig") -> int:
    """The ranks that a client of this engine sends requests to: all of them, or behind a balancer
    of its own (``--data-parallel-external-lb``, ``--data-parallel-hybrid-lb``) those beside it."""
    parallel = config.parallel_config
    if parallel.local_engines_only:
        return parallel.data_parallel_size_local
    return parallel.data_parallel_size


class BranchRanks:
    """The ranks of the branches that ran lately."""

    def __init__(self) -> None:
        self._of: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._running: Counter[int] = Counter()  # requests of each rank
        self._next = 0  # where the search for the least of equals begins

    @contextmanager
    def chosen(self, request: Generation, count: int) -> Generator[int | None, None, None]:
        """The rank for a request that runs as long as the block; None: vLLM is to choose.

        Args:
            count: of the engine's ranks, see ``rank_count``.
        """
        if count <= 1 or not request.race:
            yield None
            return
        rank = self._rank(request, count)
        self._running[rank] += 1
        try:
            yield rank
        finally:
            self._running[rank] -= 1

    def _rank(self, request: Generation, count: int) -> int:
        branch = (request.race, request.branch)
        rank = self._of.get(branch)
        if rank is None and request.parent is not None:
            rank = self._of.get((request.race, request.parent))
        if rank is None or rank >= count:  # the engine may have been made smaller
            turn = [(self._next + each) % count for each in range(count)]
            rank = min(turn, key=lambda each: self._running[each])
            self._next = rank + 1
        self._of[branch] = rank
        self._of.move_to_end(branch)
        if len(self._of) > _REMEMBERED:
            self._of.popitem(last=False)
        return rank
