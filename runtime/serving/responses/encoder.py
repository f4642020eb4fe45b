"""A race in the words of the Responses API.

While the race runs, the branch in front is a ``reasoning`` item; the decided answer is a
``message`` item, or ``function_call`` items where answers are calls of tools. The shapes are those
of the OpenAI SDK's ``types/responses``; what a race tells beyond them are events named
``frontrunner.*`` and the ``frontrunner`` object of the response.

==========================  ========================  ===============================
the race                    last event                ``status`` of the response
==========================  ========================  ===============================
gave an answer, or a text   ``response.completed``    ``completed``
gave neither                ``response.incomplete``   ``incomplete``
was cancelled               ``response.incomplete``   ``cancelled`` (there is no event
                                                      of that name)
lost every branch           ``response.failed``       ``failed``
==========================  ========================  ===============================
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from frontrunner.strategies.protocol import StopReason

from ...answers.combined import ToolCall, read_calls
from ...errors import FrontrunnerError
from ...events.types import Event
from ...result import Result
from ..errors import RunCancelled
from ..replies.completion_races import choices_of, count_ahead, spent_on
from ..replies.live_reasoning import LiveReasoning
from ..replies.race_events import extra_frame
from ..replies.race_summary import summary
from ..replies.usage import Account
from ..reply_bodies import (
    FunctionCallItem,
    IncompleteDetails,
    ItemStatus,
    OutputItem,
    OutputText,
    ReasoningPart,
    Response,
    ResponseEcho,
    ResponseEnd,
    ResponseError,
    ResponseStatus,
    ResponseUsage,
    WrittenItem,
)
from ..runs.frames import Frame, JsonFrame, TextFrame
from ..runs.leader_stream import Answer, Decided, Extra, Reasoning, StreamItem

Json = dict[str, Any]
#: What a frame takes beside its text, about, in bytes.
_ENVELOPE = 512


class ResponseEncoder:
    """Tells one race. ``response`` is the response object as it stands, at any time."""

    def __init__(
        self,
        echo: ResponseEcho,
        *,
        events: bool,
        account: Account,
        calls_tools: bool = False,
        on_end: Callable[[Response], None] | None = None,
    ) -> None:
        """
        Args:
            echo: the fields of the response that repeat the request.
            events: whether branches and votes are told of.
            account: counts tokens, and knows what was ignored.
            calls_tools: answers are calls of tools, as ``answers.extraction.tool_calls`` spells
                them.
            on_end: called with the final response object, before its last event is sent.
        """
        self._events = events
        self._account = account
        self._live = LiveReasoning(account.form)
        self._calls_tools = calls_tools
        self._on_end = on_end
        self.catch_up: Callable[[], None] = lambda: None
        """Called before a snapshot: has it told all that has happened."""
        self._pieces: list[str] = []  # of the item that is being written
        self._open: str | None = None  # the type of the item that is being written
        self._ids: Json = {}  # where a text belongs
        self.response: Response = {
            "id": "",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            **echo,
            "output": [],
            "usage": None,
        }

    @property
    def tells_events(self) -> bool:
        return self._events

    def snapshot(self) -> Response:
        """The response as it stands, with the text that was written so far."""
        self.catch_up()
        if self._open is None:
            return self.response
        *ended, item = self.response["output"]
        return {**self.response, "output": [*ended, _written(item, "".join(self._pieces))]}

    # ── what is told ──────────────────────────────────────────────────────────────────────────

    def start(self, run_id: str) -> Iterable[Frame]:
        """The first events."""
        self.response = {**self.response, "id": run_id}
        yield _event("response.created", {"response": self.response})
        yield _event("response.in_progress", {"response": self.response})

    def encode(self, item: StreamItem) -> Iterable[Frame]:
        """The events for what was told."""
        match item:
            case Reasoning():
                text = self._live.told(item)
                return self._reason(text) if text else ()
            case Answer() if self._calls_tools and (calls := read_calls(item.text)):
                return self._call(calls)
            case Answer():
                return self._say(item.text)
            case Extra():
                self._live.see(item.event)
                return (_extra(item.event),) if self._events else ()
            case Decided():
                return self._decide(item.result)

    async def before_decided(self, result: Result) -> None:
        """Count what is told, in a thread if it is long."""
        await count_ahead(result, 1, self._account)

    def content(self, result: Result) -> str:
        """What is told as the answer: the content of the reply, or its calls as JSON."""
        return choices_of(result, 1, self._account.form)[0].content

    def fail(self, error: FrontrunnerError) -> Iterable[Frame]:
        """The last events of a response that has no result: it was cancelled, or an error ended
        it."""
        yield from self._close("incomplete")
        if isinstance(error, RunCancelled):
            yield self._end("cancelled", {})
        else:
            yield self._end("failed", {"error": {"code": "server_error", "message": str(error)}})

    def prepare(self, run_id: str) -> Iterable[Frame]:
        """All events of a response for which nothing is generated."""
        yield from self.start(run_id)
        usage: ResponseUsage = {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        }
        yield self._end("completed", {"usage": usage})

    # ── items ─────────────────────────────────────────────────────────────────────────────────

    def _reason(self, text: str) -> Iterable[Frame]:
        if self._open != "reasoning":
            yield from self._close()
            yield from self._begin(
                {
                    "id": self._item_id("rs"),
                    "type": "reasoning",
                    "summary": [],
                    "content": [],
                    "status": "in_progress",
                }
            )
        self._pieces.append(text)
        yield _delta("response.reasoning_text.delta", self._ids, text)

    def _say(self, text: str) -> Iterable[Frame]:
        if self._open != "message":
            yield from self._close()
            yield from self._begin(
                {
                    "id": self._item_id("msg"),
                    "type": "message",
                    "role": "assistant",
                    "content": [],
                    "status": "in_progress",
                }
            )
        self._pieces.append(text)
        yield _delta("response.output_text.delta", {**self._ids, "logprobs": []}, text)

    def _call(self, calls: list[ToolCall]) -> Iterable[Frame]:
        yield from self._close()
        for call in calls:
            index = len(self.response["output"])
            item_id, arguments = self._item_id("fc"), call.arguments
            item: FunctionCallItem = {
                "id": item_id,
                "type": "function_call",
                "call_id": self._item_id("call"),
                "name": call.name,
                "arguments": "",
                "status": "in_progress",
            }
            ids = {"item_id": item_id, "output_index": index}
            yield _event(
                "response.output_item.added",
                {"output_index": index, "item": item},
            )
            yield _delta("response.function_call_arguments.delta", ids, arguments)
            yield _event(
                "response.function_call_arguments.done",
                {**ids, "name": call.name, "arguments": arguments},
            )
            done: FunctionCallItem = {**item, "arguments": arguments, "status": "completed"}
            yield _event("response.output_item.done", {"output_index": index, "item": done})
            self._put(done)

    def _begin(self, item: WrittenItem) -> Iterable[Frame]:
        index = len(self.response["output"])
        self._open = item["type"]
        self._ids = {"item_id": item["id"], "output_index": index, "content_index": 0}
        self._put(item)
        yield _event("response.output_item.added", {"output_index": index, "item": item})
        yield _event("response.content_part.added", {**self._ids, "part": _part(item["type"], "")})

    def _close(self, status: ItemStatus = "completed") -> Iterable[Frame]:
        """End the item that is being written, if any."""
        if self._open is None:
            return
        text = "".join(self._pieces)
        part = _part(self._open, text)
        fields = {**self._ids, "text": text}
        if self._open == "message":
            fields["logprobs"] = []
        self._pieces, self._open = [], None
        yield _event(f"response.{part['type']}.done", fields, text=text)
        yield _event("response.content_part.done", {**self._ids, "part": part})
        index = self._ids["output_index"]
        item = _written(self.response["output"][index], text)
        item["status"] = status
        self.response = {**self.response, "output": [*self.response["output"][:index], item]}
        yield _event("response.output_item.done", {"output_index": index, "item": item})

    def _put(self, item: OutputItem) -> None:
        self.response = {**self.response, "output": [*self.response["output"], item]}

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self.response['id'].partition('_')[2]}_{len(self.response['output'])}"

    # ── the end ────────────────────────────────────────────────────────────────────

    def _decide(self, result: Result) -> Iterable[Frame]:
        (reply,) = choices_of(result, 1, self._account.form)
        cut = reply.finish_reason == "length"
        yield from self._close("incomplete" if cut and self._open == "message" else "completed")
        replied = not cut and any(item["type"] != "reasoning" for item in self.response["output"])
        extra: ResponseEnd = {
            "frontrunner": summary(result, self._account.ignored),
            "usage": _usage(result, self._account),
        }
        if result.stop_reason is StopReason.CANCELLED:
            yield self._end("cancelled", extra)
        elif replied:
            yield self._end("completed", extra)
        elif result.stop_reason is StopReason.FAILED:
            lost = next((b.error for b in result.branches if b.error), "every branch was lost")
            error: ResponseError = {"code": "server_error", "message": lost}
            yield self._end("failed", {**extra, "error": error})
        else:
            why: IncompleteDetails = {"reason": "max_output_tokens"}
            yield self._end("incomplete", {**extra, "incomplete_details": why})

    def _end(self, status: ResponseStatus, fields: ResponseEnd) -> Frame:
        self.response = {
            **self.response,
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            **fields,
        }
        # Who is told of the end keeps this encoder: held after that, it would be a cycle.
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self.response)
        event = "incomplete" if status == "cancelled" else status
        return _event(f"response.{event}", {"response": self.response}, terminal=True)


def response_of(item_id: str) -> str | None:
    """The id of the response that has an output item of this id, as ``ResponseEncoder`` makes them;
    None: it makes no such ids."""
    _, _, rest = item_id.partition("_")
    response, _, place = rest.rpartition("_")
    return f"resp_{response}" if response and place else None


def _event(name: str, fields: Json, *, terminal: bool = False, text: str = "") -> JsonFrame:
    """An event; ``text`` is what it alone holds. Closing events repeat a text that is kept once: it
    is counted at one of them."""
    return JsonFrame(
        {"type": name, **fields},
        terminal,
        event=name,
        numbered="sequence_number",
        size=_ENVELOPE + 2 * len(text),
    )


def _delta(name: str, fields: Json, text: str) -> TextFrame:
    """A piece of a text; ``fields`` say where it belongs."""
    return TextFrame(
        text,
        lambda text, tokens: {"type": name, **fields, "delta": text},
        key=fields["item_id"],
        event=name,
        numbered="sequence_number",
    )


def _extra(event: Event) -> Frame:
    return extra_frame(event, named=True, numbered="sequence_number")


def _part(item_type: str, text: str) -> ReasoningPart | OutputText:
    """The content of a reasoning item, or of a message."""
    if item_type == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return _output_text(text)


def _output_text(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _written(item: OutputItem, text: str) -> WrittenItem:
    """``item``, which is being written, with the text that it has so far."""
    match item["type"]:
        case "reasoning":
            return {**item, "content": [{"type": "reasoning_text", "text": text}]}
        case "message":
            return {**item, "content": [_output_text(text)]}
        case "function_call":
            raise ValueError("a call is not written piece by piece")


def _usage(result: Result, account: Account) -> ResponseUsage:
    """The tokens that the client received; what the race cost stands in ``frontrunner``."""
    spent = spent_on(result, 1, account)
    return {
        "input_tokens": spent.prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": spent.completion,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.prompt + spent.completion,
    }
