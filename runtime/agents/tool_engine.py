"""Branches that call tools on their way.

To its race a ``ToolEngine`` is an engine like others, made for this race alone. A branch's request
becomes several of the engine beneath: it generates until it ends with a call, the tool runs, and it
goes on from its exact tokens with the result as the model's chat template tells it, so that the
prefix cache holds all that came before. The tokens of results are tokens of the branch.

In the text of a branch a mark ends each result, so that only what it says after the last one is
read for its answer.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

import anyio

from ..answers.combined import ToolCall, read_calls
from ..answers.extraction.tool_calls import Offered, announces_call, last_tool_call, offered
from ..engines.protocol import (
    Chunk,
    Engine,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    SupportsToolTurns,
    ToolTurn,
)
from ..errors import BadRequest, EngineError
from ..events.types import Event, ToolCalled, ToolReturned
from ..thinking import without_thinking
from .race_calls import RaceCalls
from .tools import Tool, ToolError, ToolFailed

#: What ends a result in the text of a branch: ASCII's group separator.
MARK: Final = "\x1d"


def last_turn(text: str) -> str:
    """What a branch has said after the last result."""
    return text.rpartition(MARK)[2]


@dataclass(slots=True, eq=False)
class RaceTools:
    """The tools of one race."""

    tools: Mapping[str, Tool]
    """By name, those that branches run on their way."""
    offered: Sequence[Mapping[str, Any]]
    """All that the model is shown."""
    calls: RaceCalls
    began: float
    """Of the race (anyio clock, seconds)."""
    max_turns: int
    """Times that one branch may call tools."""
    template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Variables of the chat template."""
    several: bool = True
    """Whether a turn may make several calls; else its first one counts."""
    tell: Callable[[Event], None] = field(default=lambda _: None)


@dataclass(slots=True, eq=False)
class _Branch:
    """A branch's request."""

    request: Generation
    inner_id: str
    ids: list[int]
    generated: int = 0
    turns: int = 0
    broken: int = 0  # calls that could not be read
    measured: int = 0  # tokens behind ``confidence``
    confidence: float = 0.0  # the mean of its own tokens'
    aborted: bool = False
    waiting: anyio.CancelScope | None = None  # around the tools that it waits for

    def next_request(self) -> Generation:
        if self.turns + self.broken:
            self.inner_id = f"{self.request.request_id}-t{self.turns + self.broken}"
        left = max(1, self.request.max_tokens - self.generated)
        return replace(
            self.request, request_id=self.inner_id, prompt=tuple(self.ids), max_tokens=left
        )

    def take(self, chunk: Chunk) -> None:
        self.ids.extend(chunk.token_ids)
        self.generated += len(chunk.token_ids)
        for confidence in filter(isfinite, chunk.confidences):
            self.measured += 1
            self.confidence += (confidence - self.confidence) / self.measured


