"""How long a race's rounds of forced answers take, and so when it must be called."""

from frontrunner.strategies.protocol import BranchStatus

from .branch import Branch
from .branch_requests import RaceServices
from .core import RaceCore
from .judgements import Judgements
from .spec import RaceSpec


class Rounds:
    """The rounds of forced answers of one race, as far as they can be foretold."""

    def __init__(
        self,
        spec: RaceSpec,
        services: RaceServices,
        judgements: Judgements,
        core: RaceCore[Branch],
    ) -> None:
        self._spec = spec
        self._services = services
        self._judgements = judgements
        self._core = core

    def predict(self, branches: int) -> float:
        """Seconds that a round of so many branches takes."""
        forcing, services = self._spec.forcing, self._services
        if not self._spec.answers.forcible:
            return 0.0
        return services.reserve.round_seconds(
            branches,
            len(forcing.suffix_ids),
            forcing.max_tokens,
            services.engine.info,
            services.engine.load(),
        )

    def unfinished(self) -> int:
        """Branches that would be forced now."""
        running = BranchStatus.RUNNING
        return [b.status for b in self._core.branches.values()].count(running)

    def reserve(self) -> float:
        """Seconds before the deadline at which the race must be called, as it stands."""
        return self.needed() + self._services.reserve.margin

    def needed(self) -> float:
        """Seconds from the call to the last forced answer, and to the judgement."""
        seconds = self._services.reserve.round_reserve(self.predict(self.unfinished()))
        if self._core.needs.comparisons:
            branches = self._core.branches.values()
            whole = [b.tokens for b in branches if b.status is BranchStatus.FINISHED]
            seconds += self._judgements.seconds(whole)
        return seconds
