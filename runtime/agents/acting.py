"""Calls that races decide for: each runs once, whatever becomes of whoever asked.

::

    race ──► a call? ──► run it, once ──► the conversation with its result ──► race ──► …

A call begins where its race is decided, synchronously, so that there is no moment in between in
which a caller who leaves, or a process that is told to end, could lose it or make it happen twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import anyio
import orjson
import structlog

from frontrunner.strategies.protocol import StopReason

from ..answers.combined import ToolCall, read_calls
from ..engines.protocol import Message
from ..errors import BadRequest, EngineClosed, FrontrunnerError
from ..events.event_stream import EventSink
from ..events.types import Event, RaceDecided
from ..prompts.messages import ChatMessage, plain_messages
from ..racing.background import Background
from ..racing.race_options import Question, RaceOptions, RawPrompt
from ..result import Result
from .tools import Tool, ToolError, ToolFailed

_log = structlog.get_logger("frontrunner.agents")

#: Races of one ``act`` at most.
_MAX_RACES: Final = 32
#: Why a race was called that decided nothing.
_UNDECIDED: Final = (StopReason.CANCELLED, StopReason.FAILED)


@dataclass(frozen=True, slots=True)
class Act:
    """A call that a race was decided for."""

    name: str
    arguments: str
    """Canonical JSON, an object."""
    result: str | None
    """What the tool returned, as the model was told; None: it failed, or runs on past the
    deadline."""
    error: str | None = None
    """Why it failed, or was not run."""
    seconds: float | None = None
    """None: it has not ended."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of ``Runtime.act``."""

    result: Result
    """Of the last race: its answer is a call where no other could follow, since time was short or
    the engine was lost."""
    acts: tuple[Act, ...]
    """The calls that were run, in their order."""
    messages: Sequence[Message]
    """The conversation, with these calls and what they returned."""


class Acts:
    """Runs calls of a runtime; they outlive their callers."""

    def __init__(self) -> None:
        self._tasks = Background()
        self._running: set[_Running] = set()

    async def start(self) -> None:
        self._tasks = Background()
        await self._tasks.start()

    async def aclose(self) -> None:
        """Wait for what runs, each call as long as it may take."""
        limits = (running.limit for running in self._running)
        await self._tasks.aclose(max(limits, default=0.0) + 1.0)

    def begin(self, calls: Sequence[tuple[Tool, ToolCall]]) -> "_Running":
        """Run calls one after the other; never raises."""
        running = _Running(calls)
        self._running.add(running)
        try:
            self._tasks.start_soon(self._run, running)
        except EngineClosed as error:
            running.refuse(str(error))
            self._running.discard(running)
        return running

    async def _run(self, running: "_Running") -> None:
        # Shielded: whoever is cancelled meanwhile, and be it all of the runtime, it has begun.
        with anyio.CancelScope(shield=True):
            try:
                for tool, call in running.calls:
                    running.acts.append(await _act(tool, call))
            finally:
                self._running.discard(running)
                running.done.set()


class _Running:
    """Calls that were begun."""

    def __init__(self, calls: Sequence[tuple[Tool, ToolCall]]) -> None:
        self.calls = calls
        self.acts: list[Act] = []
        self.done = anyio.Event()
        # A call may also wait for others of its tool to make room.
        self.limit = sum(2 * tool.timeout for tool, _ in calls)

    def refuse(self, why: str) -> None:
        self.acts += [Act(c.name, c.arguments, None, f"not run: {why}") for _, c in self.calls]
        self.done.set()

    def so_far(self) -> list[Act]:
        """What is known of all of them; some may run still."""
        left = [Act(c.name, c.arguments, None) for _, c in self.calls[len(self.acts) :]]
        return [*self.acts, *left]


async def _act(tool: Tool, call: ToolCall) -> Act:
    began, result, failure = anyio.current_time(), None, None
    try:
        with anyio.move_on_after(2 * tool.timeout) as limit:
            result = await tool.run(call.arguments)
        if limit.cancelled_caught:
            failure = "no room for it, others of its tool run"
    except (ToolError, ToolFailed) as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        failure = f"{type(error).__name__}: {error}"
    seconds = anyio.current_time() - began
    _log.info("frontrunner.acted", tool=tool.name, seconds=round(seconds, 3), error=failure)
    return Act(call.name, call.arguments, result, failure, seconds)


