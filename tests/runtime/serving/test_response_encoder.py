"""A race in the words of the Responses API: rules that hold whatever is told."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from frontrunner.runtime.result import Result
from frontrunner.runtime.serving.errors import RaceLost, RunCancelled
from frontrunner.runtime.serving.replies.usage import Account
from frontrunner.runtime.serving.reply_bodies import Response
from frontrunner.runtime.serving.responses.bodies import ResponseBody, reply_turns
from frontrunner.runtime.serving.responses.encoder import ResponseEncoder
from frontrunner.runtime.serving.runs.leader_stream import Answer, Decided, Reasoning, StreamItem
from frontrunner.runtime.serving.runs.replay_buffer import ReplayBuffer
from frontrunner.strategies.protocol import StopReason

#: Counts words.
ACCOUNT = Account(lambda text: len(text.split()))
ECHO = ResponseBody(input="x").echo("m")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
reasons = st.sampled_from(StopReason)


def result(reason: StopReason, answer: str | None = None) -> Result:
    return Result("r", answer, "because", 0.5, reason, 1.0, 2.0, prompt_tokens=3)


@st.composite
def tellings(draw: st.DrawFn) -> list[StreamItem]:
    """Reasoning, perhaps an answer in pieces, and the end."""
    told: list[StreamItem] = [Reasoning(text, 0) for text in draw(st.lists(texts, max_size=6))]
    answer = draw(st.lists(texts, max_size=3))
    told += [Answer(text) for text in answer]
    return [*told, Decided(result(draw(reasons), "".join(answer) or None))]


def encoded(told: list[StreamItem], *, taken: bool = True, **options: Any) -> list[dict[str, Any]]:
    """The events of a run; ``taken``: a reader takes each before the next comes."""
    encoder = ResponseEncoder(ECHO, events=False, account=ACCOUNT, **options)
    log = ReplayBuffer(10_000, 10_000_000)
    log.extend(encoder.start("resp_1"))
    for item in told:
        for frame in encoder.encode(item):
            log.extend([frame])
            if taken:
                log._taken = log.next - 1
    frames = [log._frames[n] for n in range(log.next)]
    return [orjson.loads(frame.encode(n)) for n, frame in enumerate(frames)]


@given(tellings(), st.booleans())
def test_every_event_has_the_sdks_shape_and_place(told: list[StreamItem], taken: bool) -> None:
    events = encoded(told, taken=taken)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        assert EVENT.validate_python(event).type == event["type"]
    assert sum(e["type"] in TERMINAL for e in events) == 1
    assert events[-1]["type"] in TERMINAL


TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@given(tellings(), st.booleans())
def test_pieces_make_up_the_whole(told: list[StreamItem], taken: bool) -> None:
    events = encoded(told, taken=taken)
    items: dict[int, dict[str, Any]] = {}
    pieces: dict[int, str] = {}
    for event in events:
        kind, index = event["type"], event.get("output_index", -1)
        if kind == "response.output_item.added":
            assert index == len(items)
            items[index] = event["item"]
            pieces[index] = ""
        elif kind.endswith("_text.delta"):
            assert event["item_id"] == items[index]["id"]
            pieces[index] += event["delta"]
        elif kind.endswith("_text.done"):
            assert event["text"] == pieces[index]
        elif kind == "response.content_part.done":
            assert event["part"]["text"] == pieces[index]
        elif kind == "response.output_item.done":
            assert event["item"]["id"] == items[index]["id"]
            items[index] = event["item"]
    response = events[-1]["response"]
    assert response["output"] == [items[i] for i in range(len(items))]
    said = {item["type"]: item["content"][0]["text"] for item in response["output"]}
    assert said.get("reasoning", "") == "".join(t.text for t in told if isinstance(t, Reasoning))
    assert said.get("message", "") == "".join(t.text for t in told if isinstance(t, Answer))


@given(tellings())
def test_the_status_follows_the_outcome(told: list[StreamItem]) -> None:
    last = encoded(told)[-1]
    end = told[-1]
    assert isinstance(end, Decided)
    reason, answered = end.result.stop_reason, any(isinstance(t, Answer) for t in told)
    status = last["response"]["status"]
    if reason is StopReason.CANCELLED:
        assert (last["type"], status) == ("response.incomplete", "cancelled")
    elif answered:
        assert (last["type"], status) == ("response.completed", "completed")
    elif reason is StopReason.FAILED:
        assert (last["type"], status) == ("response.failed", "failed")
    else:
        assert (last["type"], status) == ("response.incomplete", "incomplete")


def test_calls_are_items_of_their_own() -> None:
    answer = '[{"arguments":{"a":1},"name":"f"},{"arguments":{},"name":"g"}]'
    told = [Reasoning("hm", 0), Answer(answer), Decided(result(StopReason.CLINCHED, answer))]
    response = encoded(told, calls_tools=True)[-1]["response"]
    assert [item["type"] for item in response["output"]] == [
        "reasoning",
        "function_call",
        "function_call",
    ]
    assert [item["arguments"] for item in response["output"][1:]] == ['{"a":1}', "{}"]
    assert len({item["call_id"] for item in response["output"][1:]}) == 2
    (turn,) = reply_turns(response["output"])
    calls: Any = turn["tool_calls"]
    assert [call["function"] for call in calls] == [
        {"name": "f", "arguments": {"a": 1}},
        {"name": "g", "arguments": {}},
    ]
    # Without tools the same text is text.
    assert encoded(told)[-1]["response"]["output"][1]["type"] == "message"


def test_runs_without_a_result() -> None:
    for error, kind, status in (
        (RunCancelled(), "response.incomplete", "cancelled"),
        (RaceLost("gone"), "response.failed", "failed"),
    ):
        ended: list[Response] = []
        encoder = ResponseEncoder(ECHO, events=False, account=ACCOUNT, on_end=ended.append)
        frames = [*encoder.start("resp_1"), *encoder.encode(Reasoning("half", 0))]
        written: Any = encoder.snapshot()["output"][0]
        assert written["content"][0]["text"] == "half"
        assert encoder.response["status"] == "in_progress"
        frames += encoder.fail(error)
        last = orjson.loads(frames[-1].encode(9))
        assert (last["type"], last["response"]["status"]) == (kind, status)
        assert last["response"]["output"][0]["status"] == "incomplete"
        assert frames[-1].terminal
        assert ended == [encoder.response]
