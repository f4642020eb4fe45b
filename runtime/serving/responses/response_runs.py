"""Responses as runs: how they start, are found again, and what goes wrong with them is told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Any, Final

from aiohttp import web

from ...common.json_bytes import json_bytes
from ...engines.protocol import Message
from ...errors import FrontrunnerError
from ...prompts.messages import Conversation
from ..app_keys import RUNTIME
from ..errors import BadParameter, EventsExpired, NotFound, error_object, status_of
from ..replies.completion_races import check_model, wants_events
from ..replies.usage import Account
from ..reply_bodies import ErrorObject
from ..requests.request_options import race_options
from ..requests.slices import SLICES
from ..runs.frames import Frame
from ..runs.run import RUNS, Run
from .bodies import ResponseBody
from .encoder import ResponseEncoder, response_of
from .store import ResponseStore

#: What the id of a response begins with.
PREFIX = "resp_"
#: Bytes of a conversation for which nothing is generated: only a race finds out what is too long.
_MAX_PREPARED: Final = 4 << 20

STORE = web.AppKey("frontrunner.responses", ResponseStore)


class PreviousNotFound(NotFound):
    """The response to go on from is not kept."""

    code = "previous_response_not_found"
    param = "previous_response_id"


class EventsGone(EventsExpired):
    """The events of a response are not kept any more."""

    def __init__(self, response_id: str) -> None:
        FrontrunnerError.__init__(
            self, f"the events of {response_id} are not kept any more; the response itself is"
        )


class Memory:
    """What responses can go on from: those that are kept for all connections of their owner, and
    those that a websocket keeps for itself, as they are not to be stored."""

    def __init__(
        self, app: web.Application, owner: str | None, own: ResponseStore | None = None
    ) -> None:
        """
        Args:
            app: keeps what is stored.
            owner: the name of the key that asks.
            own: of the websocket; None: the request came by itself.
        """
        self.owner = owner
        self._shared, self._own = app[STORE], own

    @property
    def streams(self) -> bool:
        """Whether all that is asked for is streamed."""
        return self._own is not None

    def conversation(self, previous: str | None) -> Sequence[Message]:
        """What was said up to a response, and what it said; nothing without one.

        Raises:
            PreviousNotFound: it is not kept (any more), or somebody else's.
        """
        if previous is None:
            return []
        try:
            return self._holder(previous).conversation(previous, self.owner)
        except NotFound as error:
            raise PreviousNotFound(str(error)) from None

    def item(self, item_id: str) -> Mapping[str, Any]:
        """See ``ResponseStore.item``."""
        return self._holder(response_of(item_id)).item(item_id, self.owner)

    def add(
        self, response_id: str, encoder: ResponseEncoder, turns: Sequence[Message], *, stored: bool
    ) -> None:
        """Keep a response, if there is where to; see ``ResponseStore.add``."""
        store = self._shared if stored else self._own
        if store is not None:
            store.add(response_id, encoder, self.owner, turns)

    def ended(self, response_id: str) -> None:
        """Count what a response has become."""
        self._holder(response_id).ended(response_id)

    def _holder(self, response_id: str | None) -> ResponseStore:
        own = self._own
        return own if own is not None and response_id in own else self._shared


async def prepare_response(
    app: web.Application, body: ResponseBody, memory: Memory
) -> tuple[str, ResponseEncoder, Sequence[Frame]]:
    """A response for which nothing is generated: its id, and all of its events. A later one goes on
    from its input. No race is run: the engine keeps the beginnings of prompts by itself.

    Raises:
        FrontrunnerError: it cannot be.
    """
    model, earlier = check_model(app, body.model), memory.conversation(body.previous_response_id)
    account = Account.of(app, body.without_effect())
    turns = [*earlier, *await body.turns(memory.item, app[SLICES])]
    if len(json_bytes(turns)) > _MAX_PREPARED:
        raise BadParameter(f"input: over {_MAX_PREPARED:,} bytes with what came before", "input")
    encoder = ResponseEncoder(body.echo(model), events=False, account=account)
    response_id = f"{PREFIX}{token_hex(12)}"
    frames = list(encoder.prepare(response_id))
    memory.add(response_id, encoder, turns, stored=body.store is not False)
    return response_id, encoder, frames


async def start_response(
    app: web.Application, body: ResponseBody, headers: Mapping[str, str], memory: Memory
) -> tuple[Run, ResponseEncoder]:
    """Start the race of a response. Hold the run before the next ``await``.

    Raises:
        FrontrunnerError: it cannot be run; nothing was started.
    """
    model, asked = check_model(app, body.model), body.frontrunner
    earlier = memory.conversation(body.previous_response_id)
    account = Account.of(app, body.without_effect())
    kind = await body.reply_kind(app, account.count)
    account = replace(account, form=kind.form)
    turns = await body.turns(memory.item, app[SLICES])
    options = race_options(
        asked,
        headers,
        app[RUNTIME].settings,
        streams=bool(body.stream or body.background or memory.streams),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        thinking_token_budget=body.thinking_token_budget,
        seed=body.seed,
        **kind.race,
    )
    encoder = ResponseEncoder(
        body.echo(model),
        events=wants_events(app, asked),
        account=account,
        # Text is JSON too: only where calls may be answers can an answer be a call.
        calls_tools=kind.form.calls,
        on_end=lambda response: memory.ended(response["id"]),
    )
    run = app[RUNS].begin(
        Conversation(body.messages(earlier, turns)),
        options,
        encoder,
        prefix=PREFIX,
        keep_on_disconnect=asked.keeps_on or bool(body.background),
        owner=memory.owner,
    )
    await app[RUNS].begun(run)
    encoder.catch_up = run.catch_up
    memory.add(run.id, encoder, [*earlier, *turns], stored=body.store is not False)
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


def status_and_error(error: FrontrunnerError) -> tuple[int, ErrorObject]:
    """HTTP status, and ``{message, type, param, code}``, of what goes wrong here."""
    told = error_object(error)
    if (code := getattr(error, "code", None)) is not None:
        told["code"] = code
    return getattr(error, "status", status_of(error)), told
