"""What the two completion APIs share: choices, reasons, usage, and how a request becomes a race."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import anyio
from aiohttp import web

from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..race_options import Question, RaceOptions
from ..result import BranchReport, Result
from .errors import BadParameter, UnknownModel, json_response
from .frames import Encoder
from .keys import key_name
from .narration import reply_text
from .request_options import FrontrunnerOptions
from .runs import Run
from .sse import LOOK, stream_run
from .state import RUNS, SETTINGS, served_model
from .summary import summary


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the replies to a request."""

    content: str
    reasoning: str  # empty: the content is all there is
    finish_reason: str
    answer: str | None
    text: str  # all that the model wrote


class ClientGone(Exception):
    """Nobody waits for the response any more."""


def check_model(app: web.Application, asked: str | None) -> str:
    """The name of the model that answers.

    Raises:
        UnknownModel: another one is asked for.
    """
    served = served_model(app)
    if asked is not None and asked != served:
        raise UnknownModel(asked, served)
    return served


def branches_for(choices: int, asked: FrontrunnerOptions, default: int) -> int | None:
    """How many branches must race so that there are that many choices; None: as it is.

    Raises:
        BadParameter: the request itself asks for fewer branches than choices.
    """
    if asked.branches is not None and asked.branches < choices:
        raise BadParameter(
            f"n: {choices} choices need as many branches, and frontrunner.branches is "
            f"{asked.branches}",
            "n",
        )
    return choices if asked.branches is None and default < choices else None


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
        FrontrunnerError: see ``Runs.start``.
    """
    run = await request.app[RUNS].start(
        question,
        options,
        encoder,
        prefix=prefix,
        keep_on_disconnect=asked.keeps_on,
        kept=asked.keeps_on,
        owner=key_name(request),
        wanted=lambda: request.transport is not None,
    )
    return await stream_run(request, run, done=b"[DONE]")


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
    run = await request.app[RUNS].start(
        question,
        options,
        prefix=prefix,
        keep_on_disconnect=asked.keeps_on,
        kept=False,
        owner=key_name(request),
    )
    return run.id, await result_of(request, run)


def completion(
    id: str, kind: str, model: str, choices: list[dict[str, Any]], result: Result
) -> web.Response:
    """The body of a completion that is not streamed; ``kind`` is its ``object``."""
    return json_response(
        {
            "id": id,
            "object": kind,
            "created": int(time()),
            "model": model,
            "choices": choices,
            "usage": usage(result),
            "frontrunner": summary(result),
        }
    )


async def result_of(request: web.Request, run: Run) -> Result:
    """The outcome of ``run``, as long as the client is there to get it.

    Raises:
        FrontrunnerError: see ``Run.result``.
        ClientGone: it is not any more.
    """
    with run.holding():
        while request.transport is not None:
            with anyio.move_on_after(LOOK):
                return await run.result()
    raise ClientGone


def choices_of(result: Result, count: int) -> list[Choice]:
    """The winner, and behind it the best placed other branches, at most ``count`` in all."""
    winner = Choice(
        content=reply_text(result),
        reasoning=result.text if result.answer is not None else "",
        finish_reason=_winners_reason(result),
        answer=result.answer,
        text=result.text,
    )
    return [winner, *(_choice(branch) for branch in _placed(result)[: count - 1])]


def usage(result: Result) -> dict[str, Any]:
    """Tokens; those of all branches count, since all were generated."""
    return {
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.tokens_generated,
        "total_tokens": result.prompt_tokens + result.tokens_generated,
        "frontrunner": summary(result),
    }


def _winners_reason(result: Result) -> str:
    if result.answer is not None:
        return "stop"
    # A text without an answer in it is a reply too, if it came to its end.
    return "length" if result.stop_reason is StopReason.DEADLINE else "stop"


def _placed(result: Result) -> Sequence[BranchReport]:
    """All branches but the winner's: finished ones first, of these the most agreed on, …"""
    standing = [b for b in result.branches if b.text.startswith(result.text)]
    shown = next((b for b in standing if b.answer == result.answer), next(iter(standing), None))
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


def _choice(branch: BranchReport) -> Choice:
    decided = branch.answer is not None
    return Choice(
        content=branch.answer if branch.answer is not None else branch.text,
        reasoning=branch.text if decided else "",
        finish_reason="stop" if decided or _ended_itself(branch) else "length",
        answer=branch.answer,
        text=branch.text,
    )


def _ended_itself(branch: BranchReport) -> bool:
    return branch.status is BranchStatus.FINISHED
