"""Races for tests: scripts, an engine that notices leaks, and what must hold after every race."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel
from tests.strategies.counted import counted

from frontrunner.runtime.answers import (
    BOXED,
    AnswerClusters,
    Equivalence,
    Extractor,
    KeySource,
)
from frontrunner.runtime.engines.protocol import (
    Chunk,
    EngineInfo,
    FinishReason,
    Generation,
    Sampling,
)
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineClosed
from frontrunner.runtime.events.types import Event
from frontrunner.runtime.racing.branch_requests import RaceServices
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve
from frontrunner.runtime.racing.race import Race
from frontrunner.runtime.racing.spec import Forcing, RaceSpec
from frontrunner.runtime.result import Result
from frontrunner.runtime.rewards.protocol import Scoring
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, StopReason, Strategy

SUFFIX = "\nTime is up. The answer is \\boxed{"
PROMPT = (901, 902, 903)
MARGIN = 0.03  # seconds kept for handing the result back
SAMPLING = Sampling()
STEP = 0.01  # seconds an engine step is said to last


# ── scripts ───────────────────────────────────────────────────────────────────────────────────


def says(answer: str | None, seconds: float, tokens: int = 8) -> BranchScript:
    """Answers after ``seconds``; eighths of them add up exactly."""
    return BranchScript.answering(answer, seconds=seconds, tokens=tokens)


def forced_says(answer: str, seconds: float = 0.0) -> BranchScript:
    """Closes the box that the suffix opened."""
    return BranchScript((Piece(seconds, f"{answer}}}", 2),))


def stalls(text: str = "", *, after: float = 0.5, ignores_abort: bool = False) -> BranchScript:
    """Writes ``text`` as 4 tokens, if any, and then nothing for ever."""
    pieces = (Piece(after, text, 4),) if text else ()
    return BranchScript(pieces, stall=True, ignores_abort=ignores_abort)


def at_its_limit(text: str, seconds: float, tokens: int = 8) -> BranchScript:
    """Writes ``text``, and is cut at its token limit."""
    return BranchScript((Piece(seconds, text, tokens),), FinishReason.LENGTH)


def fails(error: str = "lost", after: float = 0.5) -> BranchScript:
    return BranchScript((Piece(after, "hm "),), error=error)


class Rewards:
    """A reward model that gives these scores in turn, and fails when it has no more."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = list(scores)
        self.asked: list[Sequence[Scoring]] = []

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def score(self, items: Sequence[Scoring]) -> Sequence[float]:
        self.asked.append(items)
        await anyio.lowlevel.checkpoint()
        return [self.scores.pop(0) for _ in items]


# ── the engine ────────────────────────────────────────────────────────────────────────────────


class WatchedEngine(ScriptedEngine):
    """A scripted engine that keeps a diary, and holds on to requests as a real one may.

    Closing a stream does not free its request here: only its own end or an abort does. vLLM is
    like that when the stream is closed in a cancelled scope, so whatever is in ``held`` after a
    race would have gone on decoding.
    """

    def __init__(
        self,
        branches: Sequence[BranchScript],
        forced: Sequence[BranchScript] = (forced_says("0"),),
        *,
        dies_at: float = float("inf"),
        abort_delay: float = 0.0,
        max_branches: int = 256,
        max_context_tokens: int = 100_000,
        prefill_tokens_per_step: int = 8192,
        logprobs: bool = False,
        raises: Callable[[Generation], BaseException | None] = lambda request: None,
    ) -> None:
        super().__init__(
            Script(branches, forced, dies_at, abort_delay),
            max_branches=max_branches,
            max_context_tokens=max_context_tokens,
            step_seconds=STEP,
            logprobs=logprobs,
        )
        self._prefill = prefill_tokens_per_step
        self._raises = raises
        self.held: set[str] = set()
        self.diary: list[tuple[str, tuple[str, ...]]] = []  # what was asked of it, in order
        self.on_act: Callable[[], None] = lambda: None  # called at each of these and each chunk
        self.told_to_abort: set[str] = set()
        self.cut: set[str] = set()  # whose stream was closed while they were held

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, prefill_tokens_per_step=self._prefill)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        self.diary.append(("generate", (request.request_id,)))
        assert request.request_id not in self.held, "a request id was used twice"
        if self.failure is None:
            self.held.add(request.request_id)
        self.on_act()
        try:
            error = self._raises(request)
            if error is not None:
                raise error
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    if chunk.finish is not None:
                        self.held.discard(request.request_id)
                    self.on_act()
                    yield chunk
        except Exception:
            self.held.discard(request.request_id)
            raise
        finally:
            if request.request_id in self.held:
                self.cut.add(request.request_id)

    async def abort(self, request_ids: Sequence[str]) -> None:
        self.diary.append(("abort", tuple(request_ids)))
        self.on_act()
        # Telling takes a real engine at least one turn of the event loop.
        await anyio.lowlevel.checkpoint()
        self.told_to_abort.update(request_ids)
        # Told in time or not: ids it does not know yet are ignored, as by any engine.
        self.held.difference_update(request_ids)
        await super().abort(request_ids)

    def forced_requests(self) -> list[Generation]:
        return [request for request in self.requests if request.forced]

    def check_idle(self) -> None:
        """Assert that nothing runs here any more, and nothing would on a real engine."""
        assert self.load().running == 0
        if self.failure is None:
            assert self.held == set()


