"""A stop rule of your own: a majority vote that is called once its first votes agree.

``frontrunner solve --param stop=examples.own_stop_rule:Unanimous --param votes=4 "…"`` uses it, and
so does ``frontrunner replay --strategy majority:stop=examples.own_stop_rule:Unanimous,votes=4 …``.
"""

from dataclasses import dataclass

from frontrunner.strategies import Poll
from frontrunner.testing import BranchScript, run_race


@dataclass(frozen=True)
class Unanimous:
    """Stops once so many votes are in and all are the same.

    Args:
        votes: that many, at least 2.
    """

    votes: int = 3

    def __post_init__(self) -> None:
        if self.votes < 2:
            raise ValueError("votes must be at least 2")

    def settled(self, poll: Poll) -> bool:
        return poll.count >= self.votes and len(poll.weights) == 1


def main() -> None:
    script = [BranchScript.answering("42", seconds=s) for s in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)]
    parameters = {"stop": "examples.own_stop_rule:Unanimous", "votes": 3}
    result = run_race(script, settings={"race": {"parameters": parameters}}, deadline=10.0)
    print(f"{result.answer} after {result.elapsed:.1f} s: {result.stop_reason}")


if __name__ == "__main__":
    main()
