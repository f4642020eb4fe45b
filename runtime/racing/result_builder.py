"""From the end of a race to its result."""

from collections.abc import Mapping
from dataclasses import replace

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, Decide
from frontrunner.strategies.votes import Tally, by_votes

from ..common.loop_clock import loop_time
from ..result import Result
from .branch import Branch
from .result_notes import notes_of
from .spec import RaceSpec


def summarise(
    spec: RaceSpec,
    decision: Decide,
    branches: Mapping[int, Branch],
    votes: Tally,
    lengths: LengthModel | None,
) -> Result:
    """The result of a race that was decided."""
    now = loop_time()
    shown, text = _shown(decision, branches)
    likelihoods = spec.sampling.likelihoods
    result = Result(
        race_id=spec.race_id,
        answer=decision.answer,
        text=text,
        confidence=decision.confidence,
        stop_reason=decision.stop_reason,
        elapsed=now - spec.began,
        deadline=spec.time_limit,
        votes=by_votes(votes.finished),
        forced_votes=by_votes(votes.forced),
        branches=tuple(b.report(now, likelihoods=likelihoods) for b in branches.values()),
        prompt_tokens=len(spec.prompt),
        tokens_generated=sum(
            b.tokens - b.inherited_tokens + b.forced_tokens + b.probe_tokens
            for b in branches.values()
        ),
        tokens_saved=_tokens_saved(spec, branches, lengths),
        branch=shown,
        accuracy_estimate=_accuracy(spec, decision, votes),
        thinking=spec.thinking,
    )
    known = notes_of(result, voted=spec.answers.voted, optional=spec.optional)
    return replace(result, notes=(*spec.notes, *known)) if spec.notes or known else result


def _accuracy(spec: RaceSpec, decision: Decide, votes: Tally) -> float | None:
    if spec.accuracy is None or decision.answer is None:
        return None
    return spec.accuracy.estimate(decision.confidence, forced=not votes.finished)


def _shown(decision: Decide, branches: Mapping[int, Branch]) -> tuple[int | None, str]:
    """The branch behind the answer and its text. Without an answer: the first branch that ended by
    itself, or else the one that got furthest, and none of what it was forced to say."""
    if decision.branch is not None and (chosen := branches.get(decision.branch)) is not None:
        return chosen.index, chosen.text + chosen.forced_text
    if decision.answer is not None or not branches:
        return None, ""

    def place(branch: Branch) -> tuple[bool, float, int]:
        whole = branch.status is BranchStatus.FINISHED
        return whole, -(branch.ended_at or 0.0) if whole else 0.0, branch.tokens

    shown = max(branches.values(), key=place)
    return shown.index, shown.text


def _tokens_saved(
    spec: RaceSpec, branches: Mapping[int, Branch], lengths: LengthModel | None
) -> int:
    """What the cut branches would still have generated, expected of their length so far."""
    running = [b.tokens for b in branches.values() if b.status is BranchStatus.CANCELLED]
    if not running:
        return 0
    finished = [b.tokens for b in branches.values() if b.status is BranchStatus.FINISHED]
    if lengths is None and finished:
        cut = [b.tokens for b in branches.values() if b.status is BranchStatus.TRUNCATED]
        lengths = LengthModel.fit(finished, cut)
    if lengths is None:
        return 0
    return sum(
        max(0, min(spec.max_tokens, round(lengths.expected_length(tokens))) - tokens)
        for tokens in running
    )
