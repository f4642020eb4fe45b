"""A strategy of your own: the first answer that two branches agree on.

Try it on a script with ``python -m examples.own_strategy``; race with it by
``frontrunner solve --strategy examples.own_strategy:Agreement --param agree=3 "…"``, by the same
name in the config (``[race] strategy``), in ``frontrunner replay --strategy
examples.own_strategy:Agreement:agree=3 …``, and in ``frontrunner plan``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from frontrunner.strategies import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    CallTimeReached,
    Command,
    Decide,
    Launch,
    Observation,
    RaceView,
    StopReason,
    decide_by_votes,
    force_unanswered,
    over,
    shed_branches,
    tally,
)
from frontrunner.testing import BranchScript, run_race


@dataclass
class Agreement:
    """The first answer that so many branches give.

    Args:
        branches: branches to launch.
        agree: branches that must give the same answer, at least 1.
    """

    branches: int = 16
    agree: int = 2

    def __post_init__(self) -> None:
        if self.agree < 1:
            raise ValueError("agree must be at least 1")

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case BranchFinished() | BranchForced() | BranchFailed():
                leader, _ = tally(view).lead()
                if leader >= self.agree:
                    return [decide_by_votes(view, StopReason.CONFIDENT_MAJORITY)]
                return [decide_by_votes(view, StopReason.EXHAUSTED)] if over(view) else []
            case CallTimeReached():
                return force_unanswered(view)
            case BranchLimitLowered(limit):
                return shed_branches(view, limit)
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return decide_by_votes(view, StopReason.DEADLINE)


def main() -> None:
    answers = [("41", 1.0), ("42", 2.0), ("42", 3.0), ("41", 9.0)]
    script = [BranchScript.answering(answer, seconds=s) for answer, s in answers]
    race = {"strategy": "examples.own_strategy:Agreement", "parameters": {"agree": 2}}
    result = run_race(script, settings={"race": race}, deadline=10.0)
    print(f"{result.answer} after {result.elapsed:.1f} s: {result.stop_reason}")


if __name__ == "__main__":
    main()
