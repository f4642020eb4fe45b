"""``/v1/responses``: OpenAI's Responses API.

* ``POST /v1/responses`` answers with the response object, or with a stream of its events. With
  ``background`` it answers at once, and the race goes on without its client.
* ``GET /v1/responses/{id}`` gives the response as it stands; with ``?stream=true`` its events, from
  the one after ``starting_after`` (or the header ``Last-Event-ID``) on, or 410 ``events_expired``
  if they are not kept any more.
* ``POST /v1/responses/{id}/cancel`` ends it, ``DELETE /v1/responses/{id}`` forgets it.
* ``GET /v1/responses`` is the websocket, see ``websocket``.
"""

from contextlib import suppress

import anyio
from aiohttp import web

from ...errors import FrontrunnerError
from ..app_keys import SETTINGS
from ..errors import BadParameter, json_response
from ..replies.completion_races import ClientGone
from ..reply_bodies import DeletedResponse, Error
from ..requests.request_body import read_request
from ..runs.run import RUNS, Run
from ..runs.sse_stream import POLL_INTERVAL, stream_run, streamed
from ..security.api_keys import key_name
from .bodies import ResponseBody
from .response_runs import (
    STORE,
    Memory,
    PreviousNotFound,
    find_events,
    prepare_response,
    start_response,
    status_and_error,
)
from .store import ResponseStore
from .websocket import SOCKETS, close_sockets, open_socket

_LAST_EVENT_ID = "Last-Event-ID"


def add_routes(app: web.Application) -> None:
    """Serve it."""
    app[STORE], app[SOCKETS] = ResponseStore(), set()
    app.on_shutdown.append(close_sockets)
    app.router.add_post("/v1/responses", create)
    app.router.add_get("/v1/responses", open_socket, allow_head=False)
    app.router.add_get("/v1/responses/{response_id}", retrieve, allow_head=False)
    app.router.add_delete("/v1/responses/{response_id}", delete)
    app.router.add_post("/v1/responses/{response_id}/cancel", cancel)


async def create(request: web.Request) -> web.StreamResponse:
    """``POST /v1/responses``"""
    body = await read_request(request, ResponseBody, request.app[SETTINGS])
    memory = Memory(request.app, key_name(request))
    try:
        if body.only_prepares:
            _, encoder, frames = await prepare_response(request.app, body, memory)
            return streamed(frames) if body.stream else json_response(encoder.response)
        run, encoder = await start_response(request.app, body, request.headers, memory)
    except PreviousNotFound as error:
        status, told = status_and_error(error)
        refused: Error = {"error": told}
        return json_response(refused, status=status)
    if body.stream:
        return await stream_run(request, run, ids=True)
    if body.background:
        return json_response(encoder.snapshot())
    with run.holding():
        await _ended(request, run)
    if not run.done:
        raise ClientGone
    return json_response(encoder.response)


async def retrieve(request: web.Request) -> web.StreamResponse:
    """``GET /v1/responses/{id}``"""
    response_id, owner = request.match_info["response_id"], key_name(request)
    if _flag(request, "stream"):
        run = find_events(request.app, response_id, owner)
        return await stream_run(request, run, after=_starting_after(request), ids=True)
    return json_response(request.app[STORE].response(response_id, owner))


async def cancel(request: web.Request) -> web.StreamResponse:
    """``POST /v1/responses/{id}/cancel``; a response that has ended stays as it is."""
    response_id, owner = request.match_info["response_id"], key_name(request)
    store = request.app[STORE]
    store.response(response_id, owner)  # is it there, and theirs?
    run = request.app[RUNS].get(response_id)
    if run is not None and run.owner == owner and not run.done:
        run.cancel()
        await _ended(request, run)
    return json_response(store.response(response_id, owner))


async def delete(request: web.Request) -> web.StreamResponse:
    """``DELETE /v1/responses/{id}``: forget it. It is cancelled if it still runs."""
    response_id, owner = request.match_info["response_id"], key_name(request)
    request.app[STORE].delete(response_id, owner)
    run = request.app[RUNS].get(response_id)
    if run is not None and run.owner == owner:
        run.cancel()
    body: DeletedResponse = {"id": response_id, "object": "response.deleted", "deleted": True}
    return json_response(body)


async def _ended(request: web.Request, run: Run) -> None:
    """Wait until the race has ended, or the client has gone."""
    while not run.done and request.transport is not None:
        with anyio.move_on_after(POLL_INTERVAL), suppress(FrontrunnerError):
            await run.result()


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name, "false").lower()
    if value not in ("true", "false"):
        raise BadParameter(f"{name} must be true or false", name)
    return value == "true"


def _starting_after(request: web.Request) -> int:
    """The number of the last event that the client has; -1: none."""
    name, value = "starting_after", request.query.get("starting_after")
    if value is None:
        name, value = _LAST_EVENT_ID, request.headers.get(_LAST_EVENT_ID, "-1")
    try:
        number = int(value)
    except ValueError:
        number = -2
    if number < -1:
        raise BadParameter(f"{name} must be the number of an event", name)
    return number