# ── racing ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Setup:
    """One race; what a test does not care about has a default."""

    engine: WatchedEngine
    strategy: Strategy
    deadline: float = 10.0
    branches: int = 256
    max_tokens: int = 4096
    seed: int | None = None
    forced_tokens: int = 16
    return_margin: float = MARGIN
    abort_limit: float = 1.0
    reserve: DeadlineReserve | None = None
    lengths: LengthModel | None = None
    rewards: Rewards | None = None
    workers: KeySource | None = None
    publish: Callable[[Event], None] | None = None
    sampling: Sampling = SAMPLING
    answers: Extractor = BOXED
    suffix: str = SUFFIX

    async def race(self) -> Race:
        """The race, ready to run from now on."""
        if isinstance(self.engine.failure, EngineClosed):
            await self.engine.start()
        self.reserve = self.reserve or DeadlineReserve(self.return_margin, fallback_step=0.05)
        now = anyio.current_time()
        spec = RaceSpec(
            race_id="race",
            prompt=PROMPT,
            began=now,
            deadline=now + self.deadline,
            sampling=self.sampling,
            max_tokens=self.max_tokens,
            max_branches=self.branches,
            forcing=Forcing(self.suffix, self.engine.encode(self.suffix), self.forced_tokens),
            answers=self.answers,
            seed=self.seed,
            abort_limit=self.abort_limit,
        )
        clusters = AnswerClusters(Equivalence(self.workers))
        return Race(
            spec,
            self.strategy,
            RaceServices(self.engine, clusters, self.reserve, self.rewards),
            lengths=self.lengths,
            publish=self.publish,
        )

    async def run(self) -> Result:
        race = await self.race()
        result = await race.run()
        check_result(result)
        self.engine.check_idle()
        return result

    def call_time(self, running: int, factor: float = 1.5) -> float:
        """When the race must ask ``running`` branches for their answers, in seconds."""
        fresh = DeadlineReserve(self.return_margin, fallback_step=0.05, factor=factor)
        predicted = fresh.round_seconds(
            running,
            len(self.engine.encode(SUFFIX)),
            self.forced_tokens,
            self.engine.info,
            self.engine.load(),
        )
        return self.deadline - fresh.seconds(predicted)


async def run_race(
    engine: WatchedEngine,
    strategy: Strategy | None = None,
    *,
    deadline: float = 10.0,
    publish: Callable[[Event], None] | None = None,
) -> Result:
    """Race all scripts of ``engine`` once."""
    strategy = strategy or counted(len(engine.script.branches))
    return await Setup(engine, strategy, deadline, publish=publish).run()


def ids(*indices: int) -> tuple[str, ...]:
    """Request ids of branches."""
    return tuple(f"race-b{index}" for index in indices)


def statuses(result: Result) -> list[str]:
    return [branch.status.value for branch in result.branches]


def check_result(result: Result) -> None:
    """What holds for every result, whatever happened."""
    assert 0.0 <= result.elapsed <= result.deadline + 1e-9
    cut = (BranchStatus.TRUNCATED, BranchStatus.FORCED)
    finished, forced = (
        Counter(b.answer for b in result.branches if b.status in ends and b.answer is not None)
        for ends in ((BranchStatus.FINISHED,), cut)
    )
    whole = [b for b in result.branches if b.status is BranchStatus.FINISHED]
    outweighed = not finished and len(whole) >= max(forced.values(), default=0)
    assert result.votes == finished
    assert result.forced_votes == forced
    assert list(result.votes.values()) == sorted(finished.values(), reverse=True)
    deciding = finished or forced
    if deciding and not outweighed:
        assert result.answer is not None
        assert deciding[result.answer] == max(deciding.values())
        best = [answer for answer, votes in deciding.items() if votes == deciding[result.answer]]
        assert forced[result.answer] == max(forced[answer] for answer in best)
        assert 0.5 <= result.confidence <= 1.0
        assert any(b.answer == result.answer and b.text == result.text for b in result.branches)
    else:
        assert result.answer is None
        assert result.confidence == 0.0
        written = [b.text for b in result.branches]
        assert any(text.startswith(result.text) for text in written) or not written
        assert not whole or result.text in [b.text for b in whole]
        assert (result.finish_reason == "stop") == bool(whole)
    assert not any(branch.status.active for branch in result.branches)
    assert [branch.index for branch in result.branches] == list(range(len(result.branches)))
    assert all(0.0 <= branch.seconds <= result.elapsed + 1e-9 for branch in result.branches)
    for branch in result.branches:
        assert (branch.error is not None) == (branch.status is BranchStatus.FAILED)
        assert branch.forced == (branch.status is BranchStatus.FORCED)
    assert result.tokens_generated == sum(b.tokens + b.probe_tokens for b in result.branches)
    assert result.tokens_saved >= 0
    if result.stop_reason is StopReason.FAILED:
        assert result.counted(BranchStatus.FAILED) == len(result.branches)
