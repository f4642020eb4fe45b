"""A trace reader of your own: recorded branches in a CSV file, with a line for each.

``frontrunner replay branches.csv --reader examples.own_reader:rows`` uses it, and so do ``plan``,
``calibrate`` and ``convert``.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from frontrunner.experiments import RecordedBranch, RecordedQuestion, replay

COLUMNS = ["question", "gold", "answer", "tokens"]


def rows(path: Path, content: bytes) -> Iterator[RecordedQuestion] | None:
    """Lines of ``question,gold,answer,tokens``; None: it is another kind of file."""
    lines = csv.DictReader(content.decode(errors="replace").splitlines())
    if lines.fieldnames != COLUMNS:
        return None
    branches: dict[tuple[str, str], list[RecordedBranch]] = {}
    for line in lines:
        own = branches.setdefault((line["question"], line["gold"]), [])
        own.append(RecordedBranch(int(line["tokens"]), line["answer"] or None))
    return (
        RecordedQuestion(f"{path.name}, {text}", gold, tuple(own), question=text)
        for (text, gold), own in branches.items()
    )


def main() -> None:
    table = "question,gold,answer,tokens\n6 * 7?,42,42,3\n6 * 7?,42,42,3\n6 * 7?,42,48,9\n"
    with TemporaryDirectory() as folder:
        file = Path(folder, "branches.csv")
        file.write_text(table, encoding="utf-8")
        rule = "majority:stop=lead,lead=2"
        reader = "examples.own_reader:rows"
        compared = replay(file, rule, branches=3, draws=1, step_seconds=1.0, reader=reader)
    (row,) = (row for row in compared if row.strategy == rule)
    print(f"{row.accuracy:.0%} right after {row.latency_mean:.1f} s, at a token a second")


if __name__ == "__main__":
    main()
