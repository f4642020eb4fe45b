"""At which temperature forced answers are best drawn, by how far the branches were cut.

Whole branches are written first. Then each is cut after the same number of tokens, a share of the
length that the problem's branches have in the middle, and those that had not ended by then are made
to answer at each temperature. What is told: how often one forced answer is right (``alone``), how
often the answer that most of the forced ones agree on is right (``most``), and how often that is
what the whole branches agree on (``as_all``), beside the confidence that a race would tell.

A config says the model; without one it is the demo's, on its select split. For another model name a
file of questions with answers, an object a line: {"question": "…", "answer": "…"}.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import anyio
import orjson
from common import parser, progress, report, settings_of, share

from frontrunner.runtime.answers import AnswerClusters, Equivalence
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.protocol import FinishReason, Generation, Sampling
from frontrunner.runtime.racing.spec import RaceSpec
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.stopping import preference

ARGUMENTS = parser(__doc__)
ARGUMENTS.add_argument("--file", help="questions with answers; else the demo's own")
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="select")
ARGUMENTS.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 0.75])
ARGUMENTS.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 0.3, 0.6, 1.0])


@dataclass(frozen=True, slots=True)
class Written:
    """A whole branch."""

    ids: tuple[int, ...]
    answer: str | None  # its own; None: it has none, or was cut at its token limit


@dataclass(frozen=True, slots=True)
class Forced:
    """The forced answers of one problem at one temperature."""

    right: float  # share of them
    answered: float  # share
    most_right: bool
    as_all: bool
    confidence: float


def questions_of(args: argparse.Namespace) -> list[tuple[str, str]]:
    if args.file:
        with open(args.file, "rb") as lines:
            asked = [orjson.loads(line) for line in lines]
        return [(str(a["question"]), str(a["answer"])) for a in asked[: args.count]]
    problems = hard_problems(args.split, args.count, seed=args.seed)
    return [(p.question, str(p.answer)) for p in problems]


class Asking:
    """Asks the engine about one question."""

    def __init__(self, runtime: Runtime, spec: RaceSpec, number: int) -> None:
        self._engine = runtime.engine
        self._spec = spec
        self._number = number
        self._clusters = AnswerClusters(Equivalence(None))
        self._requests = 0

    def spelled(self, answer: str | None) -> str | None:
        return None if answer is None else self._clusters.assign_now(answer)

    async def whole(self, branches: int) -> list[Written]:
        spec = self._spec
        made = [
            self._request(spec.prompt, spec.max_tokens, spec.sampling, branch)
            for branch in range(branches)
        ]
        written: list[Written] = []
        for text, ids, finish in await self._all(made):
            said = spec.answers.find(text) if finish is FinishReason.STOP else None
            written.append(Written(ids, self.spelled(said)))
        return written

    async def forced(self, cut: Sequence[tuple[int, ...]], temperature: float) -> list[str | None]:
        spec, forcing = self._spec, self._spec.forcing
        sampling = Sampling(temperature=temperature, stop=forcing.stop)
        made = [
            self._request((*spec.prompt, *ids, *forcing.suffix_ids), forcing.max_tokens, sampling)
            for ids in cut
        ]
        answers = spec.forced_answers or spec.answers
        opening = answers.opening(forcing.suffix)
        found = [answers.find(opening + text) for text, _, _ in await self._all(made)]
        return [self.spelled(answer) for answer in found]

    def _request(
        self, prompt: tuple[int, ...], tokens: int, sampling: Sampling, branch: int = 0
    ) -> Generation:
        self._requests += 1
        name = f"{self._number}-{self._requests}"
        return Generation(name, prompt, tokens, sampling, seed=self._requests, branch=branch)

    async def _all(
        self, requests: Sequence[Generation]
    ) -> list[tuple[str, tuple[int, ...], FinishReason | None]]:
        done: list[tuple[str, tuple[int, ...], FinishReason | None]] = [("", (), None)] * len(
            requests
        )

        async def one(place: int, request: Generation) -> None:
            text, ids, finish = "", (), None
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    text, ids, finish = text + chunk.text, (*ids, *chunk.token_ids), chunk.finish
            done[place] = text, ids, finish

        async with anyio.create_task_group() as tasks:
            for place, request in enumerate(requests):
                tasks.start_soon(one, place, request)
        return done


def judged(answers: Sequence[str | None], gold: str | None, all_agree: str | None) -> Forced:
    votes = Counter(answer for answer in answers if answer is not None)
    ranked = [*votes.most_common(2), (None, 0), (None, 0)]
    leader = ranked[0][0]
    return Forced(
        fmean(answer == gold for answer in answers),
        fmean(answer is not None for answer in answers),
        leader is not None and leader == gold,
        leader is not None and leader == all_agree,
        preference(ranked[0][1], ranked[1][1]) if leader is not None else 0.0,
    )


def told(rows: Sequence[Forced]) -> dict[str, Any]:
    return {
        "alone": round(100 * fmean(r.right for r in rows), 1),
        "answered": round(100 * fmean(r.answered for r in rows), 1),
        "most": share([r.most_right for r in rows]),
        "as_all": share([r.as_all for r in rows]),
        "confidence": round(100 * fmean(r.confidence for r in rows), 1),
    }


async def run() -> None:
    args = ARGUMENTS.parse_args()
    rows: dict[float, dict[float, list[Forced]]] = {}
    single: list[float] = []
    whole_right: list[bool] = []
    questions = questions_of(args)
    async with Runtime.from_config(settings_of(args)) as runtime:
        for number, (question, gold) in enumerate(questions):
            checked = await runtime._races.maker.check(  # pyright: ignore[reportPrivateUsage]
                question, {"branches": args.branches}, anyio.current_time()
            )
            asking = Asking(runtime, replace(checked.spec, seed=args.seed), number)
            right = asking.spelled(gold)
            written = await asking.whole(args.branches)
            single.append(fmean(w.answer == right for w in written))
            votes = Counter(w.answer for w in written if w.answer is not None)
            agreed = votes.most_common(1)[0][0] if votes else None
            whole_right.append(agreed == right)
            middle = median(len(w.ids) for w in written)
            for at in args.shares:
                tokens = max(1, round(at * middle))
                cut = [w.ids[:tokens] for w in written if len(w.ids) > tokens]
                for temperature in args.temperatures if cut else ():
                    answers = await asking.forced(cut, temperature)
                    kept = rows.setdefault(at, {}).setdefault(temperature, [])
                    kept.append(judged(answers, right, agreed))
            progress(number + 1, len(questions))
    report(
        {
            "problems": len(questions),
            "branches": args.branches,
            "one_branch": round(100 * fmean(single), 1),
            "majority": share(whole_right),
            "cut_at": {at: {t: told(r) for t, r in by.items()} for at, by in rows.items()},
        }
    )


if __name__ == "__main__":
    anyio.run(run)
