"""What the core of a live race asks of its engine and its clock."""

from statistics import median

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus

from ..common.loop_clock import loop_clock
from ..rewards.protocol import Scoring, ScoringBudget
from .branch import BackgroundForcing, Branch, Kept, ProbeRequest
from .branch_requests import RaceServices, ScoringTask
from .deadline import Deadline
from .seeds import branch_seed
from .spec import RaceSpec


class EngineHost:
    """What the core of a race asks of its engine and its clock; satisfies ``RaceHost``."""

    def __init__(
        self,
        spec: RaceSpec,
        services: RaceServices,
        deadline: Deadline,
        lengths: LengthModel | None,
        *,
        has_steps: bool,
        budget: ScoringBudget,
    ) -> None:
        """
        Args:
            lengths: what is known beforehand of how long branches get.
            has_steps: whether a running branch is scored up to the end of its last complete step.
            budget: of all scores of the race.
        """
        self._spec = spec
        self._engine = services.engine
        self._clusters = services.clusters
        self._deadline = deadline
        self._prior = lengths
        self._has_steps = has_steps
        self._budget = budget
        self._branches: list[Branch] = []
        self._clock = loop_clock()

    def launch(self, index: int, parent: Branch | None, tokens: int) -> Branch:
        now = self._clock()
        branch = Branch(
            index=index,
            request_id=f"{self._spec.race_id}-b{index}",
            seed=branch_seed(self._spec.seed, index),
            launched_at=now,
            heard_at=now,
            clock=self._clock,
        )
        if parent is not None:
            parent.fork(tokens, branch)
        self._branches.append(branch)
        return branch

    def resume(self, branch: Branch, before: str, text: str) -> Kept:
        kept = branch.resume(before, text, self._engine.encode(text))
        branch.request_id = f"{self._spec.race_id}-b{branch.index}-x{branch.extensions}"
        return kept

    def adopt(self, branch: Branch, background: BackgroundForcing, still_running: bool) -> None:
        if str(background.text):
            branch.adopt(background)
        branch.answered_request = branch.request_id if still_running else None

    def new_probe(self, branch: Branch) -> ProbeRequest:
        branch.probes_asked += 1
        return ProbeRequest(f"{branch.request_id}-p{branch.probes_asked}", branch.tokens)

    def new_background_answer(self, branch: Branch) -> BackgroundForcing:
        answer = BackgroundForcing(
            f"{branch.request_id}-beside", branch.tokens, self._clusters.assign_now
        )
        if not self._spec.answers.forcible:
            answer.said = self._spec.answers.of_unfinished(branch.text)
        return answer

    def to_score(self, branch: Branch) -> ScoringTask:
        complete = branch.status is not BranchStatus.RUNNING
        tokens = branch.tokens
        if self._has_steps and not complete:
            tokens = branch.steps[-1] if branch.steps else 0
        text = branch.text_up_to(tokens) + branch.forced_text
        self._budget.until = self._deadline.hard_stop
        spec = self._spec
        scoring = Scoring(
            spec.question,
            text,
            complete,
            self._budget,
            spec.thinking,
            race=spec.race_id,
            branch=branch.index,
        )
        return ScoringTask(branch, tokens, scoring)

    def room_beside(self) -> float:
        return self._engine.info.max_branches - self._engine.load().running

    def lingering(self) -> int:
        answered = [b for b in self._branches if b.answered_request is not None]  # mostly none
        return sum(not b.status.active for b in answered)

    def reachable_tokens(self) -> float | None:
        now = self._clock()
        speeds = [
            (b.tokens - b.first_token_tokens) / (now - b.first_token_at)
            for b in self._branches
            if b.status is BranchStatus.RUNNING
            and b.first_token_at is not None
            and b.tokens > b.first_token_tokens + 1
            and now > b.first_token_at
        ]
        if not speeds:
            return None
        return max(0.0, self._deadline.hard_stop - now) * median(speeds)

    def lengths(self) -> LengthModel | None:
        if self._prior is None:
            return None
        return self._prior.updated(
            (b.tokens for b in self._branches if b.status is BranchStatus.FINISHED),
            (b.tokens for b in self._branches if b.status is BranchStatus.TRUNCATED),
        )
