"""Agents of a user's own as branches: each branch of a race is one run of an agent.

To a race an ``AgentEngine`` is an engine like others. What an agent cannot do is said, not faked:
its runs cannot be continued from tokens, so that there are no forced answers, and strategies that
rest on continuations (``beam``, ``budget_forcing``) are refused. A *token* of a run is a step, a
piece of progress that it tells.
"""

import inspect
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import structlog

from ..answers.extraction.outcomes import marked, unmarked
from ..config import Settings
from ..engines.openai.placeholder_ids import (
    Conversation,
    RawText,
    Results,
    read_parts,
    spell,
    spell_conversation,
    spell_raw,
)
from ..engines.protocol import (
    ChatSupport,
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
)
from ..errors import EngineClosed, EngineError
from ..racing.background import Background
from ..result import Result
from ..rewards.protocol import RewardModel
from .outcome_reward import OutcomeReward, Verify
from .task import AgentTask, Outcome, as_outcome

_log = structlog.get_logger("frontrunner.agents")

#: An agent: an async function that returns its outcome, or an async generator function, which
#: yields progress (text) and its outcome (``Outcome``), the last of which counts.
Agent = Callable[[AgentTask], Awaitable[Any] | AsyncIterable[Any]]

#: Runs of an agent in a race for which nobody says how many.
_BRANCHES: Final = 5
#: What stands for the longest conversation that an agent is given, in tokens.
_CONTEXT: Final = 1 << 24
#: Seconds that telling a step takes, for the shortest deadline that makes sense.
_STEP: Final = 0.001


@dataclass(slots=True, eq=False)
class _Run:
    """One run of the agent."""

    request: Generation
    pieces: list[str] = field(default_factory=list[str])  # not read yet
    steps: int = 0  # likewise
    begun: bool = False  # whether the agent runs
    changed: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outcome: Outcome | None = None  # the best so far
    ended: bool = False
    failure: str | None = None

    def tell(self, piece: Any) -> None:
        if isinstance(piece, Outcome):
            said = piece.text
            self.outcome = piece
            self._append(marked(said) if said is not None else "")
        elif isinstance(piece, str):
            self._append(unmarked(piece))
        else:
            raise TypeError(
                "an agent tells text, or an Outcome, on its way, not " + type(piece).__name__
            )

    def _append(self, text: str) -> None:
        if not self.ended:
            self.pieces.append(text)
            self.steps += 1
            self.changed.set()

    def end(self, failure: str | None) -> None:
        self.ended, self.failure = True, failure
        self.changed.set()

    def take(self) -> Chunk | None:
        """What is new; None: nothing is."""
        if not self.steps and not self.ended:
            return None
        ended = self.ended and self.failure is None
        finish = FinishReason.STOP if ended else None
        chunk = Chunk("".join(self.pieces), (0,) * self.steps, finish)
        self.pieces.clear()
        self.steps = 0
        return chunk


