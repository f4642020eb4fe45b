"""Which rule is best on recordings of your own: ``python -m examples.replay_rows FILE``.

With pandas, ``pandas.DataFrame(replay(…))`` is the table.
"""

import sys

from frontrunner.experiments import Row, replay


def fastest(recordings: str) -> Row:
    """The fastest rule that is no less accurate than waiting for all branches."""
    rows = replay(recordings, ["majority", "first_to_m:m=3", "majority:stop=lead"], branches=[4, 8])
    rules = [row for row in rows if row.strategy != "clairvoyant"]  # which knows what is to come
    enough = max(row.accuracy for row in rules if row.strategy == "majority:stop=none")
    return min((row for row in rules if row.accuracy >= enough), key=lambda row: row.latency_mean)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name a file of recordings with at least 8 branches of each question")
    row = fastest(sys.argv[1])
    print(f"{row.strategy}, {row.branches} branches: {row.speedup:.2f} times faster")
