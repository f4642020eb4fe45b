"""A weight of your own: the votes of branches that wrote less weigh more.

``frontrunner solve --param weight=examples.own_weight:Concise --param power=2 "…"`` uses it, and so
does ``frontrunner replay --strategy majority:weight=examples.own_weight:Concise,power=2 …``.
"""

from dataclasses import dataclass

from frontrunner.strategies import BranchView
from frontrunner.testing import BranchScript, Piece, run_race


@dataclass(frozen=True)
class Concise:
    """A vote weighs the tokens of its branch to the power of ``-power``.

    Args:
        power: 0 weighs all votes alike; at 1 a branch half as long weighs twice as much.
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        if self.power < 0:
            raise ValueError("power must be at least 0")

    def weight(self, branch: BranchView) -> float:
        return max(1, branch.tokens) ** -self.power


def main() -> None:
    script = [
        BranchScript((Piece(1.0, "Six sevens, at length, are \\boxed{41}", 90),)),
        BranchScript((Piece(2.0, "Once more, six sevens are \\boxed{41}", 80),)),
        BranchScript((Piece(3.0, "\\boxed{42}", 4),)),
    ]
    parameters = {"weight": "examples.own_weight:Concise", "stop": "none"}
    result = run_race(script, settings={"race": {"parameters": parameters}}, branches=3)
    print(f"{result.answer} after {result.elapsed:.1f} s, with {result.votes}")


if __name__ == "__main__":
    main()