class _AtDecision:
    """Calls a function in the moment in which a race is decided; an ``EventSink``."""

    def __init__(self, decided: Callable[[RaceDecided], None]) -> None:
        self._decided = decided

    def push(self, event: Event) -> None:
        if isinstance(event, RaceDecided):
            self._decided(event)

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """Nothing is made of it."""


class Racing(Protocol):
    """``Runtime``'s way to run a race."""

    async def __call__(
        self,
        question: Question,
        options: RaceOptions,
        on_event: EventSink | None = None,
        /,
    ) -> Result: ...


class Acting:
    """Races and acts in turn, for one question."""

    def __init__(
        self, race: Racing, acts: Acts, question: str | Sequence[ChatMessage], min_votes: int
    ) -> None:
        """
        Raises:
            BadRequest: a raw prompt has no turns, or ``min_votes`` is out of range.
        """
        if isinstance(question, RawPrompt):
            raise BadRequest("act needs a conversation: a raw prompt has no turns to go on with")
        if min_votes < 1:
            raise BadRequest("min_votes must be at least 1", "min_votes")
        self._race, self._acts, self._min_votes = race, acts, min_votes
        self._messages: list[Message] = [*plain_messages(question)]
        self._done: list[Act] = []

    async def run(self, options: RaceOptions, usual_deadline: float) -> Acted:
        given = options.get("deadline")
        end = anyio.current_time() + (usual_deadline if given is None else given)
        tools = {t.name: t for t in options.get("tools") or () if isinstance(t, Tool)}
        name, result = options.get("race_id"), None
        for turn in range(_MAX_RACES):
            asked: RaceOptions = {**options}
            if turn:
                asked["deadline"] = end - anyio.current_time()
                asked["race_id"] = None if name is None else f"{name}-{turn}"
            begun: list[_Running] = []

            def decided(event: RaceDecided, begun: list[_Running] = begun) -> None:
                if calls := self._decided(event, tools):
                    begun.append(self._acts.begin(calls))

            try:
                result = await self._race(self._messages, asked, _AtDecision(decided))
            except FrontrunnerError as error:
                # There is no time for another race, or no engine. What was done is told all the
                # same: whoever heard of the error alone would have it done once more.
                if result is None:
                    raise
                _log.warning("frontrunner.act_cut_short", race=result.race_id, error=str(error))
                break
            if not begun:
                break
            with anyio.move_on_at(end):
                await begun[0].done.wait()
            self._note(begun[0])
            if not begun[0].done.is_set():
                break
        assert result is not None
        return Acted(result, tuple(self._done), self._messages)

    def _decided(
        self, event: RaceDecided, tools: Mapping[str, Tool]
    ) -> list[tuple[Tool, ToolCall]]:
        """The calls that are to be run; none: the answer is another, or not decided for."""
        result = event.result
        calls = read_calls(result.answer)
        if result.stop_reason in _UNDECIDED or any(call.name not in tools for call in calls):
            return []
        if result.votes.get(result.answer or "", 0) < self._min_votes:
            return []
        return [(tools[call.name], call) for call in calls]

    def _note(self, running: _Running) -> None:
        """Tell the conversation what was done."""
        acts, first = running.so_far(), len(self._done)
        self._done += acts
        ids = [f"call{place:05}" for place in range(first, first + len(acts))]
        called = [
            {
                "id": id_,
                "type": "function",
                "function": {"name": act.name, "arguments": orjson.loads(act.arguments)},
            }
            for id_, act in zip(ids, acts, strict=True)
        ]
        turns: list[Any] = [{"role": "assistant", "content": "", "tool_calls": called}]
        for id_, act in zip(ids, acts, strict=True):
            said = act.result if act.result is not None else f"Error: {act.error or 'no result'}"
            turns.append({"role": "tool", "content": said, "name": act.name, "tool_call_id": id_})
        self._messages += cast(list[Message], turns)
