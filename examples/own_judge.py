"""A judge of your own for free text: it compares replies with each other, and no model is asked.

``[rewards] kind = "own"`` with ``name = "examples.own_judge:MostAlike"`` in the config uses it for
races of ``[answers] kind = "text"``; ``kind = "judge"`` has the model itself pick among replies.
"""

import re
from collections.abc import Sequence

from frontrunner.engines import EngineLoad
from frontrunner.rewards import Scoring
from frontrunner.testing import BranchScript, Piece, run_race


class MostAlike:
    """Each reply names the other one that it has most words in common with.

    Args:
        agreement: the share of the replies that must name the same one to end a race.
        min_replies: replies that must be there for that.
    """

    def __init__(self, agreement: float = 0.6, min_replies: int = 3) -> None:
        self.agreement = agreement
        self.min_replies = min_replies

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def predict(self, prompt_tokens: int, reply_tokens: Sequence[int], load: EngineLoad) -> float:
        """Seconds for one comparison; the race keeps them before its deadline."""
        return 0.001

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        """The share of the replies that name each."""
        if len(items) < 2:
            return [None] * len(items)
        words = [set(re.findall(r"\w+", item.text.lower())) for item in items]
        named = [0] * len(items)
        for i, mine in enumerate(words):
            others = [j for j in range(len(items)) if j != i]
            likeness = {j: len(mine & words[j]) / max(1, len(mine | words[j])) for j in others}
            named[max(others, key=lambda j: likeness[j])] += 1
        return [count / len(items) for count in named]


def main() -> None:
    replies = [
        "The sea is made of cheese.",
        "It is the salt: rivers carry it into the sea.",
        "Rivers wash salt out of rocks and carry it into the sea.",
        "Salt: rivers carry it out of the rocks into the sea.",
    ]
    script = [BranchScript((Piece(1.0 + i, text),)) for i, text in enumerate(replies)]
    settings = {
        "answers": {"kind": "text"},
        "rewards": {"kind": "own", "name": "examples.own_judge:MostAlike"},
    }
    question = "Why is the sea salty?"
    result = run_race(script, question=question, settings=settings, deadline=10.0)
    print(f"{result.text} after {result.elapsed:.1f} s, named by {result.confidence:.0%}")


if __name__ == "__main__":
    main()
