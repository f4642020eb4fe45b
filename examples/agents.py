"""Agents of your own as branches: five at once, the first whose tests pass wins, the others are
cancelled.

Run it with ``python -m examples.agents``.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator

import anyio

from frontrunner import Runtime
from frontrunner.agents import AgentEngine, AgentTask, Outcome
from frontrunner.events import BranchProgressed

#: What stands here for a model that writes programs: seconds, and what it writes.
ATTEMPTS = (
    (0.1, "def clamp(x, low, high): return max(x, low)"),
    (0.2, "def clamp(x, low, high): return min(max(x, low), high)"),
    (60.0, "def clamp(x, low, high): ..."),
)
TESTS = "assert [clamp(x, 0, 9) for x in (-1, 5, 12)] == [0, 5, 9]"


async def programmer(task: AgentTask) -> AsyncGenerator[str | Outcome, None]:
    seconds, program = ATTEMPTS[task.branch % len(ATTEMPTS)]
    yield f"I have {task.seconds_left:.0f} s for: {task.question}\n"
    await anyio.sleep(seconds)
    yield Outcome(program, cost=seconds)


async def tests_pass(question: str, outcome: Outcome) -> bool:
    command = [sys.executable, "-c", f"{outcome.answer}\n{TESTS}"]
    return (await anyio.run_process(command, check=False)).returncode == 0


async def main() -> None:
    engine = AgentEngine(programmer, verify=tests_pass)
    async with Runtime(engine) as runtime:
        result = await runtime.solve("Write clamp(x, low, high).", branches=5, deadline=30.0)
        print(result.answer, result.stop_reason, engine.outcome(result))

        async with runtime.stream("Write clamp(x, low, high).", deadline=30.0) as events:
            async for event in events:
                if isinstance(event, BranchProgressed):
                    print(event.branch, event.text.strip())


if __name__ == "__main__":
    asyncio.run(main())
