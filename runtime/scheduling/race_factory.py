"""From what a caller asks to a race: all errors of input are raised here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import anyio
from pydantic import ValidationError

from frontrunner.strategies.first_reply import FirstReply
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Needs, Strategy, needs_of
from frontrunner.strategies.registry import create_strategy, merge_parameters

from ..answers import ComparisonRules, Equivalence, Extractor, make_extractor
from ..answers.combined import make_clusters
from ..config import AnswerSettings, ForcingSettings, SamplingSettings, Settings
from ..engines.protocol import Engine, Message, Sampling
from ..errors import (
    BadBranches,
    BadDeadline,
    BadRequest,
    DeadlineTooShort,
    EmptyQuestion,
    PromptTooLong,
)
from ..events.types import Event
from ..prompts.messages import plain_messages
from ..prompts.tokenizing import OffLoop, is_large
from ..prompts.tool_choice import ToolUse, tool_use
from ..racing.branch_requests import RaceServices
from ..racing.deadline_reserve import DeadlineReserve
from ..racing.options import AnswerOptions, Question, RaceOptions, RawPrompt, check_options
from ..racing.race import Race
from ..racing.spec import Forcing, RaceSpec
from ..rewards import RewardModel
from .admission import Lease

#: Kinds of answers that do not stand in a box.
_UNBOXED = frozenset({"json", "code", "tool_call", "text"})
#: Engine steps that a race which had to wait must be left, besides those for forced answers.
_STEPS_TO_SAY_ANYTHING = 4
#: Log probabilities of a token that engines give at most.
_MAX_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class RaceRequest:
    """A question that was found fit to be raced, with the branches that were asked for."""

    spec: RaceSpec
    min_branches: int
    latest: float  # when it is too late to wait any longer (anyio clock, seconds)
    strategy: Strategy  # for ``spec.max_branches``
    parameters: Mapping[str, Any]  # that it was made with
    optional: bool = False  # whether a branch may reply without an answer


class RaceFactory:
    """Checks requests and makes their races; one for a runtime."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        rewards: RewardModel | None,
        extractor: Extractor,
        equivalence: Equivalence,
        reserve: DeadlineReserve,
        planned: Callable[[float, int, int], int] | None = None,
    ) -> None:
        """
        Args:
            extractor: finds answers of the settings' kind.
            equivalence: compares them where they are compared by algebra.
            planned: the branches for a race of so many seconds, on a prompt of so many tokens, with
                so many branches at least, where nobody says; None: those of the settings.
        """
        self._engine = engine
        self._settings = settings
        self._rewards = rewards
        self._extractor = extractor
        self._equivalence = equivalence
        self._reserve = reserve
        self._planned = planned
        self._off_loop = OffLoop()

    async def check(self, question: Question, options: RaceOptions) -> RaceRequest:
        """
        Raises:
            BadRequest: the request cannot be run as it is.
            Overloaded: it is so long that it is read in a thread, and none was free in time.
        """
        began = anyio.current_time()
        check_options(options)
        forcing = make_forcing(self._settings.forcing, self._engine)
        seconds = self.deadline(options.get("deadline"))
        use = tool_use(
            options.get("tools"), options.get("tool_choice"), options.get("parallel_tool_calls")
        )
        messages, prompt = await self.read(question, use.offered or None, began + seconds)
        branches, least = options.get("branches"), options.get("min_branches")
        drawn, shared_down_to = self.drawn(options), None
        if branches is None and (drawn.temperature == 0 or drawn.top_k == 1):
            branches = least or 1  # others would be equal to the first, and their votes say nothing
        if branches is None and self._planned is not None:
            shared_down_to = least or self._settings.race.min_branches
            branches = self._planned(seconds, len(prompt), shared_down_to)
        wanted, minimum = self._branches(branches, least)
        name = options.get("strategy") or self._settings.race.strategy
        parameters = self._parameters(name, options.get("parameters"), wanted)
        strategy = _make_strategy(name, parameters)
        needs = self._checked_needs(name, strategy)
        answers, rules, optional = self._answers(options.get("answers"), use)
        room = self._engine.info.max_context_tokens - len(prompt)
        room -= len(forcing.suffix_ids) + forcing.max_tokens
        if room < 1:
            raise PromptTooLong(len(prompt), self._engine.info.max_context_tokens)
        spec = RaceSpec(
            race_id=options.get("race_id") or uuid4().hex[:12],
            prompt=prompt,
            began=began,
            deadline=began + seconds,
            sampling=Sampling(
                drawn.temperature, drawn.top_p, drawn.top_k, drawn.stop, needs.logprobs
            ),
            max_tokens=min(room, drawn.max_tokens),
            max_branches=wanted,
            forcing=forcing,
            question=messages,
            seed=options.get("seed"),
            answers=answers,
            rules=rules,
            abort_limit=self._settings.race.abort_limit,
            strategy=name,
            shared_down_to=shared_down_to,
        )
        latest = spec.deadline - self._least_seconds(spec, minimum)
        return RaceRequest(spec, minimum, latest, strategy, parameters, optional)

    def make(
        self,
        request: RaceRequest,
        lease: Lease,
        lengths: LengthModel | None,
        publish: Callable[[Event], None] | None = None,
    ) -> Race:
        """The race of ``request`` with the branches that it was granted.

        Raises:
            BadRequest: the strategy cannot do with so few.
        """
        spec, strategy, granted = request.spec, request.strategy, lease.granted
        if granted < spec.max_branches:
            spec = replace(spec, max_branches=granted)
            strategy = _make_strategy(spec.strategy, {**request.parameters, "branches": granted})
        strategy = _with_replies(strategy, spec.answers, optional=request.optional)
        clusters = make_clusters(spec.answers, self._equivalence, spec.rules)
        services = RaceServices(self._engine, clusters, self._reserve, self._rewards)
        race = Race(spec, strategy, services, slots=lease, lengths=lengths, publish=publish)
        race.shorten_deadline(lease.deadline)  # it may have been brought forward in the queue
        return race

    # ── time and branches ─────────────────────────────────────────────────────────────────────

    @property
    def _step(self) -> float:
        return self._engine.load().step_seconds or self._reserve.fallback_step

    def deadline(self, deadline: float | None) -> float:
        """Seconds that a request gets.

        Raises:
            BadDeadline, DeadlineTooShort: it cannot be met.
        """
        seconds = self._settings.race.deadline if deadline is None else deadline
        if not math.isfinite(seconds) or seconds <= 0:
            raise BadDeadline(seconds)
        # The least that can be asked for: one step to take in the prompt and the suffix, one for
        # a token of the answer, and the way back.
        needed = 2 * self._step + self._reserve.margin
        if seconds < needed:
            raise DeadlineTooShort(seconds, needed)
        return seconds

    def _least_seconds(self, spec: RaceSpec, branches: int) -> float:
        """What a race needs to say anything: time for a few tokens, and for forced answers."""
        round_seconds = 0.0
        if spec.answers.forcible:
            round_seconds = self._reserve.round_seconds(
                branches,
                len(spec.forcing.suffix_ids),
                spec.forcing.max_tokens,
                self._engine.info,
                self._engine.load(),
            )
        return _STEPS_TO_SAY_ANYTHING * self._step + self._reserve.seconds(round_seconds)

    def _branches(self, branches: int | None, minimum: int | None) -> tuple[int, int]:
        """How many are wanted, and how few will do."""
        count = self._settings.race.branches if branches is None else branches
        limit = self._engine.info.max_branches
        if not 1 <= count <= limit:
            raise BadBranches(count, limit)
        if minimum is None:
            return count, min(count, self._settings.race.min_branches)
        if not 1 <= minimum <= count:
            raise BadRequest(
                f"min_branches must lie between 1 and the number of branches, {count}, "
                f"not {minimum}"
            )
        return count, minimum

    # ── the strategy ──────────────────────────────────────────────────────────────────────────

    def _parameters(
        self, name: str, parameters: Mapping[str, Any] | None, branches: int
    ) -> Mapping[str, Any]:
        race = self._settings.race
        if parameters and "branches" in parameters:
            raise BadRequest("branches is an argument of its own, not one of the parameters")
        given = dict(race.parameters) if name == race.strategy else {}
        return merge_parameters(name, given, {**(parameters or {}), "branches": branches})

    def _checked_needs(self, name: str, strategy: Strategy) -> Needs:
        needs = needs_of(strategy)
        if needs.rewards and self._rewards is None:
            raise BadRequest(
                f"{name} needs a reward model: set [rewards] in the config, or pass one to Runtime"
            )
        if needs.logprobs > _MAX_LOGPROBS:
            raise BadRequest(
                f"{name}: logprobs must be at most {_MAX_LOGPROBS}, which is what engines keep of "
                f"a token, not {needs.logprobs}",
                "parameters.logprobs",
            )
        if needs.logprobs and not self._engine.info.logprobs:
            raise BadRequest(
                f"{name} needs log probabilities, which this engine cannot give (vLLM does not "
                "give them reliably with speculation)"
            )
        return needs

    # ── the question ──────────────────────────────────────────────────────────────────────────

    async def read(
        self, question: Question, tools: Sequence[Mapping[str, Any]] | None, deadline: float
    ) -> tuple[Sequence[Message], tuple[int, ...]]:
        """A question as a conversation, where it is one, and its token ids, by ``deadline`` (anyio
        clock, seconds), without holding others up.

        Raises:
            BadRequest: it cannot be read.
            Overloaded: others are read until then.
        """
        raw = question.content if isinstance(question, RawPrompt) else question
        if isinstance(raw, tuple) or not is_large(raw, tools or ()):
            return self._encoded(question, tools)
        return await self._off_loop.run(lambda: self._encoded(question, tools), deadline)

    def _encoded(
        self, question: Question, tools: Sequence[Mapping[str, Any]] | None
    ) -> tuple[Sequence[Message], tuple[int, ...]]:
        """The conversation, and its token ids up to where the answer begins."""
        if isinstance(question, RawPrompt):
            if tools:
                raise BadRequest("a raw prompt has no chat template to put tools into")
            content = question.content
            if not content:
                raise EmptyQuestion
            if isinstance(content, str):
                return [{"role": "user", "content": content}], self._engine.encode(content)
            return [], content
        messages = plain_messages(question)
        return messages, self._engine.encode_chat(messages, tools)

    def _answers(
        self, asked: str | AnswerOptions | None, use: ToolUse
    ) -> tuple[Extractor, ComparisonRules, bool]:
        """How answers are found, how they are compared, and whether a branch may reply without."""
        settings = self._settings.answers
        said: dict[str, Any] = {"kind": asked} if isinstance(asked, str) else dict(asked or {})
        if unknown := said.keys() - AnswerOptions.__annotations__.keys():
            raise BadRequest(f"answers: unknown key {min(unknown)!r}")
        optional = bool(said.pop("optional", False))
        if said.get("kind", settings.kind) == settings.kind:
            kept = settings.model_dump(exclude_unset=True)
        else:  # a pattern or a schema belongs to the kind that it was set for
            kept = {key: getattr(settings, key) for key in ("units", "tolerance", "order")}
        try:
            chosen = AnswerSettings.model_validate({**kept, **said})
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(
                f"answers.{'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from error
        kind = chosen.kind
        if kind == "tool_call" and use.callable:
            use = replace(use, required=True)
        made = kind == settings.kind and "json_schema" not in said
        found = use.answers(self._extractor if made else make_extractor(chosen))
        forcible = self._forcible("tool_call" if use.required else kind)
        return replace(found, forcible=found.forcible and forcible), chosen.rules, optional

    def _forcible(self, kind: str) -> bool:
        """Whether what the forcing suffix opens can be an answer of this kind."""
        settings = self._settings
        opens = settings.answers.kind if "suffix" in settings.forcing.model_fields_set else "boxed"
        if kind == opens or kind == "text":
            return kind != "text"
        return kind not in _UNBOXED and (opens not in _UNBOXED or opens == "text")

    def drawn(self, options: RaceOptions) -> SamplingSettings:
        """How tokens are drawn, and how many at most.

        Raises:
            BadRequest: one of the options is out of range.
        """
        said = {
            key: value
            for key in ("temperature", "top_p", "top_k", "max_tokens", "stop")
            if (value := options.get(key)) is not None
        }
        try:
            return SamplingSettings.model_validate(
                self._settings.sampling.model_dump(exclude_unset=True) | said
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _with_replies(strategy: Strategy, answers: Extractor, *, optional: bool) -> Strategy:
    """``strategy``, for a race whose branches may reply without an answer."""
    if answers.voted and not optional:
        return strategy
    return FirstReply(
        strategy,
        most=answers.voted,
        wait=needs_of(strategy).rewards,  # which are to decide
        answers_count=not answers.voted,
    )


def make_forcing(settings: ForcingSettings, engine: Engine) -> Forcing:
    """How branches on ``engine`` are made to answer."""
    return Forcing(
        settings.suffix,
        engine.encode(settings.suffix),
        settings.max_tokens,
        settings.stop,
        settings.temperature,
    )


def _make_strategy(name: str, parameters: Mapping[str, Any]) -> Strategy:
    try:
        return create_strategy(name, parameters)
    except (ValueError, TypeError) as error:
        raise BadRequest(str(error)) from error
