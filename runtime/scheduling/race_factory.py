"""From what a caller asks to a race: all errors of input are raised here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from frontrunner.strategies.best_of_n import BestOfN
from frontrunner.strategies.best_reply import BestReply
from frontrunner.strategies.first_reply import FirstReply
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Needs, Strategy, needs_of
from frontrunner.strategies.registry import create_strategy, merge_parameters, strategy_factory

from ..agents.race_calls import Start
from ..agents.tool_races import ToolOffer, with_tools
from ..answers import ComparisonRules, Equivalence, Extractor, make_extractor
from ..answers.combined import make_clusters
from ..answers.extraction.forced_slots import opens_box
from ..common.loop_clock import loop_time
from ..config import AnswerSettings, SamplingSettings, Settings
from ..engines.protocol import Engine, Sampling
from ..errors import (
    MAX_DEADLINE,
    BadBranches,
    BadDeadline,
    BadRequest,
    DeadlineTooShort,
    EngineClosed,
    PromptTooLong,
)
from ..prompts.instructions import AnswerForm
from ..prompts.tool_choice import ToolUse, tool_use
from ..racing.accuracy_map import AccuracyMap
from ..racing.branch_requests import RaceServices
from ..racing.deadline_reserve import DeadlineReserve
from ..racing.race import Race
from ..racing.race_options import AnswerOptions, Question, RaceOptions, RawPrompt, check_options
from ..racing.spec import Forcing, RaceSpec
from ..rewards import RewardModel
from ..rewards.protocol import SupportsComparison
from .admission import Lease
from .prompt_reader import PromptReader
from .strategy_needs import checked_needs
from .thinking_races import ThinkingRaces

#: Kinds of answers that do not stand in a box.
_UNBOXED = frozenset({"json", "code", "tool_call", "text"})
#: Engine steps that a race which had to wait must be left, besides those for forced answers.
_STEPS_TO_SAY_ANYTHING = 4
#: Of the time of a race, the part that it may wait for branches however short its time is.
_SHORTEST_WAIT = 0.1
#: Seconds between two races that are let through although they seem too short.
_PROBE_PERIOD = 1.0


@dataclass(frozen=True, slots=True)
class RaceRequest:
    """A question that was found fit to be raced, with the branches that were asked for."""

    spec: RaceSpec
    min_branches: int
    latest: float  # when it is too late to wait any longer (anyio clock, seconds)
    strategy: Strategy  # for ``spec.max_branches``
    parameters: Mapping[str, Any]  # that it was made with
    optional: bool = False  # whether a branch may reply without an answer
    tools: ToolOffer | None = None  # that branches run on their way
    deadline: float = math.inf
    """Earlier than the spec's where it was brought forward before the race could begin (anyio
    clock, seconds)."""

    def due_by(self, deadline: float) -> "RaceRequest":
        """The same with an earlier deadline."""
        latest = self.latest - (self.spec.deadline - deadline)
        return replace(self, deadline=deadline, latest=latest)


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
        self._judging = DeadlineReserve(0.0, reserve.fallback_step)
        self._planned = planned
        self._probed = -math.inf  # when a race was last let through to measure the engine anew
        known = settings.race.calibration
        self._accuracy = AccuracyMap.read(known) if known is not None else None
        self._reader = PromptReader(engine, settings)
        self.thinking = ThinkingRaces(settings.thinking, engine)
        self.start: Start = _cannot_start
        """Starts what belongs to a race and to none of its branches: calls of tools."""

    def adopt(self, settings: Settings) -> None:
        """Go on with these settings, of the same answers and rewards."""
        self._settings = settings
        self._reader = PromptReader(self._engine, settings)
        self.thinking = ThinkingRaces(settings.thinking, self._engine)

    async def check(self, question: Question, options: RaceOptions, began: float) -> RaceRequest:
        """What was asked for at ``began`` (anyio clock, seconds).

        Raises:
            BadRequest: the request cannot be run as it is.
            Overloaded: it is so long that it is read in a thread, and none was free in time.
        """
        check_options(options)
        seconds = self.deadline(options.get("deadline"))
        use = tool_use(
            options.get("tools"), options.get("tool_choice"), options.get("parallel_tool_calls")
        )
        answers, kind, rules, optional = self._answers(options.get("answers"), use)
        form = AnswerForm(kind, self._schema(options.get("answers"), kind), optional, use)
        asked = await self._reader.read(question, began + seconds, form, options)
        prompt = asked.ids
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
        needs = checked_needs(name, strategy, answers, self._engine.info, self._rewards)
        forcing = make_forcing(self._settings, self._engine, answers, kind)
        forcible = answers.forcible and bool(forcing.suffix) and self._engine.info.continues
        answers = answers if answers.forcible == forcible else replace(answers, forcible=forcible)
        spec = RaceSpec(
            race_id=options.get("race_id") or uuid4().hex[:12],
            prompt=prompt,
            began=began,
            deadline=began + seconds,
            sampling=_sampling(drawn, asked.stop, needs),
            max_tokens=min(self._room(prompt, forcing), drawn.max_tokens),
            max_branches=wanted,
            forcing=forcing,
            question=asked.messages,
            instruction=asked.instruction,
            notes=asked.notes,
            seed=options.get("seed"),
            answers=answers,
            rules=rules,
            optional=optional,
            silence_factor=self._settings.race.silence_factor,
            abort_limit=self._settings.race.abort_limit,
            strategy=name,
            accuracy=self._accuracy,
            shared_down_to=shared_down_to,
        )
        spec = self.thinking.apply(spec, options.get("thinking_token_budget"))
        spec, tools = with_tools(spec, use, self._engine, options.get("template_arguments") or {})
        latest = spec.deadline - self._least_seconds(spec, minimum)
        # One for which time is short already would begin at once on a free engine: where slots are
        # just about to come back, it is not refused for that.
        latest = max(latest, spec.began + _SHORTEST_WAIT * (spec.deadline - spec.began))
        return RaceRequest(spec, minimum, latest, strategy, parameters, optional, tools)

    def _room(self, prompt: Sequence[int], forcing: Forcing) -> int:
        """The most tokens of a branch.

        Raises:
            PromptTooLong: none.
        """
        context = self._engine.info.max_context_tokens
        room = context - len(prompt) - len(forcing.suffix_ids) - forcing.max_tokens
        if room < 1:
            raise PromptTooLong(len(prompt), context)
        return room

    def make(
        self,
        request: RaceRequest,
        lease: Lease,
        lengths: LengthModel | None,
    ) -> Race:
        """The race of ``request`` with the branches that it was granted.

        Raises:
            BadRequest: the strategy cannot do with so few.
        """
        spec, strategy, granted = request.spec, request.strategy, lease.granted
        if granted < spec.max_branches:
            spec = replace(spec, max_branches=granted)
            strategy = _make_strategy(spec.strategy, {**request.parameters, "branches": granted})
        strategy = _with_replies(strategy, spec.answers, self._rewards, optional=request.optional)
        clusters = make_clusters(spec.answers, self._equivalence, spec.rules)
        acting = None
        if request.tools is not None:
            turns = self._settings.race.max_tool_turns
            acting = request.tools.engine(self._engine, spec.began, turns, self.start)
        engine = acting or self._engine
        services = RaceServices(engine, clusters, self._reserve, self._rewards, self._judging)
        race = Race(spec, strategy, services, slots=lease, lengths=lengths)
        if acting is not None:
            acting.race.tell = race.tell
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
        if not 0 < seconds <= MAX_DEADLINE:  # nan is neither
            raise BadDeadline(seconds)
        step, margin, needed = self._step, self._reserve.margin, self.least_deadline
        if seconds < needed and not self._may_probe(seconds):
            steps = f"two steps of {step:.2g} s, as slow ones took of late"
            way_back = f"{margin:.2g} s for the way back"
            raise DeadlineTooShort(seconds, needed, f"{steps}, and {way_back}")
        return seconds

    @property
    def usual_deadline(self) -> float:
        """Seconds that a request gets which says nothing of them."""
        return self._settings.race.deadline

    @property
    def least_deadline(self) -> float:
        """The least seconds that can be asked for: one step to take in the prompt and the suffix,
        one for a token of the answer, and the way back."""
        return 2 * self._step + self._reserve.margin

    def _may_probe(self, seconds: float) -> bool:
        """Whether a race that is too short by what was measured of late is let through, to measure
        it anew: now and then, if the engine could do it when it had less to do."""
        idle = self._engine.load().idle_step_seconds
        now = loop_time()
        if idle is None or seconds < 2 * idle + self._reserve.return_margin:
            return False
        if now < self._probed + _PROBE_PERIOD:
            return False
        self._probed = now
        return True

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
                f"not {minimum}",
                "min_branches",
            )
        return count, minimum

    # ── the strategy ──────────────────────────────────────────────────────────────────────────

    def _parameters(
        self, name: str, parameters: Mapping[str, Any] | None, branches: int
    ) -> Mapping[str, Any]:
        race = self._settings.race
        if parameters and "branches" in parameters:
            raise BadRequest(
                "branches is an argument of its own, not one of the parameters", "parameters"
            )
        given = dict(race.parameters) if name == race.strategy else {}
        given = {**self.thinking.parameters(name), **given}
        return merge_parameters(name, given, {**(parameters or {}), "branches": branches})

    # ── the question ──────────────────────────────────────────────────────────────────────────

    async def read(self, prompt: RawPrompt, deadline: float) -> tuple[int, ...]:
        """The token ids of a raw prompt, by ``deadline`` (anyio clock, seconds), without holding
        others up.

        Raises:
            BadRequest: it cannot be read.
            Overloaded: others are read until then.
        """
        return (await self._reader.read(prompt, deadline)).ids

    def _schema(self, asked: str | AnswerOptions | None, kind: str) -> Mapping[str, Any] | None:
        """The schema of answers of this ``kind``."""
        said = asked.get("json_schema") if isinstance(asked, Mapping) else None
        usual = self._settings.answers
        return usual.json_schema if said is None and usual.kind == kind else said

    def _answers(
        self, asked: str | AnswerOptions | None, use: ToolUse
    ) -> tuple[Extractor, str, ComparisonRules, bool]:
        """How answers are found, their kind, how they are compared, and whether a branch may reply
        without."""
        settings = self._settings.answers
        said: dict[str, Any] = {"kind": asked} if isinstance(asked, str) else dict(asked or {})
        if unknown := said.keys() - AnswerOptions.__annotations__.keys():
            raise BadRequest(f"answers: unknown key {min(unknown)!r}", "answers")
        optional = bool(said.pop("optional", False))
        chosen = _with_said(settings, said) if said else settings
        kind = chosen.kind
        if kind == "tool_call" and use.callable:
            use = replace(use, required=True)
        made = kind == settings.kind and "json_schema" not in said
        found = use.answers(self._extractor if made else make_extractor(chosen))
        return found, "tool_call" if use.required else kind, chosen.rules, optional

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
        if not said:
            return self._settings.sampling
        try:
            return SamplingSettings.model_validate(
                self._settings.sampling.model_dump(exclude_unset=True) | said
            )
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise BadRequest(f"{name}: {first['msg']}", name) from error


def _with_said(usual: AnswerSettings, said: Mapping[str, Any]) -> AnswerSettings:
    """The settings of answers with what a race says of its own.

    Raises:
        BadRequest: something in it is wrong.
    """
    if said.get("kind", usual.kind) == usual.kind:
        kept = usual.model_dump(exclude_unset=True)
    else:  # a pattern or a schema belongs to the kind that it was set for
        kept = {key: getattr(usual, key) for key in ("units", "tolerance", "order")}
    try:
        return AnswerSettings.model_validate({**kept, **said})
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(("answers", *map(str, first["loc"])))
        wrong = first["msg"].removeprefix("Value error, ")
        raise BadRequest(f"{path}: {wrong}", path) from error


def _with_replies(
    strategy: Strategy, answers: Extractor, rewards: RewardModel | None, *, optional: bool
) -> Strategy:
    """``strategy``, for a race whose branches may reply without an answer: a judge picks among the
    replies, or the scores that the strategy asks for do, else the first one is taken."""
    if answers.voted and not optional:
        return strategy
    first = FirstReply(strategy, most=answers.voted, answers_count=not answers.voted)
    if rewards is not None and isinstance(rewards, SupportsComparison):
        return BestReply(first, agreement=rewards.agreement, min_replies=rewards.min_replies)
    if needs_of(strategy).rewards:
        enough = None
        if isinstance(strategy, BestOfN) and strategy.rule == "threshold":
            enough = strategy.threshold
        return BestReply(first, together=False, agreement=enough, min_replies=1)
    return first


def make_forcing(settings: Settings, engine: Engine, answers: Extractor, kind: str) -> Forcing:
    """How branches on ``engine`` are made to give ``answers``, which are of this kind. Without a
    suffix they are not."""
    forcing = settings.forcing
    suffix = _suffix(settings, answers, kind)
    return Forcing(
        suffix,
        engine.encode(suffix) if suffix else (),
        (forcing.max_tokens or answers.forced_tokens) if suffix else 0,
        forcing.stop,
        forcing.temperature,
    )


def _suffix(settings: Settings, answers: Extractor, kind: str) -> str:
    """The settings' own where it opens a slot for such an answer, else that of the kind."""
    own = settings.forcing.suffix
    if own is not None and answers.voted:
        boxed = opens_box(own) and kind not in _UNBOXED
        if kind == settings.answers.kind or boxed:
            return own
    return answers.suffix or ""


def _sampling(drawn: SamplingSettings, stop: Sequence[str], needs: Needs) -> Sampling:
    """How tokens are drawn; ``stop`` ends a branch as well."""
    stops = (*drawn.stop, *stop)
    return Sampling(
        drawn.temperature,
        drawn.top_p,
        drawn.top_k,
        stops,
        logprobs=needs.logprobs,
        likelihoods=needs.likelihoods,
    )


def _make_strategy(name: str, parameters: Mapping[str, Any]) -> Strategy:
    wrong = "strategy"
    try:
        strategy_factory(name)
        wrong = "parameters"
        return create_strategy(name, parameters)
    except (ValueError, TypeError) as error:
        raise BadRequest(str(error), wrong) from error


def _cannot_start(*_: object) -> None:
    raise EngineClosed("the runtime is not entered")
