"""At temperature 0 speculation changes no token.

In float32, where the order of summation, which changes with the size of the batch, should not be
able to make two tokens of nearly the same probability change places.
"""

from contextlib import aclosing

import anyio
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.protocol import Generation, Sampling

PROBLEMS = 18
#: Branches that end here and there, so that rows of the batch move and are taken again.
LIMITS = (400, 37, 400, 90, 400, 400)


def settings_with(demo_settings: Settings, **speculation: object) -> Settings:
    data = demo_settings.model_dump(exclude_unset=True)
    data["engine"] |= {"dtype": "float32", "max_branches": 12, "speculation": speculation}
    data["race"] = {"branches": 12}
    return Settings.from_dict(data)


async def texts(settings: Settings) -> tuple[list[tuple[int, ...]], float | None]:
    engine = make_engine(settings.engine)
    await engine.start()
    found: list[tuple[int, ...]] = [()] * PROBLEMS
    try:

        async def run(index: int, question: str) -> None:
            prompt = engine.encode_chat([{"role": "user", "content": question}])
            limit = LIMITS[index % len(LIMITS)]
            request = Generation(f"greedy-{index}", prompt, limit, Sampling(temperature=0.0))
            async with aclosing(engine.generate(request)) as chunks:
                async for chunk in chunks:
                    found[index] += chunk.token_ids

        async with anyio.create_task_group() as tasks:
            for index, problem in enumerate(hard_problems("select", PROBLEMS)):
                tasks.start_soon(run, index, problem.question)
        return found, engine.load().acceptance_length
    finally:
        await engine.aclose()


@pytest.fixture(scope="module")
async def without(demo_settings: Settings) -> list[tuple[int, ...]]:
    found, _ = await texts(settings_with(demo_settings, method="none"))
    return found


@pytest.mark.parametrize(
    "speculation",
    [
        # Whatever it costs, and where it pays: drafts of a fixed rule, and of measured costs.
        {
            "method": "cross_branch",
            "tokens_per_batch_size": [[1, 8, 5], [9, 64, 1]],
            "token_cost": 0.0,
        },
        {"method": "cross_branch", "tokens": 8},
    ],
    ids=["fixed", "measured"],
)
async def test_greedy_text_is_the_same_with_speculation(
    demo_settings: Settings, without: list[tuple[int, ...]], speculation: dict[str, object]
) -> None:
    found, acceptance = await texts(settings_with(demo_settings, **speculation))
    if "token_cost" in speculation:
        assert acceptance is not None
        assert acceptance > 1.05
    assert found == without
