"""Ending a server: nobody is cut off."""

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from tests.backends import until, virtual_asyncio
from tests.runtime.cli.conftest import (
    read_until,
    scripted_process,
)

from frontrunner.runtime.serving.drain import drain
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, Serve

pytestmark = pytest.mark.slow  # it starts processes of its own

QUESTION: Any = [{"role": "user", "content": "q"}]


@virtual_asyncio
async def test_running_races_come_to_their_answers(serve: Serve) -> None:
    async with serve(ENDLESS, drain_limit=0.5) as served:
        reasons, answers = list[str](), list[str]()

        async def ask(streams: bool) -> None:
            extra = {"frontrunner": {"deadline": 60, "branches": 2}}
            if not streams:
                reply = await served.openai.chat.completions.create(
                    model="scripted", messages=QUESTION, extra_body=extra
                )
                reasons.append(reply.choices[0].finish_reason)
                answers.append(reply.choices[0].message.content or "")
                return
            stream = await served.openai.chat.completions.create(
                model="scripted", messages=QUESTION, stream=True, extra_body=extra
            )
            async for chunk in stream:
                for choice in chunk.choices:
                    answers.append(choice.delta.content or "")
                    if choice.finish_reason:
                        reasons.append(choice.finish_reason)

        async with anyio.create_task_group() as tasks:
            for i in range(20):
                tasks.start_soon(ask, i % 4 != 0)
            await until(lambda: served.app[RUNS].running == 20)
            await drain(served.app)
            with pytest.raises(openai.InternalServerError, match="about to end") as caught:
                await ask(False)
            assert caught.value.status_code == 503
            assert caught.value.response.headers["Retry-After"] == "1"
        assert reasons == ["stop"] * 20
        assert sorted(a for a in answers if a) == ["7"] * 20


async def test_it_is_not_ready_while_it_still_takes_requests(serve: Serve) -> None:
    async with serve(drain_grace=600) as served, anyio.create_task_group() as tasks:
        tasks.start_soon(drain, served.app)
        await until(lambda: served.app[RUNS].leaving)
        async with served.http.get("readyz") as response:
            assert response.status == 503
        async with served.http.get("livez") as response:
            assert response.status == 200
        reply = await served.openai.chat.completions.create(model="scripted", messages=QUESTION)
        assert reply.choices[0].message.content == "42"
        tasks.cancel_scope.cancel()


async def test_a_race_that_will_not_end_is_cancelled_and_its_client_told(serve: Serve) -> None:
    async with serve(ENDLESS, drain_limit=0.1) as served:
        served.runtime.shorten_deadline = lambda race_id, seconds: None  # as if it did not hear
        served.app[RUNS].overrun = 0.0
        told = list[str]()

        async def ask() -> None:
            stream = await served.openai.chat.completions.create(
                model="scripted",
                messages=QUESTION,
                stream=True,
                extra_body={"frontrunner": {"deadline": 60}},
            )
            with pytest.raises(openai.APIError, match="cancelled"):
                async for _ in stream:
                    pass
            told.append("cancelled")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: served.app[RUNS].running == 1)
            await drain(served.app)
        assert told == ["cancelled"]
        await served.idle()


async def test_hurrying_a_race(serve: Serve) -> None:
    async with serve(ENDLESS) as served, anyio.create_task_group() as tasks:
        async with served.runtime.stream("q", deadline=60, race_id="mine") as events:
            async for event in events:
                if event.type == "branch_progressed":
                    break
            served.runtime.shorten_deadline("mine", 0.2)
            served.runtime.shorten_deadline("mine", 5)  # later than before: nothing
            served.runtime.shorten_deadline("another", 0)
            with anyio.fail_after(59):
                *_, last = [event async for event in events]
        assert last.result.race_id == "mine"
        assert last.result.answer == "7"
        assert last.result.elapsed < 60
        tasks.cancel_scope.cancel()


# ── as a process ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "server.toml"
    text = "[server]\nport = 0\ndrain_grace = 0\ndrain_limit = 1\ncontent = 'answer'\n"
    path.write_text(text)
    return str(path)


def base_url(line: bytes) -> str:
    return line.decode().split(" on ")[1].strip()


async def ask_for_a_stream(client: AsyncOpenAI, started: list[int]) -> tuple[str, str]:
    """The content and the finish reason."""
    stream = await client.chat.completions.create(
        model="scripted",
        messages=QUESTION,
        stream=True,
        extra_body={"frontrunner": {"deadline": 60, "branches": 2}},
    )
    content, reason = "", ""
    async for chunk in stream:
        started.append(1)
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return content, reason


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_under_load(config: str, number: signal.Signals, to_group: bool) -> None:
    with scripted_process("forces", "serve", "--config", config) as process:
        url = base_url(read_until(process.stdout, b"serving"))
        outcomes, started = list[tuple[str, str]](), list[list[int]]()
        limits = httpx2.Limits(max_connections=None)
        async with (
            httpx2.AsyncClient(limits=limits, timeout=120) as http,
            AsyncOpenAI(base_url=url, api_key="x", max_retries=0, http_client=http) as client,
        ):

            async def ask() -> None:
                mine = list[int]()
                started.append(mine)
                outcomes.append(await ask_for_a_stream(client, mine))

            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(ask)
                await until(lambda: len(started) == 50 and all(started), turns=60_000)
                (os.killpg if to_group else os.kill)(process.pid, number)
        # "7" and "stop", unless the machine is too busy for forced answers: those are looked at in
        # virtual time, above.
        assert len(outcomes) == 50
        assert all(content and reason in ("stop", "length") for content, reason in outcomes)
        process.communicate()
        assert process.returncode == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[server]\nport = 0\ndrain_grace = 100\n")
    with scripted_process("forces", "serve", "--config", str(config)) as process:
        read_until(process.stdout, b"serving")
        process.send_signal(signal.SIGTERM)
        read_until(process.stderr, b"ending")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def test_an_address_that_is_taken(config: str) -> None:
    with scripted_process("forces", "serve", "--config", config) as first:
        port = base_url(read_until(first.stdout, b"serving")).split(":")[2].split("/")[0]
        with scripted_process("forces", "serve", "--config", config, "--port", port) as second:
            _, err = second.communicate()
            assert second.returncode == 2
            assert b"cannot listen" in err
