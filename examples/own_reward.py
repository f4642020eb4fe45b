"""A reward model of your own: an async function that scores what a branch wrote.

``[rewards] kind = "own"`` with ``name = "examples.own_reward:holds"`` in the config uses it, for
the strategies that ask for scores, such as ``best_of_n``.
"""

import re

from frontrunner.testing import BranchScript, run_race

CLOSING = "20 + 22 = {answer}, \\boxed{{{answer}}}"


async def holds(question: str, text: str) -> float:
    """The share of the sums in a text that are right; higher is better."""
    sums = re.findall(r"(\d+) \+ (\d+) = (\d+)", text)
    return sum(int(a) + int(b) == int(c) for a, b, c in sums) / max(1, len(sums))


def main() -> None:
    script = [
        BranchScript.answering(answer, seconds=seconds, closing=CLOSING)
        for answer, seconds in [("41", 1.0), ("41", 2.0), ("42", 3.0)]
    ]
    settings = {
        "race": {"strategy": "best_of_n"},
        "rewards": {"kind": "own", "name": "examples.own_reward:holds"},
    }
    result = run_race(script, settings=settings, deadline=10.0)
    print(f"{result.answer} after {result.elapsed:.1f} s")


if __name__ == "__main__":
    main()