class AgentEngine:
    """Runs an agent; an ``Engine`` for ``Runtime``.

    ::

        async def agent(task: AgentTask) -> str:
            return await my_agent.run(task.question)

        async with Runtime(AgentEngine(agent)) as runtime:
            result = await runtime.solve("…", branches=5, deadline=60.0)

    Where settings say nothing else, races are of five runs, decided by the outcome that most agree
    on; with ``verify`` by the first outcome that is accepted (``best_of_n``).
    """

    def __init__(
        self,
        agent: Agent,
        *,
        verify: Verify | None = None,
        accept: float = 1.0,
        max_branches: int = 64,
        verify_timeout: float | None = None,
        keep: int = 256,
        name: str | None = None,
    ) -> None:
        """
        Args:
            agent: see ``Agent``. A run that raises is a lost branch, and costs no other.
            verify: says how good an outcome is, as tests do; without it an outcome's own
                ``reward`` counts.
            accept: the score at which the race is over, and the other runs are cancelled. Used
                with ``verify``; else it is the ``threshold`` of ``best_of_n``.
            max_branches: runs at once, of all races; those that do not end when they are
                cancelled are among them until they do.
            verify_timeout: seconds that verifying one outcome may take; None: as long as the race.
            keep: races whose outcomes can still be asked for.
            name: what the agent is called in results and metrics; None: as its function is.

        Raises:
            TypeError: the agent cannot be called.
            ValueError: a number is out of range.
        """
        if not callable(agent):
            raise TypeError(f"an agent is an async function or generator function, not {agent!r}")
        if max_branches < 1 or keep < 1:
            raise ValueError("max_branches and keep must be at least 1")
        self._agent = agent
        self._verified, self._accept = verify is not None, accept
        self.rewards: RewardModel | None = OutcomeReward(
            self.outcomes, verify, concurrency=max_branches, timeout=verify_timeout
        )
        self._keep = keep
        self._runs: dict[str, _Run] = {}  # that a race reads
        self._working = 0  # runs that have begun and not ended, those of nobody included
        self._room = anyio.Semaphore(max_branches, fast_acquire=True)
        self._outcomes: OrderedDict[str, dict[int, Outcome]] = OrderedDict()
        self._tasks: Background | None = None
        called = name or getattr(agent, "__name__", None) or type(agent).__name__
        self._info = EngineInfo(
            name="agent",
            model=called,
            max_context_tokens=_CONTEXT,
            max_branches=max_branches,
            prefill_tokens_per_step=_CONTEXT,
            cache_block_tokens=1,
            seeded=True,
            chat=ChatSupport(tools=True),
            continues=False,
        )

    def settings_for(self, settings: Settings) -> Settings:
        """See ``SetsUpRaces``."""
        wanted: dict[str, dict[str, Any]] = {
            "answers": {"kind": "outcome"},
            "prompt": {"instruction": ""},  # an agent says its outcome without being asked
            "race": {"branches": min(_BRANCHES, self._info.max_branches)},
        }
        if self._verified and not settings.race.model_fields_set & {"strategy", "parameters"}:
            wanted["race"] |= {"strategy": "best_of_n", "parameters": {"threshold": self._accept}}
        sections = {
            name: section.model_copy(
                update={k: v for k, v in keys.items() if k not in section.model_fields_set}
            )
            for name, keys in wanted.items()
            for section in [getattr(settings, name)]
        }
        return settings.model_copy(update=sections)

    # ── outcomes ──────────────────────────────────────────────────────────────────────────────

    def outcome(self, result: Result) -> Outcome | None:
        """The outcome that a race was decided for, with all that the agent returned; None: there
        is none, or the race is among those that are not kept any more."""
        if result.branch is None:
            return None
        return self.outcomes(result.race_id).get(result.branch)

    def outcomes(self, race_id: str) -> Mapping[int, Outcome]:
        """The outcomes of a race's runs by branch; of one that was cut, its best so far."""
        return self._outcomes.get(race_id, {})

    def _note(self, run: _Run) -> None:
        if run.outcome is None:
            return
        race = self._outcomes.setdefault(run.request.race, {})
        race[run.request.branch] = run.outcome
        self._outcomes.move_to_end(run.request.race)
        while len(self._outcomes) > self._keep:
            self._outcomes.popitem(last=False)

    # ── the engine ────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def failure(self) -> EngineError | None:
        return None if self._tasks is not None else EngineClosed("the agents' engine is not open")

    async def start(self) -> None:
        """Get ready. Nothing of the agent runs yet."""
        tasks = Background()
        await tasks.start()
        self._room = anyio.Semaphore(self._info.max_branches, fast_acquire=True)
        self._tasks = tasks

    async def aclose(self) -> None:
        """Cancel all runs, and wait until they have ended, ten seconds at most."""
        tasks, self._tasks = self._tasks, None
        for run in self._runs.values():
            run.scope.cancel()
        if tasks is not None:
            await tasks.aclose(10.0)

    def encode(self, text: str) -> tuple[int, ...]:
        return spell(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return spell_raw(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return spell_conversation(messages, tools, arguments)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        """One run of the agent.

        Raises:
            EngineError: the run raised, or it would have to go on from what another run wrote.
        """
        if self._tasks is None:
            raise EngineClosed("the agents' engine is not open")
        run = _Run(request)
        task = _task_of(request, run.tell)
        self._runs[request.request_id] = run
        try:
            self._tasks.start_soon(self._work, run, task)
            while True:
                await run.changed.wait()
                run.changed = anyio.Event()
                if (chunk := run.take()) is not None:
                    finished = chunk.finish is not None
                    if finished or chunk.token_ids:
                        yield chunk
                    if finished:
                        return
                if run.scope.cancel_called:
                    yield Chunk("", (), FinishReason.ABORT)
                    return
                if run.failure is not None:
                    raise EngineError(run.failure)
        finally:
            # Its end is not waited for: what it does to clean up must hold nobody up.
            run.scope.cancel()
            self._runs.pop(request.request_id, None)

    async def abort(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            if (run := self._runs.get(request_id)) is not None:
                run.scope.cancel()
                run.changed.set()

    @property
    def slots(self) -> int:
        """See ``SharesSlots``: runs that nobody waits for any more, and that do not end, take
        their places from others."""
        left_behind = self._working - sum(run.begun for run in self._runs.values())
        return max(1, self._info.max_branches - left_behind)

    def load(self) -> EngineLoad:
        return EngineLoad(running=self._working, step_seconds=_STEP)

    # ── runs ──────────────────────────────────────────────────────────────────────────────────

    async def _work(self, run: _Run, task: AgentTask) -> None:
        """Run the agent; raises nothing."""
        failure: str | None = "the agent was cancelled, and not by its race"
        try:
            with run.scope:
                async with self._room:
                    await self._begin(run, task)
                failure = None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it costs this branch alone
            _log.warning(
                "frontrunner.agent_failed", race=task.race_id, branch=task.branch, exc_info=error
            )
            failure = f"the agent raised {_reason(error)}"
        finally:
            self._note(run)
            run.end(failure)

    async def _begin(self, run: _Run, task: AgentTask) -> None:
        run.begun = True
        self._working += 1
        try:
            await self._call(run, task)
        finally:
            self._working -= 1
            run.begun = False

    async def _call(self, run: _Run, task: AgentTask) -> None:
        made: Any = self._agent(task)
        if isinstance(made, AsyncGenerator):
            async with aclosing(made) as pieces:
                async for piece in pieces:
                    run.tell(piece)
        elif isinstance(made, AsyncIterable):
            async for piece in made:
                run.tell(piece)
        elif inspect.isawaitable(made):
            returned = await made
            if returned is not None:
                run.tell(as_outcome(returned))
        else:
            raise TypeError(
                "an agent must be an async function or an async generator function (call a "
                f"blocking one with anyio.to_thread.run_sync), and returned {type(made).__name__}"
            )


def _task_of(request: Generation, tell: Callable[[Any], None]) -> AgentTask:
    """
    Raises:
        EngineError: it is not a branch's beginning.
    """
    parts = read_parts(request.prompt)
    if request.forced or len(parts) != 1 or isinstance(parts[0], tuple | Results):
        raise EngineError(
            "an agent begins with a question: it can neither go on from what another run has "
            "written nor be forced to answer"
        )
    match parts[0]:
        case Conversation() as said:
            messages: Sequence[Message] = said.messages
        case RawText(text) | str(text):
            messages = [{"role": "user", "content": text}]
    asked = [str(m.get("content") or "") for m in messages if m.get("role") == "user"]
    return AgentTask(
        asked[-1] if asked else "",
        messages,
        request.race,
        request.branch,
        request.seed,
        request.deadline,
        tell,
    )


def _reason(error: BaseException) -> str:
    """What went wrong, of several things the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = str(error).strip()
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
