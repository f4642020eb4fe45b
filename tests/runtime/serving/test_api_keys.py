"""Who is let in: every way to present a key, against every way to spell a path."""

import logging
from collections.abc import AsyncGenerator, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
import structlog.testing
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.config import ServerSettings
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.app import create_app
from frontrunner.runtime.serving.security.api_keys import (
    KEY_PROTOCOL,
    Keys,
    is_loopback,
    key_middleware,
    key_name,
    public,
    warn_if_open,
)

from ..race_harness import WatchedEngine
from .raw_http import exchange, head, listening, status_of, upgrade

KEY, OTHER = "sk-Race/4711+x=", "sk-second.one"
KEYS = {"alice": KEY, "bob": OTHER}


@contextmanager
def our_logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What Frontrunner logs, of every level."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))
    try:
        with structlog.testing.capture_logs() as logs:
            yield logs
    finally:
        structlog.configure(wrapper_class=before)


text_keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(
    lambda key: "," not in key
)


# ── which keys there are ──────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(1_000))
@given(st.lists(text_keys, unique=True, max_size=6), st.text(max_size=20), st.data())
def test_a_key_is_known_exactly_if_it_is_one_of_them(
    known: list[str], other: str, data: st.DataObject
) -> None:
    keys = Keys((f"key{i}", key) for i, key in enumerate(known))
    near = [key[:-1] for key in known] + [key + "x" for key in known] + [other, ""]
    presented = data.draw(st.sampled_from([*known, *near]))
    expected = f"key{known.index(presented)}" if presented in known else None
    assert keys.name_of(presented) == expected


@pytest.mark.parametrize("bad", ["", "two words", "a,b", "schlüssel", "nul\0", "line\nline"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="'it' must be visible ASCII") as caught:
        Keys([("it", bad)])
    assert not bad or bad not in str(caught.value)


def test_a_key_given_twice_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="'b' is given twice") as caught:
        Keys([("a", KEY), ("b", KEY)])
    assert KEY not in str(caught.value)


def test_keys_come_from_a_file_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(f"# ours\n\n alice : {KEY} \nbare-key\n  # no more\n")
    monkeypatch.setenv("SOME_KEYS", f"bob:{OTHER}, last")
    keys = Keys.from_settings(ServerSettings(key_file=str(tmp_path / "keys"), keys_env="SOME_KEYS"))
    assert len(keys) == 4
    names = [keys.name_of(key) for key in (KEY, "bare-key", OTHER, "last", "alice", "# ours")]
    assert names == ["alice", "key2", "bob", "key2", None, None]


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "\n"])
def test_a_source_without_a_key_does_not_leave_the_server_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=r"server\.key_file.*holds no key"):
        Keys.from_settings(ServerSettings(key_file=str(tmp_path / "keys")))
    monkeypatch.delenv("NO_KEYS", raising=False)
    with pytest.raises(ConfigError, match=r"server\.keys_env.*holds no key"):
        Keys.from_settings(ServerSettings(keys_env="NO_KEYS"))


