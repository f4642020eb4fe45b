"""From the end of a race to its result."""

from collections.abc import Mapping

import anyio

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, Decide
from frontrunner.strategies.votes import Tally, by_votes

from ..result import Result
from .branch import Branch
from .spec import RaceSpec


def summarise(
    spec: RaceSpec,
    decision: Decide,
    branches: Mapping[int, Branch],
    votes: Tally,
    lengths: LengthModel | None,
) -> Result:
    """The result of a race that was decided."""
    now = anyio.current_time()
    return Result(
        race_id=spec.race_id,
        answer=decision.answer,
        text=_shown(decision, branches),
        confidence=decision.confidence,
        stop_reason=decision.stop_reason,
        elapsed=now - spec.began,
        deadline=spec.deadline - spec.began,
        votes=by_votes(votes.finished),
        forced_votes=by_votes(votes.forced),
        branches=tuple(b.report(now) for b in branches.values()),
        prompt_tokens=len(spec.prompt),
        tokens_generated=sum(
            b.tokens - b.inherited_tokens + b.forced_tokens + b.probe_tokens
            for b in branches.values()
        ),
        tokens_saved=_tokens_saved(spec, branches, lengths),
    )


def _shown(decision: Decide, branches: Mapping[int, Branch]) -> str:
    """The text behind the answer; without an answer that of a branch which finished, or else of the
    one that got furthest, and none of what it was forced to say."""
    if decision.branch is not None and (chosen := branches.get(decision.branch)) is not None:
        return chosen.text + chosen.forced_text
    if decision.answer is not None or not branches:
        return ""

    def place(branch: Branch) -> tuple[bool, bool, int]:
        finished = branch.status is BranchStatus.FINISHED
        return finished and not branch.truncated, finished, branch.tokens

    return max(branches.values(), key=place).text


def _tokens_saved(
    spec: RaceSpec, branches: Mapping[int, Branch], lengths: LengthModel | None
) -> int:
    """What the cut branches would still have generated, expected of their length so far."""
    finished = [b.tokens for b in branches.values() if b.status is BranchStatus.FINISHED]
    if lengths is None and finished:
        lengths = LengthModel.fit(finished)
    if lengths is None:
        return 0
    return sum(
        max(0, min(spec.max_tokens, round(lengths.expected_length(b.tokens))) - b.tokens)
        for b in branches.values()
        if b.status is BranchStatus.CANCELLED
    )
