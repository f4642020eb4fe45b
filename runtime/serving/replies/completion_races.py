"""What the two completion APIs share: choices, reasons, usage, and how a request becomes a race."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from aiohttp import web

from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...answers.combined import ToolCall
from ...racing.race_options import Question, RaceOptions
from ...result import BranchReport, Result
from ...thinking import ThinkingFormat
from ..app_keys import SETTINGS, is_served, served_model
from ..errors import BadParameter, UnknownModel
from ..reply_bodies import FinishReason, Usage
from ..requests.request_options import FrontrunnerOptions
from ..runs.frames import Encoder
from ..runs.run import RUNS, Run
from ..runs.sse_stream import POLL_INTERVAL, stream_run
from ..security.api_keys import key_name
from .content import ReplyContent, ReplyForm
from .usage import Account, Spent
from .winner import shown_branch, shown_tokens

#: Characters of a race's choices that are counted on the event loop.
_COUNTED_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the replies to a request."""

    content: str
    calls: tuple[ToolCall, ...]  # of tools; ``content`` is then none
    reasoning: str  # empty: the content is all there is
    finish_reason: FinishReason
    answer: str | None
    text: str  # all that the model wrote
    tokens: int  # of ``text``


class ClientGone(Exception):
    """Nobody waits for the response any more."""


def check_model(app: web.Application, asked: str | None) -> str:
    """The name of the model that answers.

    Raises:
        UnknownModel: another one is asked for.
    """
    served = served_model(app)
    if asked is not None and not is_served(app, asked):
        raise UnknownModel(asked, served)
    return asked or served


def branches_for(choices: int, asked: FrontrunnerOptions, default: int) -> RaceOptions:
    """The options of a race in which there are that many choices.

    Raises:
        BadParameter: the request itself asks for fewer branches than choices.
    """
    if asked.branches is not None and asked.branches < choices:
        raise BadParameter(
            f"n: {choices} choices need as many branches, and frontrunner.branches is "
            f"{asked.branches}",
            "n",
        )
    if choices == 1:
        return {}
    least = max(choices, asked.min_branches or 1)
    if asked.branches is None and default < choices:
        return {"branches": choices, "min_branches": least}
    return {"min_branches": least}


def wants_events(app: web.Application, asked: FrontrunnerOptions) -> bool:
    """Whether a stream tells of branches and votes."""
    return app[SETTINGS].events if asked.events is None else asked.events


async def stream_race(
    request: web.Request,
    question: Question,
    options: RaceOptions,
    encoder: Encoder,
    asked: FrontrunnerOptions,
    *,
    prefix: str,
) -> web.StreamResponse:
    """Run a race and stream its frames; ``prefix`` begins its id.

    Raises:
        FrontrunnerError: see ``Runs.begin`` and ``Runs.begun``.
    """
    run = await start_streamed(request, question, options, encoder, asked, prefix=prefix)
    return await stream_run(request, run, done=b"[DONE]")


async def start_streamed(
    request: web.Request,
    question: Question,
    options: RaceOptions,
    encoder: Encoder,
    asked: FrontrunnerOptions,
    *,
    prefix: str,
) -> Run:
    """Start a race whose frames are streamed; hold it before the next ``await``.

    Raises:
        FrontrunnerError: see ``Runs.begin`` and ``Runs.begun``.
    """
    runs = request.app[RUNS]
    run = runs.begin(
        question,
        options,
        encoder,
        prefix=prefix,
        keep_on_disconnect=asked.keeps_on,
        kept=asked.keeps_on,
        owner=key_name(request),
    )
    return await runs.begun(run, wanted=lambda: request.transport is not None)


async def answer_race(
    request: web.Request,
    question: Question,
    options: RaceOptions,
    asked: FrontrunnerOptions,
    *,
    prefix: str,
) -> tuple[str, Result]:
    """Run a race to its end: its id, which begins with ``prefix``, and its outcome.

    Raises:
        FrontrunnerError: see ``Run.result``.
        ClientGone: nobody waits for it any more.
    """
    runs = request.app[RUNS]
    run = runs.begin(
        question,
        options,
        prefix=prefix,
        keep_on_disconnect=asked.keeps_on,
        kept=False,
        owner=key_name(request),
    )
    await runs.begun(run)
    return run.id, await result_of(request, run)