def test_a_key_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.key_file: cannot read .*missing"):
        Keys.from_settings(ServerSettings(key_file=str(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("keys", "host", "warned"),
    [
        ([], "0.0.0.0", True),
        ([], "::", True),
        ([], "example.org", True),
        ([], "127.0.0.1", False),
        ([], "::1", False),
        ([], "localhost", False),
        ([("a", KEY)], "0.0.0.0", False),
    ],
)
def test_an_open_server_says_so(keys: list[tuple[str, str]], host: str, warned: bool) -> None:
    with our_logs() as logs:
        warn_if_open(Keys(keys), host)
    assert [log["event"] for log in logs] == ["frontrunner.server_is_open"] * warned


def test_loopback() -> None:
    near = ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "a.localhost"]
    far = ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.org", "evil-localhost", ""]
    assert [host for host in [*near, *far] if is_loopback(host)] == near


# ── over sockets ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Guarded:
    """A server with two keys, and who got past them."""

    port: int = 0
    let_in: list[str | None] = field(default_factory=list[str | None])

    def application(self) -> web.Application:
        async def secret(request: web.Request) -> web.Response:
            self.let_in.append(key_name(request))
            return web.Response(text="secret")

        async def socket(request: web.Request) -> web.WebSocketResponse:
            self.let_in.append(key_name(request))
            response = web.WebSocketResponse(protocols=("realtime",))
            await response.prepare(request)
            await response.close()
            return response

        @public
        async def open_to_all(request: web.Request) -> web.Response:
            return web.Response(text="open")

        app = web.Application(middlewares=[key_middleware(Keys(KEYS.items()))])
        app.router.add_route("*", "/v1/models", secret)
        app.router.add_get("/v1/responses", socket)
        app.router.add_get("/livez", open_to_all)
        return app


@pytest.fixture
async def guarded() -> AsyncGenerator[Guarded, None]:
    server = Guarded()
    async with listening(server.application()) as server.port:
        yield server


@pytest.fixture
def log_text(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that is logged, by anybody."""
    caplog.set_level(logging.DEBUG)
    with our_logs() as ours:
        yield caplog
    assert not any(key in repr(ours) for key in KEYS.values())
    assert not any(key in caplog.text for key in KEYS.values())


@dataclass(frozen=True)
class Credential:
    """Some header lines; ``keys`` are the keys that they present."""

    lines: tuple[bytes, ...]
    keys: tuple[str, ...] = ()


presented = st.sampled_from(
    [KEY, OTHER, KEY[:-1], KEY + "x", KEY.swapcase(), "wrong", "clé-non-ascii", "alice", "null"]
)
schemes = st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"])
bearers = st.builds(
    lambda scheme, key: Credential((f"Authorization: {scheme} {key}".encode(),), (key,)),
    schemes,
    presented,
)
protocols = st.builds(
    lambda before, key, after: Credential(
        (f"Sec-WebSocket-Protocol: {before}{KEY_PROTOCOL}{key}{after}".encode(),), (key,)
    ),
    st.sampled_from(["", "realtime, ", "realtime,"]),
    presented,
    st.sampled_from(["", ", openai-beta.realtime-v1"]),
)
nothing = st.sampled_from(
    [
        Credential(()),
        Credential((b"Authorization:",)),
        Credential((b"Authorization: Bearer",)),
        Credential((b"Authorization: Bearer ",)),
        Credential((f"Authorization: {KEY}".encode(),)),
        Credential((f"Authorization: Basic {KEY}".encode(),)),
        Credential((f"Authorization: Bearer {KEY} {OTHER}".encode(),)),
        Credential((f"Authorization: Bearer: {KEY}".encode(),)),
        Credential((f"X-Api-Key: {KEY}".encode(),)),
        Credential((b"Authorization: Bearer \xff\xfe\x80",), ("\udcff\udcfe\udc80",)),
        Credential((b"Sec-WebSocket-Protocol: realtime",)),
        Credential((f"Sec-WebSocket-Protocol: {KEY}".encode(),)),
    ]
)
credentials = st.lists(st.one_of(nothing, bearers, protocols), max_size=3)
targets = st.sampled_from(
    [
        "/v1/models",
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/livez/../v1/models",
        "/%76%31/models",
        "/v1%2fmodels",
        "/%2e/v1/models",
        "/livez%2f..%2fv1%2fmodels",
        "/livez;/v1/models",
        "/livez",
        "/livez?path=/v1/models",
        "/LIVEZ",
        "/livez/",
        "/unknown",
        "/",
        f"/unknown?api_key={'x' * 8}",
        "http://other/v1/models",
        "*",
    ]
)
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
over_one_server = settings(
    max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def opens(given_credentials: list[Credential]) -> str | None:
    """The name of the key behind what is presented: there must be one, and one only."""
    keys = [key for credential in given_credentials for key in credential.keys]
    names = {key: name for name, key in KEYS.items()}
    return names.get(keys[0]) if len(keys) == 1 else None


@over_one_server
@given(method=methods, target=targets, shown=credentials)
async def test_nobody_gets_past_without_a_key_whatever_the_path(
    guarded: Guarded,
    log_text: pytest.LogCaptureFixture,
    method: str,
    target: str,
    shown: list[Credential],
) -> None:
    guarded.let_in.clear()
    lines = [line for credential in shown for line in credential.lines]
    reply = await exchange(guarded.port, head(f"{method} {target}", *lines, "Connection: close"))
    status, name = status_of(reply), opens(shown)
    if name is None:
        assert guarded.let_in == []
        assert b"secret" not in reply
        if status == 200:
            assert target.startswith("/livez")
            assert method in ("GET", "HEAD")
        elif status == 401:
            assert b"WWW-Authenticate: Bearer" in reply
            if method != "HEAD":
                error = orjson.loads(reply.partition(b"\r\n\r\n")[2])["error"]
                assert error["code"] == "invalid_api_key"
                assert set(error) == {"message", "type", "param", "code"}
        else:
            assert status == 400  # no HTTP at all
    else:
        assert status != 401
        if target == "/v1/models":
            assert guarded.let_in == [name]
            assert status == 200
    for key in KEYS.values():
        assert key not in log_text.text
        assert key.encode() not in reply


@over_one_server
@given(shown=credentials)
async def test_a_websocket_is_refused_before_its_upgrade(
    guarded: Guarded, log_text: pytest.LogCaptureFixture, shown: list[Credential]
) -> None:
    guarded.let_in.clear()
    lines = [line for credential in shown for line in credential.lines]
    name = opens(shown)
    request = upgrade("/v1/responses", *lines)
    if name is None:
        reply = await exchange(guarded.port, _closing(request))
        assert status_of(reply) == 401
        assert guarded.let_in == []
    else:
        reply = await exchange(guarded.port, request + _CLOSE_FRAME)
        assert status_of(reply) == 101
        assert guarded.let_in == [name]
        agreed = b"Sec-WebSocket-Protocol: realtime\r\n" in reply
        assert agreed == any(b"realtime" in _offers(line)[:1] for line in lines if _offers(line))
    for key in KEYS.values():
        assert key not in log_text.text
        assert key.encode() not in reply


#: An empty, masked close frame.
_CLOSE_FRAME = bytes([0x88, 0x80, 1, 2, 3, 4])


def _offers(line: bytes) -> list[bytes]:
    names = KEYS.values()
    name, _, value = line.partition(b": ")
    kept = [p.strip() for p in value.split(b",")] if name == b"Sec-WebSocket-Protocol" else []
    return [p for p in kept if not p.startswith(KEY_PROTOCOL.encode()) and p.decode() not in names]


def _closing(request: bytes) -> bytes:
    """aiohttp keeps a connection open whose upgrade it declined; a second request ends it."""
    return request + head("GET /livez", "Connection: close")


@pytest.mark.parametrize(
    "broken",
    [
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\0\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {KEY}\r\n\r\n",
        f"GET /v1/models HTTP/9.9\r\nAuthorization: Bearer {KEY}\r\n\r\n",
        f"G\x7fT {KEY}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {KEY * 1_000}\r\n\r\n",
        f"POST /v1/models HTTP/1.1\r\nContent-Length: {KEY}\r\n\r\n",
    ],
)
async def test_a_broken_head_is_not_logged(
    guarded: Guarded, log_text: pytest.LogCaptureFixture, broken: str
) -> None:
    reply = await exchange(guarded.port, broken.encode())
    assert status_of(reply) == 400
    assert orjson.loads(reply.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"
    assert KEY.encode() not in reply
    assert guarded.let_in == []


async def test_without_keys_everything_is_open_and_nobody_has_a_name() -> None:
    let_in: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        let_in.append(key_name(request))
        return web.Response()

    app = web.Application(middlewares=[key_middleware(Keys())])
    app.router.add_get("/", handler)
    async with listening(app) as port:
        for line in ("Authorization: Bearer whatever", "X-Nothing: said"):
            reply = await exchange(port, head("GET /", line, "Connection: close"))
            assert status_of(reply) == 200
    assert let_in == [None, None]


# ── the application ───────────────────────────────────────────────────────────────────────────


def test_what_the_application_leaves_open_is_this_and_no_more() -> None:
    app = create_app(Runtime(WatchedEngine([])))
    open_paths = {
        route.resource.canonical
        for route in app.router.routes()
        if route.resource is not None and getattr(route.handler, "__frontrunner_public__", False)
    }
    assert {"/livez", "/readyz", "/health"} <= open_paths
    # The page asks for a key itself, and has nothing to hide.
    rest = {path for path in open_paths if not path.startswith("/playground/")}
    assert rest <= {"/livez", "/readyz", "/health", "/", "/openapi.json"}