class ToolEngine:
    """Runs the branches of one race, and the tools that they call."""

    def __init__(self, engine: Engine, race: RaceTools) -> None:
        """
        Args:
            engine: one that supports tool turns.
        """
        self._engine = engine
        self.race = race
        self._known: Offered = offered(race.offered)
        self._branches: dict[str, _Branch] = {}
        self._called = 0

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def failure(self) -> EngineError | None:
        return self._engine.failure

    async def start(self) -> None:
        """The engine beneath belongs to the runtime."""

    async def aclose(self) -> None:
        """The engine beneath belongs to the runtime."""

    def encode(self, text: str) -> tuple[int, ...]:
        return self._engine.encode(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self._engine.encode_chat(messages, tools, arguments)

    def load(self) -> EngineLoad:
        return self._engine.load()

    async def abort(self, request_ids: Sequence[str]) -> None:
        inner: list[str] = []
        for request_id in request_ids:
            branch = self._branches.get(request_id)
            if branch is not None:
                branch.aborted = True
                if branch.waiting is not None:
                    branch.waiting.cancel()
            inner.append(request_id if branch is None else branch.inner_id)
        await self._engine.abort(inner)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        """
        Raises:
            EngineError: the request is lost, a tool has failed, or calls go on and on.
        """
        branch = _Branch(request, request.request_id, list(request.prompt))
        self._branches[request.request_id] = branch
        try:
            while True:
                text, last = "", None
                async with aclosing(self._engine.generate(branch.next_request())) as chunks:
                    async for chunk in chunks:
                        branch.take(chunk)
                        text += chunk.text
                        if chunk.finish is None:
                            yield chunk
                        else:
                            last = chunk
                if last is None:
                    return
                wanted = None if request.forced else self._wanted(branch, text, last.finish)
                if wanted is None:
                    yield last
                    return
                if last.token_ids or last.text:
                    yield replace(last, finish=None)
                turn = await self._act(branch, wanted)
                if turn is not None:
                    branch.take(turn)
                    yield turn
                full = branch.generated >= request.max_tokens
                if branch.aborted or turn is None or full:
                    cut = FinishReason.LENGTH if full and not branch.aborted else FinishReason.ABORT
                    yield Chunk("", (), cut)
                    return
        finally:
            self._branches.pop(request.request_id, None)

    # ── what a branch wants ───────────────────────────────────────────────────────────────────

    def _wanted(
        self, branch: _Branch, text: str, finish: FinishReason | None
    ) -> "list[ToolCall] | str | None":
        """The calls that a turn ended with, and that are to be run now; what is wrong with them;
        or None: the branch has ended.

        Raises:
            EngineError: it has called too often, or in vain.
        """
        if finish is not FinishReason.STOP:
            return None
        said = without_thinking(text)
        calls = read_calls(last_tool_call(said, self._known))
        if not calls:
            problem = self._problem(said)
            if problem is not None:
                if branch.broken:
                    raise EngineError(f"it made a call that cannot be run twice: {problem}")
                branch.broken += 1
            return problem
        if not self.race.several:
            calls = calls[:1]
        if any(call.name not in self.race.tools for call in calls):
            return None  # an answer: the race decides on it
        if branch.turns >= self.race.max_turns:
            raise EngineError(
                f"it called tools more than {self.race.max_turns} times (race.max_tool_turns)"
            )
        branch.turns += 1
        return calls

    def _problem(self, said: str) -> str | None:
        """What is wrong with a call that a text ends with; None: there is none."""
        calls = read_calls(last_tool_call(said))
        names = ", ".join(self._known.schemas)
        marked = announces_call(said, self._known)
        for call in calls:
            if call.name in self._known.schemas:
                continue
            # Without a mark it may be data that has a name.
            return f"there is no tool {call.name[:100]!r}; there are {names}" if marked else None
        if calls:
            return f"the arguments do not satisfy the schema of {calls[0].name}"
        return "the call could not be read: its arguments must be a JSON object" if marked else None

    # ── tools ─────────────────────────────────────────────────────────────────────────────────

    async def _act(self, branch: _Branch, wanted: "list[ToolCall] | str") -> Chunk | None:
        """The results of calls as a piece of the branch; None: it was aborted meanwhile.

        Raises:
            EngineError: a tool failed.
        """
        if isinstance(wanted, str):
            name = next(iter(self._known.schemas))
            return self._turn(branch, [ToolCall(name, "{}")], [f"Error: {wanted}"])
        results: list[str] = [""] * len(wanted)
        failures: list[ToolFailed | EngineError] = []

        async def call(place: int, tool: Tool, arguments: str) -> None:
            try:
                results[place] = await self._told(branch, tool, arguments)
            except (ToolFailed, EngineError) as error:
                failures.append(error)
                together.cancel_scope.cancel()

        if branch.aborted:
            return None
        with anyio.CancelScope() as branch.waiting:
            async with anyio.create_task_group() as together:
                for place, one in enumerate(wanted):
                    together.start_soon(call, place, self.race.tools[one.name], one.arguments)
        branch.waiting = None
        if branch.aborted:
            return None
        if failures:
            raise EngineError(str(failures[0]))
        return self._turn(branch, wanted, results)

    async def _told(self, branch: _Branch, tool: Tool, arguments: str) -> str:
        """What the branch is told of a call, and everybody of how it went."""
        race, index = self.race, branch.request.branch
        self._called += 1
        number, began = self._called, anyio.current_time()
        shared = race.calls.shared(tool, arguments)
        race.tell(ToolCalled(began - race.began, index, number, tool.name, arguments, shared))
        status, told = "cancelled", None
        try:
            said = told = await race.calls.result(tool, arguments)
            status = "returned"
        except ToolError as error:
            said = told = f"Error: {error}"
            status = "refused"
        except ToolFailed as error:
            status, told = "failed", str(error)
            raise
        finally:
            now = anyio.current_time()
            race.tell(
                ToolReturned(now - race.began, index, number, tool.name, status, told, now - began)
            )
        return said

    def _turn(self, branch: _Branch, calls: Sequence[ToolCall], results: Sequence[str]) -> Chunk:
        """Results as a piece of a branch.

        Raises:
            EngineError: the chat template does not show them.
        """
        told = [(call.name, json.loads(call.arguments)) for call in calls]
        last = branch.ids[-1] if branch.ids else None
        assert isinstance(self._engine, SupportsToolTurns)
        try:
            ids = self._engine.tool_turn(
                ToolTurn(told, results, last, self.race.offered, self.race.template)
            )
        except BadRequest as error:
            raise EngineError(str(error)) from error
        shown = "\n".join(
            f"[{call.name}] {result.replace(MARK, ' ')}"
            for call, result in zip(calls, results, strict=True)
        )
        # What a tool wrote says nothing of how sure the model was.
        confidences = (branch.confidence,) * len(ids) if branch.request.sampling.measured else ()
        return Chunk(f"\n{shown}\n{MARK}", ids, confidences=confidences)