async def result_of(request: web.Request, run: Run) -> Result:
    """The outcome of ``run``, as long as the client is there to get it.

    Raises:
        FrontrunnerError: see ``Run.result``.
        ClientGone: it is not any more.
    """
    with run.holding():
        while request.transport is not None:
            with anyio.move_on_after(POLL_INTERVAL):
                return await run.result()
    raise ClientGone


def choices_of(result: Result, count: int, form: ReplyForm) -> list[Choice]:
    """The winner, and behind it the best placed other branches, at most ``count`` in all."""
    branch = shown_branch(result)
    # Without an answer what the branch was forced to say is not shown.
    whole = branch is not None and len(branch.text) == len(result.text)
    winner = _choice(
        form,
        answer=result.answer,
        text=result.text,
        forced_at=branch.forced_at if branch is not None and whole else None,
        ended=result.answer is not None or result.stop_reason is not StopReason.DEADLINE
        if branch is None
        else _ended_itself(branch),
        tokens=shown_tokens(result),
        thinking=result.thinking,
    )
    return [winner, *(_choice_of(branch, form, result) for branch in _placed(result)[: count - 1])]


def usage(results: Sequence[Result], choices: int, account: Account) -> Usage:
    """The tokens that the client received in so many choices of each race, its prompt's once. What
    the races cost stands in ``frontrunner``."""
    parts = [spent_on(result, choices, account) for result in results]
    spent = Spent(
        sum(part.prompt for part in parts),
        sum(part.completion for part in parts),
        sum(part.reasoning for part in parts),
    )
    return {**spent.as_usage(), "frontrunner": account.summary(*results)}


def spent_on(result: Result, choices: int, account: Account) -> Spent:
    """The tokens of the prompt and of so many choices."""
    received = choices_of(result, choices, account.form)
    counts = [
        account.spent(
            c.text, c.tokens, (c.answer or "") if c.calls else c.content, apart=bool(c.reasoning)
        )
        for c in received
    ]
    completion, reasoning = (sum(part) for part in zip(*counts, strict=True))
    return Spent(result.prompt_tokens, completion, reasoning)


async def count_ahead(result: Result, choices: int, account: Account) -> None:
    """Count the tokens of so many choices in a thread if that takes long; they are remembered, so
    that telling the choices does not hold others up."""
    if choices * len(result.text) > _COUNTED_AT_ONCE:
        await anyio.to_thread.run_sync(spent_on, result, choices, account)


def _placed(result: Result) -> Sequence[BranchReport]:
    """All branches but the winner's: finished ones first, of these the most agreed on, …"""
    shown = shown_branch(result)
    votes = {**result.forced_votes, **result.votes}

    def place(branch: BranchReport) -> tuple[Any, ...]:
        return (
            not _ended_itself(branch),
            branch.answer is None,
            -votes.get(branch.answer or "", 0),
            -(branch.score if branch.score is not None else float("-inf")),
            -branch.tokens,
            branch.index,
        )

    return sorted((b for b in result.branches if b is not shown), key=place)


def _choice_of(branch: BranchReport, form: ReplyForm, result: Result) -> Choice:
    return _choice(
        form,
        answer=branch.answer,
        text=branch.text,
        forced_at=branch.forced_at,
        ended=_ended_itself(branch),
        tokens=branch.tokens + branch.inherited_tokens,
        thinking=result.thinking,
    )


def _choice(
    form: ReplyForm,
    *,
    answer: str | None,
    text: str,
    forced_at: int | None,
    ended: bool,
    tokens: int,
    thinking: ThinkingFormat | None,
) -> Choice:
    told = form.tell(answer, text, forced_at, ended=ended, thinking=thinking)
    return Choice(
        content=told.content,
        calls=told.calls,
        reasoning="" if form.raw else _reasoning(text, told, thinking),
        finish_reason=told.finish_reason,
        answer=answer,
        text=text,
        tokens=tokens,
    )


def _reasoning(text: str, told: ReplyContent, thinking: ThinkingFormat | None) -> str:
    """What the model wrote before the reply; all of it where the content is something else. Without
    marks, where they are known."""
    if thinking is not None:
        said = thinking.read(text)
        other = not told.calls and not told.repeated and told.content
        return (said.plain if other else said.reasoning).strip()
    if told.content == text:
        return ""
    whole = text.rstrip()
    return whole.removesuffix(told.repeated).rstrip() if told.repeated else text


def _ended_itself(branch: BranchReport) -> bool:
    return branch.status is BranchStatus.FINISHED and not branch.truncated
