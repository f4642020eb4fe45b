"""A race in a program of your own: the answer, and the race as it runs.

Run it with ``python -m examples.embed``.
"""

import asyncio

from frontrunner import Runtime


async def main() -> None:
    async with Runtime.from_config("configs/demo.toml") as runtime:
        result = await runtime.solve("What is 6 times 7?", deadline=5.0)  # seconds from now
        print(result.answer, result.confidence, result.stop_reason)

        async with runtime.stream("What is 6 times 8?", deadline=5.0) as events:
            async for event in events:
                print(event.type)


if __name__ == "__main__":  # vLLM starts child processes, which import this module
    asyncio.run(main())
