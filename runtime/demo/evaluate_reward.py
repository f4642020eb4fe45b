"""Measure the demo's reward model through vLLM, on branches that all were waited for.

``python -m frontrunner.runtime.demo.evaluate_reward --split test`` prints one JSON object: best of
n by the reward model beside pass@1, majority, a weighted vote and a perfect choice, with paired
bootstrap intervals of the differences that matter, in points.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict

import anyio
import orjson

from ..config import DEMO_REWARD_MODEL, PoolingRewards, Settings, demo_config_path
from ..rewards.pooling import PoolingReward
from ..rewards.protocol import Scoring
from .problems import Problem, hard_problems
from .sampling import Sample, demo_settings, sample
from .selection import Scored, Selection, select

#: Texts that are given to the reward model at a time.
_AT_ONCE = 256
_RESAMPLES = 2_000


async def score(model: str, problems: Sequence[Problem], drawn: Sequence[Sample]) -> list[float]:
    """Each branch's score; 0 where the reward model gave none."""
    configured = Settings.from_toml(demo_config_path().with_name("demo-reward.toml")).rewards
    assert isinstance(configured, PoolingRewards)
    reward = PoolingReward(configured.model_copy(update={"model": model}))
    scores: list[float] = []
    await reward.start()
    try:
        for start in range(0, len(drawn), _AT_ONCE):
            items = [
                Scoring(
                    [{"role": "user", "content": problems[one.problem].question}],
                    one.text,
                    one.finished,
                )
                for one in drawn[start : start + _AT_ONCE]
            ]
            scores += [found or 0.0 for found in await reward.score(items)]
    finally:
        await reward.aclose()
    return scores


def interval(
    races: Sequence[Sequence[Scored]], gain: Callable[[Selection], float], seed: int
) -> tuple[float, float]:
    """95 % bootstrap interval of a difference over problems, in points."""
    rng = random.Random(seed)
    # Shares are means over problems of equally many branches: one selection a problem is enough.
    each = [100 * gain(select([race])) for race in races]
    means = sorted(sum(rng.choices(each, k=len(each))) / len(each) for _ in range(_RESAMPLES))
    return means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", help="the checkpoint that is sampled (default: the shipped)")
    parser.add_argument("--reward", default=DEMO_REWARD_MODEL, help="the reward model's folder")
    parser.add_argument("--split", choices=["select", "test"], default="select")
    parser.add_argument("--count", type=int, default=100, help="problems, over the hard levels")
    parser.add_argument("--branches", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    problems = hard_problems(args.split, args.count, seed=args.seed)

    async def run() -> tuple[list[Sample], list[float]]:
        settings = demo_settings(args.target)
        drawn = await sample(settings, problems, branches=args.branches, seed=args.seed)
        return drawn, await score(args.reward, problems, drawn)

    drawn, scores = anyio.run(run)
    races: list[list[Scored]] = [[] for _ in problems]
    for one, found in zip(drawn, scores, strict=True):
        right = one.answer == str(problems[one.problem].answer)
        races[one.problem].append(Scored(one.answer, found, right))
    report = {
        "split": args.split,
        **asdict(select(races)),
        "best_of_n_over_pass_at_1": interval(races, lambda s: s.best_of_n - s.pass_at_1, args.seed),
        "best_of_n_over_majority": interval(races, lambda s: s.best_of_n - s.majority, args.seed),
        "weighted_vote_over_majority": interval(
            races, lambda s: s.weighted_vote - s.majority, args.seed
        ),
    }
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
