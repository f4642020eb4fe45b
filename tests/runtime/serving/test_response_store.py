"""What is kept of responses."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.serving.errors import NotFound, RunCancelled
from frontrunner.runtime.serving.responses.encoder import ResponseEncoder
from frontrunner.runtime.serving.responses.store import ResponseStore
from frontrunner.runtime.serving.runs.leader_stream import Answer, Decided
from frontrunner.strategies.protocol import StopReason

from .test_response_encoder import ACCOUNT, ECHO, result


def response(response_id: str, end: Callable[[str], None] = lambda _: None) -> ResponseEncoder:
    encoder = ResponseEncoder(
        ECHO, events=False, account=ACCOUNT, on_end=lambda response: end(response["id"])
    )
    list(encoder.start(response_id))
    return encoder


def test_a_conversation_is_what_was_said_and_the_reply() -> None:
    store = ResponseStore(clock=lambda: 0.0)
    encoder = response("resp_1", store.ended)
    store.add("resp_1", encoder, None, [{"role": "user", "content": "six times seven?"}])
    with pytest.raises(NotFound, match="not ended"):
        store.conversation("resp_1", None)
    before = store.size
    list(encoder.encode(Answer("42")))
    list(encoder.encode(Decided(result(StopReason.CLINCHED, "42"))))
    assert store.conversation("resp_1", None) == [
        {"role": "user", "content": "six times seven?"},
        {"role": "assistant", "content": "42"},
    ]
    assert store.size > before
    with pytest.raises(NotFound):
        store.response("resp_1", "somebody else")


def test_old_ones_go() -> None:
    now = 0.0
    store = ResponseStore(seconds=10, clock=lambda: now)
    store.add("resp_1", response("resp_1"), None, [])
    now = 10.0
    assert store.response("resp_1", None)["id"] == "resp_1"
    now = 10.1
    with pytest.raises(NotFound):
        store.response("resp_1", None)
    assert (len(store), store.size) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from("aed"), st.integers(0, 9), st.integers(0, 900))))
def test_room_is_never_exceeded(acts: list[tuple[str, int, int]]) -> None:
    store = ResponseStore(size=3_000, count=5, clock=lambda: 0.0)
    encoders = dict[str, ResponseEncoder]()
    for number, (act, which, size) in enumerate(acts):
        name = f"resp_{which}"
        if act == "a":
            name = f"resp_{number}x"
            encoders[name] = response(name, store.ended)
            store.add(name, encoders[name], None, [{"role": "user", "content": "x" * size}])
        elif act == "e" and encoders:
            name = list(encoders)[which % len(encoders)]
            list(encoders.pop(name).fail(RunCancelled()))
        elif act == "d" and encoders:
            name = list(encoders)[which % len(encoders)]
            with suppress(NotFound):
                store.delete(name, None)
        assert len(store) <= 5
        assert store.size <= 3_000
        assert (store.size == 0) == (len(store) == 0)
