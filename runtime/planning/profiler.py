"""Measuring engines, point by point: what is measured, on what, and what is done already."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..engines.protocol import Engine, Sampling
from ..racing.spec import Forcing
from .probing import CannotMeasure, Prober
from .profile import Variant

#: Shares of the longest context at which paces are measured, beside the bare question.
_QUICK_CONTEXTS = (0.5,)
_FULL_CONTEXTS = (0.25, 0.5, 0.8)
#: Tokens of a branch for each pace, without speculation.
_QUICK_TOKENS, _FULL_TOKENS = 32, 64
#: Times that something is tried, each on another question.
_TRIES = 4
#: Races that go before, where an engine drafts from earlier ones, and their branches.
_QUICK_WARM_UP, _FULL_WARM_UP = 2, 8
WARM_UP_BRANCHES = 32

#: How far it has come: measurements done, of all, and what comes next.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    batches: tuple[int, ...]
    contexts: tuple[float, ...]
    tokens: int
    repeats: int
    questions: int
    """For acceptance: each with a few branches to their ends."""
    warm_up: int
    """Races before all else on an engine that drafts from earlier ones: it is measured as it is
    after some minutes of use."""

    @classmethod
    def of(cls, max_branches: int, *, quick: bool) -> "Extent":
        """The quick one takes four sizes of the batch, the full one all powers of two."""
        powers = [1 << n for n in range(max_branches.bit_length()) if 1 << n <= max_branches]
        if powers[-1] != max_branches:
            powers.append(max_branches)
        if not quick:
            return cls(tuple(powers), _FULL_CONTEXTS, _FULL_TOKENS, 3, 6, _FULL_WARM_UP)
        chosen = {powers[round(i * (len(powers) - 1) / 3)] for i in range(4)}
        return cls(tuple(sorted(chosen)), _QUICK_CONTEXTS, _QUICK_TOKENS, 1, 2, _QUICK_WARM_UP)


class Prompts:
    """Prompts of many lengths out of questions."""

    def __init__(self, engine: Engine, questions: Sequence[str]) -> None:
        self._engine = engine
        self._questions = questions
        self._made = 0

    @property
    def mean_tokens(self) -> int:
        """Of a bare question."""
        lengths = [len(self._encoded("", q)) for q in self._questions]
        return round(sum(lengths) / len(lengths))

    def next(self, tokens: int = 0, *, unseen: bool = False) -> tuple[int, ...]:
        """A prompt of about so many tokens; without them, of one question.

        ``unseen``: in no prefix cache, as it begins with a number of its own. The others are just
        what the model would be asked: that decides how much of a draft it accepts.
        """
        mark = f"({self._made}) " if unseen else ""
        count = len(self._questions)
        parts = [self._questions[self._made % count]]
        prompt = self._encoded(mark, *parts)
        while len(prompt) < tokens:
            parts.append(self._questions[(self._made + len(parts)) % count])
            longer = self._encoded(mark, *parts)
            if len(longer) <= len(prompt):
                break
            prompt = longer
        # None comes again before all have come: ``cross_branch`` drafts from its earlier answers.
        self._made += len(parts)
        return prompt

    def _encoded(self, mark: str, *questions: str) -> tuple[int, ...]:
        text = mark + "\n\n".join(questions)
        return self._engine.encode_chat([{"role": "user", "content": text}])


class Profiler:
    """Measures the engine of one variant, as far as the variant lacks it."""

    def __init__(
        self,
        engine: Engine,
        sampling: Sampling,
        forcing: Forcing,
        max_tokens: int,
        questions: Sequence[str],
        extent: Extent,
        variant: Variant,
    ) -> None:
        self._engine = engine
        self._measuring = Prober(engine, sampling, forcing)
        self._prompts = Prompts(engine, questions)
        self._extent = extent
        self._max_tokens = max_tokens
        self.variant = variant
        steps = self._steps(variant)
        self._left = deque(step for step in steps if step[0] not in variant.done)
        self.total = len(steps)
        """Measurements in all."""

    @property
    def prompt_tokens(self) -> int:
        return self._prompts.mean_tokens

    @property
    def cache_tokens(self) -> int | None:
        """That the KV cache holds, about, as far as has been seen."""
        return self._measuring.cache_tokens

    @property
    def left(self) -> int:
        """Measurements that the variant lacks."""
        return len(self._left)

    @property
    def next(self) -> str:
        """The first of them."""
        return self._left[0][0]

    async def warm_up(self) -> None:
        """Race a few questions, if the engine drafts from earlier races and is to be measured.

        Raises:
            EngineError: the engine died.
        """
        table = self.variant.engine.get("speculation", {})
        if self.variant.method != "cross_branch" or not table.get("earlier_races", True):
            return
        branches = min(WARM_UP_BRANCHES, self._engine.info.max_branches)
        for _ in range(self._extent.warm_up if self._left else 0):
            with suppress(CannotMeasure):
                await self._measuring.race(self._prompts.next(), branches, self._max_tokens)

    async def measure_next(self) -> None:
        """Make the next measurement, or find that it cannot be made.

        Raises:
            EngineError: the engine died.
        """
        name, step = self._left[0]
        await self._tried(self.variant, name, step)
        self.variant.done.append(name)
        self._left.popleft()
        self.variant.complete = not self._left

    def _steps(self, variant: Variant) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        extent, measuring, prompts = self._extent, self._measuring, self._prompts
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = []

        async def accept() -> None:
            counts, _ = await measuring.acceptance(prompts.next(), variant.k, self._max_tokens)
            variant.accepted += counts

        async def pace(batch: int, context: int) -> None:
            tokens = round(extent.tokens * (1 + variant.k / 2))
            point = await measuring.pace(prompts.next(context), batch, tokens, variant.k)
            variant.paces.append(replace(point, aimed=context))
            slow = self._engine.load().step_seconds
            if batch > 1 and slow is not None and variant.k == 0:
                ratio = slow / variant.paces[-1].seconds
                variant.slow_step = max(1.0, min(variant.slow_step or ratio, ratio))

        async def launch(batch: int, context: int) -> None:
            variant.launches.append(
                await measuring.launch(prompts.next(context, unseen=True), batch)
            )

        async def force(batch: int) -> None:
            variant.forced.append(await measuring.forced(prompts.next(), batch))

        async def abort(batch: int) -> None:
            variant.aborts.append(await measuring.abort(prompts.next(), batch))

        if variant.k:
            steps += [(f"acceptance {n}", accept) for n in range(1, extent.questions + 1)]
        contexts = [0, *(round(share * self._longest()) for share in extent.contexts)]
        for repeat in range(extent.repeats):
            for context in contexts:
                for batch in extent.batches:
                    name = f"pace of {batch} at {context or 'the question'}, {repeat + 1}"
                    steps.append((name, lambda b=batch, c=context: pace(b, c)))
        for batch in extent.batches:
            for context in (0, contexts[-1]):
                name = f"launch of {batch} at {context or 'the question'}"
                steps.append((name, lambda b=batch, c=context: launch(b, c)))
            steps.append((f"forced answers of {batch}", lambda b=batch: force(b)))
            steps.append((f"abort of {batch}", lambda b=batch: abort(b)))
        return steps

    def _longest(self) -> int:
        """The longest context of a branch, and room for its pace."""
        room = self._engine.info.max_context_tokens - 4 * self._extent.tokens
        return max(1, min(room, self.prompt_tokens + self._max_tokens))

    async def _tried(
        self, variant: Variant, name: str, step: Callable[[], Awaitable[None]]
    ) -> None:
        for _ in range(_TRIES):
            try:
                await step()
            except CannotMeasure as error:
                variant.skipped[name] = str(error)
            else:
                variant.skipped.pop(name, None)
                return


async def measure_in_turns(
    profilers: Sequence[Profiler], progress: Progress, save: Callable[[], None]
) -> None:
    """Make all measurements that are lacking, of several engines in turns: what else the machine
    does, and how fast it happens to be, falls on all alike.

    Args:
        progress: told before each measurement and at the end.
        save: called after each.

    Raises:
        EngineError: an engine died.
    """
    total = sum(p.total for p in profilers)
    for profiler in profilers:
        progress(total - sum(p.left for p in profilers), total, "warming up")
        await profiler.warm_up()
    while behind := [p for p in profilers if p.left]:
        # Whichever has come the least far.
        profiler = max(behind, key=lambda p: p.left / p.total)
        done = total - sum(p.left for p in profilers)
        progress(done, total, f"{profiler.variant.name}: {profiler.next}")
        await profiler.measure_next()
        save()
    progress(total, total, "")
