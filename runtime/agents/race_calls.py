"""The calls that the branches of one race make: equal ones are one execution."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import structlog

from .tools import Tool, ToolError, ToolFailed

_log = structlog.get_logger("frontrunner.agents")

#: Starts a task that belongs to none of the race's branches.
Start = Callable[..., None]


@dataclass(slots=True, eq=False)
class _Execution:
    """A call that runs, or has run."""

    waiting: int = 0  # branches
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    text: str | None = None
    error: ToolError | ToolFailed | None = None


class RaceCalls:
    """Runs tools for the branches of a race."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._executions: dict[tuple[str, str], _Execution] = {}
        self.executed = 0

    def shared(self, tool: Tool, arguments: str) -> bool:
        """Whether such a call runs, or has run."""
        return (tool.name, arguments) in self._executions

    async def result(self, tool: Tool, arguments: str) -> str:
        """What ``tool`` says to ``arguments``, canonical JSON. A call dies with the last branch
        that waits for it, and one that failed is made anew by whoever asks next.

        Raises:
            ToolError: something that the model is to be told.
            ToolFailed: it raised, or took too long.
            EngineClosed: the runtime is being left.
        """
        key = tool.name, arguments
        execution = self._executions.get(key)
        if execution is None:
            execution = _Execution()
            self._start(self._execute, tool, arguments, execution)
            self._executions[key] = execution
            self.executed += 1
        execution.waiting += 1
        try:
            await execution.done.wait()
        finally:
            execution.waiting -= 1
            if not execution.waiting and not execution.done.is_set():
                execution.scope.cancel()
                self._forget(key, execution)
            elif isinstance(execution.error, ToolFailed):
                self._forget(key, execution)
        if execution.error is not None:
            raise execution.error
        assert execution.text is not None
        return execution.text

    def _forget(self, key: tuple[str, str], execution: _Execution) -> None:
        if self._executions.get(key) is execution:
            del self._executions[key]

    async def _execute(self, tool: Tool, arguments: str, execution: _Execution) -> None:
        try:
            with execution.scope:
                execution.text = await tool.run(arguments)
        except (ToolError, ToolFailed) as error:
            execution.error = error
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            _log.exception("frontrunner.tool_failed", tool=tool.name)
            execution.error = ToolFailed(f"the tool {tool.name} failed: {error}")
        finally:
            if execution.text is None and execution.error is None:
                execution.error = ToolFailed(f"the call of {tool.name} was cancelled")
            execution.done.set()
