"""The engine's branches, shared among the races whose number nobody said."""

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

import anyio

from frontrunner.strategies.protocol import BranchStatus

from ..engines.protocol import Engine
from ..planning.allocation import ActiveRace, BranchAllocator
from ..planning.runtime_models import RuntimeModels
from ..racing.race import Race
from ..racing.spec import RaceSpec


class BranchRebalancer:
    """Plans B for races that begin, and cuts down those that run."""

    def __init__(
        self,
        models: RuntimeModels,
        engine: Engine,
        granted: Callable[[], int],
        races: Callable[[], Iterable[Race]],
    ) -> None:
        """
        Args:
            granted: branches that all races may run now.
            races: all that run.
        """
        self._sharing = BranchAllocator(models)
        self._engine = engine
        self._granted = granted
        self._races = races

    def planned(self, seconds: float, prompt: int, least: int) -> int:
        """Branches for a race that is about to begin: with so many seconds until its deadline, a
        prompt of so many tokens, and ``least`` branches at least."""
        newcomer = ActiveRace(seconds, prompt, least=least)
        return max(least, self._share([newcomer, *map(_contender, self._sharers())]))

    def make_room(self, spec: RaceSpec) -> None:
        """Cut the races that run down to what is best for all of them and the one that begins."""
        sharers = self._sharers()
        if not sharers:
            return
        contenders = [_contender(race) for race in sharers]
        if spec.shared_down_to is None:
            share = self._share(contenders, spec.max_branches)
        else:
            seconds = spec.deadline - anyio.current_time()
            newcomer = ActiveRace(seconds, len(spec.prompt), least=spec.shared_down_to)
            share = self._share([newcomer, *contenders])
        for race in sharers:
            race.set_branch_limit(share)

    def _sharers(self) -> list[Race]:
        return [r for r in self._races() if r.spec.shared_down_to is not None and _running(r)]

    def _share(self, contenders: Sequence[ActiveRace], more: int = 0) -> int:
        fixed = max(0, self._granted() - sum(c.running or 0 for c in contenders)) + more
        load = self._engine.load()
        return self._sharing.share(
            contenders,
            fixed=fixed,
            most=self._engine.info.max_branches,
            factor=self._sharing.correction(load.token_seconds, load.token_batch),
        )


def _running(race: Race) -> list[int]:
    """Tokens of the branches that run, or will when it begins."""
    if not race.branches:
        return [0] * race.spec.max_branches
    return [b.tokens for b in race.branches.values() if b.status is BranchStatus.RUNNING]


def _contender(race: Race) -> ActiveRace:
    running = _running(race)
    return ActiveRace(
        seconds=race.deadline - anyio.current_time(),
        prompt=len(race.spec.prompt),
        running=len(running),
        ended=len(race.arrivals),
        written=fmean(running),
        least=race.spec.shared_down_to or 1,
    )
