"""Responses as runs: how they start, are found again, and what goes wrong with them is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from ..engines.protocol import Message
from ..errors import FrontrunnerError
from ..race_options import answer_kind
from .errors import NotFound, error_object, status_of
from .replies import check_model, wants_events
from .request_options import race_options
from .response_bodies import ResponseBody
from .response_encoder import ResponseEncoder
from .response_store import ResponseStore
from .run_log import FramesExpired
from .runs import Run
from .state import RUNS, RUNTIME

#: What the id of a response begins with.
PREFIX = "resp_"

STORE = web.AppKey("frontrunner.responses", ResponseStore)


class PreviousNotFound(NotFound):
    """The response to go on from is not kept."""

    code = "previous_response_not_found"
    param = "previous_response_id"


class EventsGone(FramesExpired):
    """The events of a response are not kept any more."""

    def __init__(self, response_id: str) -> None:
        FrontrunnerError.__init__(
            self, f"the events of {response_id} are not kept any more; the response itself is"
        )


async def start_response(
    app: web.Application, body: ResponseBody, headers: Mapping[str, str], owner: str | None
) -> tuple[Run, ResponseEncoder]:
    """Start the race of a response. Hold the run before the next ``await``.

    Raises:
        FrontrunnerError: it cannot be run; nothing was started.
    """
    store, model, asked = app[STORE], check_model(app, body.model), body.frontrunner
    earlier = _earlier(store, body.previous_response_id, owner)
    tools = body.chat_tools()
    options = race_options(
        asked,
        headers,
        app[RUNTIME].settings,
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        tools=tools,
    )
    if tools and answer_kind(options.get("answers")) is None:
        options["answers"] = "tool_call"
    encoder = ResponseEncoder(
        body.echo(model),
        events=wants_events(app, asked),
        # Text is JSON too: only where calls are what an answer is can an answer be a call.
        calls_tools=answer_kind(options.get("answers")) == "tool_call",
        on_end=lambda response: store.ended(response["id"]),
    )
    run = await app[RUNS].start(
        body.messages(earlier),
        options,
        encoder,
        prefix=PREFIX,
        keep_on_disconnect=asked.keeps_on or bool(body.background),
        owner=owner,
    )
    if body.store is not False:
        store.add(run.id, encoder, owner, [*earlier, *body.turns()])
    return run, encoder


def find_run(app: web.Application, response_id: str, owner: str | None) -> Run:
    """
    Raises:
        NotFound: it is not kept (any more), or somebody else's.
    """
    run = app[RUNS].get(response_id)
    if run is None or not response_id.startswith(PREFIX) or run.owner != owner:
        raise NotFound(f"there is no response {response_id[:100]!r}, or not any more")
    return run


def find_events(app: web.Application, response_id: str, owner: str | None) -> Run:
    """The run whose events are those of a response.

    Raises:
        EventsGone: only the response itself is kept.
        NotFound: neither is (any more), or it is somebody else's.
    """
    try:
        return find_run(app, response_id, owner)
    except NotFound:
        app[STORE].response(response_id, owner)
        raise EventsGone(response_id) from None


def told_error(error: FrontrunnerError) -> tuple[int, dict[str, Any]]:
    """HTTP status, and ``{message, type, param, code}``, of what goes wrong here."""
    told = error_object(error)
    if (code := getattr(error, "code", None)) is not None:
        told["code"] = code
    return getattr(error, "status", status_of(error)), told


def _earlier(store: ResponseStore, previous: str | None, owner: str | None) -> Sequence[Message]:
    if previous is None:
        return []
    try:
        return store.conversation(previous, owner)
    except NotFound as error:
        raise PreviousNotFound(str(error)) from None
