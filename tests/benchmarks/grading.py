"""How recorded responses are graded, against the grades that their own files give them.

    .venv/bin/python tests/benchmarks/grading.py FILE… [--kind last_number]

Reads three public forms of recorded responses: JSONL with ``gold``, ``responses`` and ``correct``;
JSONL with ``gold`` and ``trajectories`` (``text``, and ``answer``, the number that was found);
JSON with ``records`` of ``gold`` and ``traces`` (``text``, ``correct``). Each response's answer is
found by a kind of ``[answers]`` and compared with the gold answer; every disagreement with the
file's own grade is listed. After that come the classes of all answers of each file: whether
sameness is symmetric and transitive, and whether the answers of each question fall into the same
classes in whatever order they come.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import anyio

from frontrunner.runtime.answers import AnswerClusters, Equivalence, WorkerPool, make_extractor
from frontrunner.runtime.answers.registry import Finder
from frontrunner.runtime.config import AnswerSettings

ORDERS = 20


@dataclass(frozen=True, slots=True)
class Response:
    question: int
    gold: str
    text: str
    correct: bool | None  # as the file says


def responses_of(path: Path) -> Iterator[Response]:
    if path.suffix == ".json":
        for number, record in enumerate(json.loads(path.read_text())["records"]):
            for trace in record["traces"]:
                yield Response(number, record["gold"], trace["text"], trace.get("correct"))
        return
    for number, line in enumerate(path.read_text().splitlines()):
        record: dict[str, Any] = json.loads(line)
        if "responses" in record:
            grades = record.get("correct") or [None] * len(record["responses"])
            for text, correct in zip(record["responses"], grades, strict=True):
                yield Response(number, record["gold"], text, correct)
        else:
            for trace in record["trajectories"]:
                correct = trace.get("correct")
                if correct is None and trace.get("answer"):  # the number that the file found
                    correct = trace["answer"].replace(",", "") == record["gold"].replace(",", "")
                yield Response(number, record["gold"], trace["text"], correct)


async def grade(responses: Sequence[Response], find: Finder, by: Equivalence) -> None:
    found = graded = disagreements = 0
    for response in responses:
        answer = find(response.text)
        found += answer is not None
        right = answer is not None and await by.same(answer, response.gold)
        if response.correct is None:
            continue
        graded += 1
        if right != response.correct:
            disagreements += 1
            end = "" if answer is not None else f", text ends {response.text[-60:]!r}"
            print(
                f"  question {response.question}: {answer!r} for {response.gold!r} is "
                f"{'right' if right else 'wrong'} here, {'right' if response.correct else 'wrong'} "
                f"in the file{end}"
            )
    print(
        f"{len(responses)} responses, {found} with an answer, {graded} graded by the "
        f"file, {disagreements} graded otherwise here"
    )


async def check_relation(answers: Sequence[str], by: Equivalence) -> None:
    """Count what a relation must not have, among all pairs and triples of ``answers``."""
    same = {(a, b): await by.same(a, b) for a in answers for b in answers}
    asymmetric = sum(same[a, b] != same[b, a] for a, b in combinations(answers, 2))
    intransitive = 0
    for a in answers:
        for b in answers:
            if same[a, b]:
                intransitive += sum(same[a, c] != same[b, c] for c in answers)
    print(
        f"  {len(answers)} answers: {asymmetric} pairs asymmetric, "
        f"{intransitive} triples not transitive"
    )


async def check_orders(races: Sequence[Sequence[str]], by: Equivalence) -> None:
    shuffle = random.Random(0)
    changed = 0
    for answers in races:
        seen: set[frozenset[frozenset[int]]] = set()
        for _ in range(ORDERS):
            order = list(range(len(answers)))
            shuffle.shuffle(order)
            clusters, members = AnswerClusters(by), dict[str, set[int]]()
            for i in order:
                members.setdefault(await clusters.assign(answers[i]), set()).add(i)
            seen.add(frozenset(map(frozenset, members.values())))
        changed += len(seen) > 1
    print(
        f"  {len(races)} races, each in {ORDERS} orders: {changed} with classes that depend on it"
    )


async def run(paths: Sequence[Path], kind: str) -> None:
    find = make_extractor(AnswerSettings(kind=kind)).find
    async with WorkerPool() as pool:
        await pool.warm_up()
        by = Equivalence(pool)
        for path in paths:
            print(path.name)
            responses = list(responses_of(path))
            await grade(responses, find, by)
            races: dict[int, list[str]] = {}
            for response in responses:
                answer = find(response.text)
                if answer is not None:
                    races.setdefault(response.question, [response.gold]).append(answer)
            everything = list(dict.fromkeys(a for answers in races.values() for a in answers))
            await check_relation(everything, by)
            await check_orders(list(races.values()), by)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--kind", default="boxed", help="of answers (default: %(default)s)")
    args = parser.parse_args()
    anyio.run(partial(run, args.files, args.kind))


if __name__ == "__main__":
    main()
