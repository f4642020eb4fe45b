"""The websocket, as `websockets` and OpenAI's client see it."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import WSMsgType
from tests.backends import until, virtual_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.responses.websocket import (
    MAX_RESPONSES,
    MAX_WAITING,
    OWN_RESPONSES,
    SOCKETS,
)
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, Serve, Served
from .sockets import TERMINAL, Client, Event, dial

pytestmark = pytest.mark.slow  # it waits in real time

#: Long enough for a test to come in between, and then it ends by itself.
SLOW = BranchScript.answering("42", seconds=0.3, tokens=60)


def numbers(events: list[Event]) -> list[int]:
    return [event["sequence_number"] for event in events]


def by_response(events: list[Event]) -> dict[str, list[Event]]:
    sorted_out: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        sorted_out[event["response_id"]].append(event)
    return sorted_out


def said(events: list[Event], kind: str = "response.output_text.delta") -> str:
    return "".join(event["delta"] for event in events if event["type"] == kind)


# ── OpenAI's client ───────────────────────────────────────────────────────────────────────────


async def test_openais_client(serve: Serve) -> None:
    async with serve() as served, served.openai.responses.connect() as connection:
        race: Any = {"frontrunner": {"branches": 4, "deadline": 2}}
        for _ in range(2):
            await connection.send(
                {"type": "response.create", "model": "scripted", "input": "6 times 7?", **race}
            )
            text, kinds = "", list[str]()
            async for event in connection:
                kinds.append(event.type)
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.completed":
                    assert event.response.output_text == text == "42"
                    break
            assert kinds[:2] == ["response.created", "response.in_progress"]


async def test_openais_client_two_at_once_and_cancel(serve: Serve) -> None:
    async with serve(ENDLESS) as served, served.openai.responses.connect() as connection:
        for lane in ("left", "right"):
            await connection.response.create(model="scripted", input="x", stream_id=lane)
        ids: dict[str, str] = {}
        ended: dict[str, Any] = {}
        async for event in connection:
            told: Any = event
            if event.type == "response.created":
                ids[told.stream_id] = event.response.id
                if len(ids) == 2:
                    cancel: Any = {"type": "response.cancel", "response_id": ids["left"]}
                    await connection.send(cancel)
            elif event.type == "response.incomplete":
                ended[told.stream_id] = event.response
                if told.stream_id == "left":
                    assert served.engine.load().running > 0
                    other: Any = {"type": "response.cancel", "stream_id": "right"}
                    await connection.send(other)
                if len(ended) == 2:
                    break
        assert {lane: response.id for lane, response in ended.items()} == ids
        assert {response.status for response in ended.values()} == {"cancelled"}
        await served.idle()


async def test_openais_client_gets_errors_and_goes_on(serve: Serve) -> None:
    async with serve() as served, served.openai.responses.connect() as connection:
        await connection.response.create(model="no such", input="x")
        error: Any = await connection.recv()
        assert error.type == "error"
        assert error.status == 404
        assert error.error.code == "model_not_found"
        await connection.response.create(model="scripted", input="x")
        assert (await connection.recv()).type == "response.created"


# ── several responses ─────────────────────────────────────────────────────────────────────────


async def test_many_responses_beside_one_another(serve: Serve) -> None:
    async with serve(SLOW) as served, dial(served) as client:
        for index in range(10):
            race = {"events": True, "deadline": 60}  # ten at once take their time
            await client.create(stream_id=f"lane {index}", frontrunner=race)
        told = by_response(await client.ended(10))
        assert len(told) == 10
        for events in told.values():
            assert numbers(events) == list(range(len(events)))
            assert len({event["stream_id"] for event in events}) == 1
            assert said(events) == "42"
        assert len(served.engine.requests) >= 40


async def test_a_lane_is_one_after_another(serve: Serve) -> None:
    async with serve() as served, dial(served) as client:
        for _ in range(3):
            await client.create(stream_id="one")
        events = await client.ended(3)
        order = [event["response_id"] for event in events]
        assert len(set(order)) == 3
        # The events of one do not mix with those of the next.
        assert [i for n, i in enumerate(order) if n == 0 or order[n - 1] != i] == list(
            dict.fromkeys(order)
        )
        # A lane that was empty is open again.
        await client.create(stream_id="one")
        assert said(await client.ended()) == "42"


async def test_a_conversation(serve: Serve) -> None:
    async with serve() as served, dial(served) as client:
        await client.create("first")
        first = (await client.ended())[-1]["response"]["id"]
        served.engine.requests.clear()
        await client.create("second", previous_response_id=first)
        await client.ended()
        assert served.engine.requests[0].prompt == served.engine.encode("first 42 second")


async def test_a_conversation_that_is_not_stored(serve: Serve) -> None:
    async with serve() as served, dial(served) as client, dial(served) as other:
        previous = None
        for turn in ("first", "second", "third"):
            served.engine.requests.clear()
            await client.create(turn, store=False, previous_response_id=previous)
            previous = (await client.ended())[-1]["response"]["id"]
        said = served.engine.encode("first 42 second 42 third")
        assert served.engine.requests[0].prompt == said
        # It is this connection's, and nobody else's.
        await other.create("fourth", previous_response_id=previous)
        error = await other.next()
        assert error["error"]["code"] == "previous_response_not_found"
        assert error["param"] == "previous_response_id"
        async with served.http.get(f"/v1/responses/{previous}") as response:
            assert response.status == 404
        # It can be forked, and what follows may be stored.
        await client.create("fourth", previous_response_id=previous)
        stored = (await client.ended())[-1]["response"]["id"]
        served.engine.requests.clear()
        await other.create("fifth", previous_response_id=stored)
        await other.ended()
        said = served.engine.encode("first 42 second 42 third 42 fourth 42 fifth")
        assert served.engine.requests[0].prompt == said
    async with serve() as served:
        async with dial(served) as client:
            await client.create(store=False)
            gone = (await client.ended())[-1]["response"]["id"]
        async with dial(served) as client:
            await client.create(previous_response_id=gone)
            assert (await client.next())["error"]["code"] == "previous_response_not_found"


async def test_a_connection_keeps_so_many_responses_for_itself(serve: Serve) -> None:
    async with serve() as served, dial(served) as client:
        ids = list[str]()
        for _ in range(OWN_RESPONSES + 1):
            await client.create(store=False, generate=False)
            ids.append((await client.ended())[-1]["response"]["id"])
        await client.create(store=False, generate=False, previous_response_id=ids[0])
        assert (await client.next())["error"]["code"] == "previous_response_not_found"
        await client.create(store=False, generate=False, previous_response_id=ids[1])
        await client.ended()


WARM_UPS: list[dict[str, Any]] = [
    {"generate": False},
    {"prompt_cache_options": {"prewarm": True}},
    {"generate": True, "prompt_cache_options": {"prewarm": True}},
]


@pytest.mark.parametrize("warm_up", WARM_UPS)
@pytest.mark.parametrize("stored", [True, False])
async def test_a_warm_up_generates_nothing(
    serve: Serve, warm_up: dict[str, Any], stored: bool
) -> None:
    async with serve() as served, dial(served) as client:
        await client.create("context", store=stored, stream_id="one", **warm_up)
        events = await client.ended()
        assert [event["type"] for event in events] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        assert numbers(events) == [0, 1, 2]
        assert {event["stream_id"] for event in events} == {"one"}
        response = events[-1]["response"]
        assert {event["response_id"] for event in events} == {response["id"]}
        assert (response["status"], response["output"]) == ("completed", [])
        assert response["usage"]["total_tokens"] == 0
        assert served.engine.requests == []
        await client.create("question", previous_response_id=response["id"])
        assert said(await client.ended()) == "42"
        assert served.engine.requests[0].prompt == served.engine.encode("context question")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_warm_up_by_itself(serve: Serve, stream: bool) -> None:
    async with serve() as served:
        body = {"input": "context", "generate": False, "stream": stream}
        async with served.http.post("/v1/responses", json=body) as response:
            assert response.status == 200
            told = await response.text()
        assert served.engine.requests == []
        if stream:
            assert told.count("event: ") == 3
            assert response.headers["Content-Type"].startswith("text/event-stream")
        else:
            assert '"status":"completed"' in told


async def test_openais_client_warms_up(serve: Serve) -> None:
    async with serve() as served, served.openai.responses.connect() as connection:
        await connection.response.create(model="scripted", input="context", generate=False)
        warm: Any = None
        async for event in connection:
            if event.type == "response.completed":
                warm = event.response
                break
        assert warm.output == []
        race: Any = {"frontrunner": {"branches": 4, "deadline": 2}}
        await connection.send(
            {
                "type": "response.create",
                "model": "scripted",
                "input": "question",
                "previous_response_id": warm.id,
                "store": False,
                **race,
            }
        )
        async for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text == "42"
                break


async def test_a_warm_up_of_too_much_is_refused(serve: Serve) -> None:
    async with serve() as served, dial(served) as client:
        previous, error = None, None
        for _ in range(6):
            await client.create("x" * 900_000, generate=False, previous_response_id=previous)
            event = (await client.until(*TERMINAL, "error"))[-1]
            if event["type"] == "error":
                error = event
                break
            previous = event["response"]["id"]
        assert error is not None
        assert (error["status"], error["param"]) == (400, "input")


@pytest.mark.parametrize("answers", [True, False])
async def test_pings_have_a_period_of_their_own(serve: Serve, answers: bool) -> None:
    async with (
        serve(ping_period=0.05, keep_alive=600) as served,
        served.http.ws_connect("/v1/responses", autoping=False) as socket,
    ):
        ping: Any = None
        for _ in range(3):
            ping = await socket.receive(timeout=10)
            if ping.type is not WSMsgType.PING:
                break
            if answers:
                await socket.pong(ping.data)
        assert (ping.type is WSMsgType.PING) == answers


async def test_a_time_out_of_the_handshake_is_no_deadline(serve: Serve) -> None:
    headers = {"x-stainless-read-timeout": "0.1", "x-stainless-timeout": "1"}
    async with serve(SLOW) as served, dial(served, additional_headers=headers) as client:
        await client.create()
        assert said(await client.ended()) == "42"


async def test_too_many_responses(serve: Serve) -> None:
    async with serve(ENDLESS) as served, dial(served) as client:
        for _ in range(MAX_RESPONSES + 1):
            await client.create(frontrunner={"deadline": 60})
        (*_, error) = await client.until("error")
        assert error["status"] == 429
        assert error["error"]["code"] == "too_many_responses"
        assert f"{MAX_RESPONSES} responses in progress" in error["error"]["message"]


async def test_too_many_responses_that_wait(serve: Serve) -> None:
    async with serve(ENDLESS) as served, dial(served) as client:
        for lane in ("one", "two"):  # each has one in progress
            for _ in range(1 + MAX_WAITING // 2):
                await client.create(stream_id=lane, frontrunner={"deadline": 60})
        await client.create(stream_id="two", frontrunner={"deadline": 60})
        (*_, error) = await client.until("error")
        assert error["status"] == 429
        assert error["error"]["code"] == "too_many_responses"
        assert f"{MAX_WAITING} responses waiting" in error["error"]["message"]
        assert error["stream_id"] == "two"
        # Whatever runs does not wait, and what has had its turn makes room.
        await client.create(stream_id="three", frontrunner={"deadline": 60})
        await client.until("response.created")
        await client.send("response.cancel", stream_id="one")
        await client.until("response.incomplete")
        await client.create(stream_id="two", frontrunner={"deadline": 60})
        await client.send("response.cancel", stream_id="two")
        assert "error" not in [event["type"] for event in await client.until("response.incomplete")]


async def test_too_much_in_requests_that_wait(serve: Serve) -> None:
    async with serve(ENDLESS, message_limit=4_096) as served, dial(served) as client:
        for _ in range(6):  # four of the largest size are five of this one
            await client.create("x" * 3_000, stream_id="one", frontrunner={"deadline": 60})
        (*_, error) = await client.until("error")
        assert error["error"]["code"] == "too_many_responses"
        assert "16,384 characters" in error["error"]["message"]
        await client.send("response.cancel", stream_id="one")
        await client.until("response.incomplete")
        await client.create("x" * 3_000, stream_id="one", frontrunner={"deadline": 60})  # has room
        await client.until("response.created")


# ── cancelling ────────────────────────────────────────────────────────────────────────────────


async def test_cancelling_the_only_one(serve: Serve) -> None:
    async with serve(ENDLESS) as served, dial(served) as client:
        await client.create(frontrunner={"deadline": 60})
        await client.until("response.reasoning_text.delta")
        await client.send("response.cancel")
        last = (await client.ended())[-1]
        assert last["type"] == "response.incomplete"
        assert last["response"]["status"] == "cancelled"
        assert last["response"]["output"][0]["status"] == "incomplete"
        await served.idle()
        await client.send("response.cancel")
        error = await client.next()
        assert error["error"]["code"] == "response_cancel_not_active"


async def test_cancelling_one_of_several_must_say_which(serve: Serve) -> None:
    async with serve(ENDLESS) as served, dial(served) as client:
        await client.create(frontrunner={"deadline": 60})
        await client.create(frontrunner={"deadline": 60})
        await client.until("response.created")
        await client.until("response.created")
        await client.send("response.cancel")
        (*_, error) = await client.until("error")
        assert error["param"] == "response_id"


# ── resuming ──────────────────────────────────────────────────────────────────────────────────


async def test_resuming_on_another_connection(serve: Serve) -> None:
    async with serve(SLOW) as served:
        async with dial(served) as client:
            await client.create(frontrunner={"on_disconnect": "continue", "events": True})
            seen = await client.until("response.reasoning_text.delta")
        async with dial(served) as client:
            await client.send(
                "response.resume",
                response_id=seen[0]["response_id"],
                starting_after=seen[-1]["sequence_number"],
                stream_id="again",
            )
            more = await client.ended()
        assert numbers(seen + more) == list(range(len(seen) + len(more)))
        assert {event["stream_id"] for event in more} == {"again"}
        assert said(more) == "42"


@pytest.mark.parametrize("seed", range(6))
async def test_no_event_is_lost_or_told_twice_over_many_drops(serve: Serve, seed: int) -> None:
    chance = random.Random(seed)
    async with serve(BranchScript.answering("42", seconds=0.4, tokens=200)) as served:
        seen = list[Event]()
        drops = 0
        while not seen or seen[-1]["type"] not in TERMINAL:
            async with dial(served) as client:
                if not seen:
                    race = {"on_disconnect": "continue", "events": True, "deadline": 10}
                    await client.create(frontrunner=race)
                else:
                    await client.send(
                        "response.resume",
                        response_id=seen[0]["response_id"],
                        starting_after=seen[-1]["sequence_number"],
                    )
                for _ in range(chance.randint(1, 12)):
                    seen.append(await client.next())
                    if seen[-1]["type"] in TERMINAL:
                        break
                if chance.random() < 0.5:
                    client.socket.transport.abort()
            drops += 1
        assert drops > 3
        assert numbers(seen) == list(range(len(seen)))
        response = seen[-1]["response"]
        reasoning, message = response["output"]
        assert said(seen, "response.reasoning_text.delta") == reasoning["content"][0]["text"]
        assert said(seen) == message["content"][0]["text"] == "42"
        assert len({event["response_id"] for event in seen}) == 1
        branches = defaultdict[int, str](str)
        for event in seen:
            if event["type"] == "frontrunner.branch.delta":
                branches[event["branch"]] += event["text"]
        assert response["output"][0]["content"][0]["text"] in branches.values()
        await served.idle()


@virtual_asyncio
async def test_resuming_what_has_gone(serve: Serve) -> None:
    async with serve(ENDLESS, log_frames=2) as served, dial(served) as client:
        await client.send("response.resume", response_id="resp_unknown")
        error = await client.next()
        assert error["status"] == 404
        assert error["response_id"] == "resp_unknown"
        begun = await served.openai.responses.create(
            model="scripted",
            input="x",
            background=True,
            extra_body={"frontrunner": {"branches": 4, "deadline": 0.3}},
        )
        response_id = begun.id
        await until(lambda: served.app[RUNS].running == 0)
        await client.send("response.resume", response_id=response_id, starting_after=0)
        error = await client.next()
        assert error["status"] == 410
        assert error["error"]["code"] == "events_expired"
        # The outcome can still be asked for.
        assert (await served.openai.responses.retrieve(response_id)).output_text == "7"


@pytest.mark.parametrize("beyond", [0, 1000])
async def test_resuming_behind_the_end_is_answered(serve: Serve, beyond: int) -> None:
    async with serve(SLOW) as served, dial(served) as client:
        await client.create(frontrunner={"deadline": 60})
        last = (await client.until("response.completed"))[-1]
        await client.send(
            "response.resume",
            response_id=last["response_id"],
            starting_after=last["sequence_number"] + beyond,
        )
        await client.create(frontrunner={"deadline": 60})  # or nothing would come without it
        error = await client.next()
        assert (error["type"], error["param"]) == ("error", "starting_after")
        assert error["response_id"] == last["response_id"]


async def test_resuming_what_is_being_sent(serve: Serve) -> None:
    async with serve(ENDLESS) as served, dial(served) as client:
        await client.create(frontrunner={"deadline": 60})
        response_id = (await client.until("response.created"))[-1]["response_id"]
        await client.send("response.resume", response_id=response_id)
        (*_, error) = await client.until("error")
        assert error["param"] == "response_id"


# ── disconnects ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("abort", [False, True])
async def test_disconnects_leave_no_request(serve: Serve, abort: bool) -> None:
    chance = random.Random(abort)

    async def come_and_go(served: Served) -> None:
        url = f"ws://127.0.0.1:{served.port}/v1/responses"
        socket = await connect(url)
        client = Client(socket)
        for _ in range(chance.randint(1, 3)):
            await client.create(frontrunner={"deadline": 60, "events": True})
        for _ in range(chance.randint(0, 30)):
            await client.next()
        if abort:
            socket.transport.abort()
        await socket.close()

    async with serve(ENDLESS) as served:
        async with anyio.create_task_group() as tasks:
            for _ in range(25):
                tasks.start_soon(come_and_go, served)
        await served.idle()
        await until(lambda: not served.app[SOCKETS])
        await until(lambda: served.app[RUNS].running == 0)
        assert served.engine.requests


# ── who may connect, and what may be sent ─────────────────────────────────────────────────────


async def test_keys_are_asked_for_before_the_upgrade(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret-key\n")
    async with serve(key_file=str(tmp_path / "keys")) as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as caught:
                async with dial(served, additional_headers=headers):
                    pass
            assert caught.value.response.status_code == 401
        async with dial(served, additional_headers={"Authorization": "Bearer secret-key"}) as c:
            await c.create()
            assert said(await c.ended()) == "42"
        protocols = ["realtime", "openai-insecure-api-key.secret-key"]
        async with dial(served, subprotocols=protocols) as client:
            assert client.socket.subprotocol == "realtime"
            await client.create()
            assert said(await client.ended()) == "42"


async def test_foreign_pages_are_turned_away_before_the_upgrade(serve: Serve) -> None:
    async with serve(origins=["https://good.example"]) as served:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(served, origin="https://evil.example"):
                pass
        assert caught.value.response.status_code == 403
        async with dial(served, origin="https://good.example") as client:
            await client.create()
            assert said(await client.ended()) == "42"


async def test_without_an_upgrade(serve: Serve) -> None:
    async with serve() as served, served.http.get("/v1/responses") as reply:
        assert reply.status == 426
        assert "websocket" in (await reply.json())["error"]["message"]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "5",
        '"response.create"',
        "{}",
        '{"type": "response.steer"}',
        '{"type": {}}',
        '{"type": "response.create"}',
        '{"type": "response.create", "input": 3}',
        '{"type": "response.cancel", "response_id": 5}',
        '{"type": "response.cancel", "response_id": "resp_none"}',
        '{"type": "response.resume"}',
        '{"type": "response.resume", "response_id": "r", "starting_after": "x"}',
        '{"a":' * 100 + "1" + "}" * 100,
    ],
)
async def test_what_is_wrong_ends_nothing_else(serve: Serve, message: str) -> None:
    async with serve(SLOW) as served, dial(served) as client:
        await client.create(frontrunner={"deadline": 60})
        await client.socket.send(message)
        events = await client.ended()
        (error,) = [event for event in events if event["type"] == "error"]
        assert 400 <= error["status"] < 500
        assert error["error"]["message"]
        assert said(events) == "42"


async def test_messages_that_are_too_large_or_binary_close_the_connection(serve: Serve) -> None:
    async with serve(message_limit=1000) as served:
        for message, code in (("x" * 2000, 1009), (b"{}", 1003)):
            async with dial(served) as client:
                await client.socket.send(message)
                assert await client.closed() == code


# ── slow readers, and the end ─────────────────────────────────────────────────────────────────


async def test_a_reader_that_stalls_is_told_to_come_back(serve: Serve) -> None:
    """It reads nothing until it is cut off, and finds the close frame behind what it was sent."""
    loud = BranchScript((Piece(0.0005, "x" * 4_000),) * 400, stall=True)
    async with serve(loud, stall_limit=0.3) as served:
        url = f"ws://127.0.0.1:{served.port}/v1/responses"
        socket = await connect(url, max_queue=1, compression=None)
        client = Client(socket)
        await client.create(frontrunner={"deadline": 60, "events": True})
        await until(lambda: served.app[RUNS].running > 0)
        await until(lambda: served.app[RUNS].running == 0)
        assert await client.closed() == 1013
        await served.idle()


@virtual_asyncio
async def test_the_servers_end(serve: Serve) -> None:
    async with (
        serve(ENDLESS, drain_limit=2) as served,
        dial(served) as client,
        dial(served) as idle,
        anyio.create_task_group() as tasks,
    ):
        await client.create(frontrunner={"deadline": 60})
        await client.until("response.reasoning_text.delta")
        tasks.start_soon(served.app.shutdown)
        last = (await client.ended())[-1]
        assert last["type"] == "response.completed"
        assert last["response"]["output"][-1]["content"][0]["text"] == "7"
        assert await client.closed() == 1001
        assert await idle.closed() == 1001
