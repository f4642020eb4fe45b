"""Where the server listens, from before its engine is up."""

import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector

from frontrunner.runtime.config import ServerSettings, Settings
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.serving.drain import grace
from frontrunner.runtime.serving.listening import addresses, listening, loading_app, serving
from frontrunner.runtime.serving.metrics_port import metrics_app

from .conftest import Serve

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "6 times 7?"}]}


def settings(**server: Any) -> ServerSettings:
    return Settings.from_dict({"server": {"port": 0, **server}}).server


async def test_while_the_engine_loads_it_is_alive_and_not_ready() -> None:
    with listening(settings()) as sockets:
        (address,) = addresses(sockets)
        async with serving(loading_app("abc"), settings(), sockets), ClientSession(address) as http:
            async with http.get("/livez") as response:
                assert (response.status, await response.json()) == (200, {"status": "alive"})
            async with http.get("/readyz") as response:
                assert response.status == 503
                assert (await response.json())["reasons"][0]["code"] == "loading"
            async with http.post("/v1/chat/completions", json=CHAT) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "1")
                assert (await response.json())["error"]["code"] == "loading"
            async with http.get("/frontrunner/server") as response:
                said = await response.json()
                assert (said["config"], said["ready"]) == ("abc", False)


async def test_one_application_takes_over_from_another() -> None:
    with listening(settings()) as sockets:
        (address,) = addresses(sockets)
        async with serving(loading_app("first"), settings(), sockets):
            pass
        async with (
            serving(loading_app("second"), settings(), sockets),
            ClientSession(address) as http,
            http.get("/frontrunner/server") as response,
        ):
            assert (await response.json())["config"] == "second"


async def test_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    told = settings(socket=str(path))
    for _ in range(2):  # what a killed server leaves is in nobody's way
        with listening(told) as sockets:
            assert addresses(sockets) == [f"unix:{path}"]
            async with (
                serving(loading_app(None), told, sockets),
                ClientSession("http://here", connector=UnixConnector(str(path))) as http,
                http.get("/livez") as response,
            ):
                assert response.status == 200
        assert not path.exists()
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()


def test_a_unix_socket_that_answers_is_left_alone(tmp_path: Path) -> None:
    told = settings(socket=str(tmp_path / "server.sock"))
    with listening(told), pytest.raises(BadRequest, match="cannot listen on"), listening(told):
        pass
    (tmp_path / "file").touch()
    told = settings(socket=str(tmp_path / "file"))
    with pytest.raises(BadRequest, match="cannot listen on"), listening(told):
        pass
    assert (tmp_path / "file").exists()


def test_a_port_that_is_taken_is_named() -> None:
    with listening(settings()) as sockets:
        port = sockets[0].getsockname()[1]
        with (
            pytest.raises(BadRequest, match=rf"127.0.0.1:{port} \(.*in use\): name another port"),
            listening(settings(port=port)),
        ):
            pass


def test_all_addresses_of_a_name_have_the_same_port() -> None:
    with listening(settings(host="localhost")) as sockets:
        assert len({each.getsockname()[1] for each in sockets}) == 1


@pytest.mark.parametrize(
    ("server", "seconds"),
    [
        ({}, 0.0),
        ({"host": "0.0.0.0"}, 5.0),
        ({"socket": "/s"}, 0.0),
        ({"host": "0.0.0.0", "drain_grace": 0}, 0.0),
        ({"drain_grace": 2}, 2.0),
    ],
)
def test_only_where_others_look_is_there_a_grace(server: Any, seconds: float) -> None:
    assert grace(settings(**server)) == seconds


async def test_metrics_on_a_port_of_their_own(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("s3cr3t\n")
    async with serve(key_file=str(tmp_path / "keys")) as served:
        async with served.http.get("metrics") as response:
            assert response.status == 401
        with listening(settings()) as sockets:
            (address,) = addresses(sockets)
            async with serving(metrics_app(served.app), settings(), sockets):
                async with ClientSession(address) as http, http.get("/metrics") as response:
                    assert response.status == 200
                    assert "frontrunner_races_running 0.0" in await response.text()
                async with ClientSession(address) as http, http.get("/v1/models") as response:
                    assert response.status == 404
