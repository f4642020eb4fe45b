"""A race in a program of your own: the answer, and the race as it runs.

Run it with ``python -m examples.embed``.
"""

import asyncio

from frontrunner import Runtime

QUESTION = """Mia has 21 cards.
1. She gives away 7 cards.
2. After a good deal, Mia has 6 times as many cards.
How many cards does Mia have now?"""


async def main() -> None:
    async with Runtime.from_config("configs/demo.toml") as runtime:
        result = await runtime.solve(QUESTION, deadline=5.0)  # seconds from now
        print(result.answer, result.confidence, result.stop_reason)

        async with runtime.stream(QUESTION, deadline=5.0) as events:
            async for event in events:
                print(event.type)


if __name__ == "__main__":  # vLLM starts child processes, which import this module
    asyncio.run(main())
