"""One line in the log for each request."""

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from frontrunner.runtime.scheduling import race_runner
from frontrunner.runtime.serving.runs import access_log

from .conftest import ENDLESS, Serve

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "6 times 7?"}]}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is logged, of any level."""
    written: list[dict[str, Any]] = []

    def keep(logger: object, method: str, line: MutableMapping[str, Any]) -> str:
        written.append({**line, "log_level": method})
        raise structlog.DropEvent

    log = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.contextvars.merge_contextvars, keep],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    monkeypatch.setattr(access_log, "_log", log)
    monkeypatch.setattr(race_runner, "_log", log)
    return written


def requests(lines: Any) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "frontrunner.request"]


async def test_a_race(serve: Serve, lines: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("me: s3cr3t\n")
    async with serve(key_file=str(tmp_path / "keys")) as served:
        headers = {"Authorization": "Bearer s3cr3t", "X-Request-Id": "mine"}
        for stream in (False, True):
            body = {**CHAT, "stream": stream, "frontrunner": {"deadline": 5, "branches": 3}}
            async with served.http.post(
                "v1/chat/completions", json=body, headers=headers
            ) as response:
                await response.read()
    for line in requests(lines):
        assert line["request_id"] == "mine"
        assert (line["method"], line["path"]) == ("POST", "/v1/chat/completions")
        assert (line["status"], line["key"], line["log_level"]) == (200, "me", "info")
        assert (line["deadline"], line["overshoot"]) == (5.0, 0.0)
        assert line["tokens"] > 0
        assert line["seconds"] >= line["elapsed"] > 0
    assert len(requests(lines)) == 2
    assert "s3cr3t" not in str(lines)


async def test_what_a_race_logs_has_all_its_names(serve: Serve, lines: Any) -> None:
    async with serve() as s, s.http.post("v1/chat/completions", json=CHAT) as response:
        await response.read()
    (decided,) = [line for line in lines if line["event"] == "frontrunner.race_decided"]
    (request,) = requests(lines)
    assert decided["race"] == request["race"]
    assert decided["request_id"] == request["request_id"]


async def test_a_request_that_is_refused(serve: Serve, lines: Any) -> None:
    async with serve() as served, served.http.post("v1/chat/completions", json={}) as response:
        assert response.status == 400
    (line,) = requests(lines)
    assert line["status"] == 400
    assert not {"race", "deadline", "key"} & set(line)


async def test_probes_are_told_to_who_debugs(serve: Serve, lines: Any) -> None:
    async with serve() as served:
        for path in ("livez", "readyz", "metrics"):
            async with served.http.get(path) as response:
                await response.read()
    assert {line["log_level"] for line in requests(lines)} == {"debug"}


async def test_a_client_that_leaves(serve: Serve, lines: Any) -> None:
    body = {**CHAT, "stream": True, "frontrunner": {"deadline": 60, "events": True}}
    async with serve(ENDLESS) as served:
        async with served.http.post("v1/chat/completions", json=body) as response:
            await response.content.readline()
            response.close()
        await served.idle()
    (line,) = requests(lines)
    assert "race" in line
    assert "deadline" not in line
