"""Races on a server that runs already, told by the events that its stream carries.

It stands where a ``Runtime`` stands otherwise. Nothing that an engine needs is imported here: what
``frontrunner solve`` costs beside the race itself is the start of a Python process.
"""

import http.client
import json
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from frontrunner import __version__
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...common.config_identity import KEY_VARIABLE, PATH, ConfigIdentity
from ...common.json_bytes import json_bytes
from ...errors import BadRequest, EngineError, FrontrunnerError
from ...events import types as events
from ...events.fold import BranchState, RaceState
from ...result import BranchReport, Note, Result
from ...thinking import ThinkingFormat

#: Seconds to reach a server that is named, and one that may be there: while it loads its libraries
#: it answers slowly, and where nobody listens that is known at once.
_REACH, _LOOK = 10.0, 3.0
#: Looks without an answer after which a server that was loading is gone.
_MISSES = 5
#: Between two looks whether a server is ready, in seconds.
_POLL = 0.2
#: Seconds beyond its deadline that a race may be silent.
_GRACE = 30.0
_PIECE: Final = 1 << 16
#: What events are called on the wire.
_EVENTS: Final[dict[str, type[Any]]] = {
    "frontrunner.race.started": events.RaceStarted,
    "frontrunner.branch.started": events.BranchStarted,
    "frontrunner.branch.delta": events.BranchProgressed,
    "frontrunner.branch.forcing": events.BranchForcing,
    "frontrunner.branch.probed": events.BranchProbed,
    "frontrunner.branch.scored": events.BranchScored,
    "frontrunner.branch.extended": events.BranchExtended,
    "frontrunner.branch.ended": events.BranchEnded,
    "frontrunner.vote": events.VoteChanged,
    "frontrunner.call_time": events.CallTimeReached,
}


class ServerClient:
    """Asks a server of Frontrunner over its own API."""

    def __init__(self, url: str, key: str | None = None) -> None:
        """
        Args:
            url: ``http://host:port`` with or without ``/v1``, ``https://…``, or ``unix:/path``.

        Raises:
            BadRequest: it is none of these.
        """
        self.url = url
        self._key = key
        self._parts = urlsplit(url)
        scheme, host = self._parts.scheme, self._parts.hostname
        named = self._parts.path if scheme == "unix" else host
        if scheme not in ("http", "https", "unix") or not named:
            raise BadRequest(
                f"--url takes an address such as http://127.0.0.1:8000 or unix:/path, not {url!r}"
            )
        try:
            _ = self._parts.port
        except ValueError as error:
            raise BadRequest(f"--url {url}: {error}") from error
        path = "" if scheme == "unix" else self._parts.path.rstrip("/")
        self._prefix = path.removesuffix("/v1")

    # ── is it there? ──────────────────────────────────────────────────────────────────────────

    def identity(self, timeout: float = _LOOK) -> Mapping[str, Any] | None:
        """What the server says of itself: ``version``, ``config`` (a fingerprint), ``ready``.
        None: nobody of ours listens there."""
        connection = self._connection(timeout)
        try:
            connection.request("GET", self._prefix + PATH)
            response = connection.getresponse()
            said: Any = json.loads(response.read(_PIECE)) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return said if isinstance(said, dict) else None

    async def wait_until_ready(self) -> None:
        """Wait while the server loads its engine.

        Raises:
            EngineError: it is gone.
        """
        misses = 0
        while True:
            said = await anyio.to_thread.run_sync(
                lambda: self.identity(_REACH), abandon_on_cancel=True
            )
            misses = misses + 1 if said is None else 0
            if misses >= _MISSES:
                raise EngineError(f"the server at {self.url} ended before it was ready")
            if said is not None and said.get("ready"):
                return
            await anyio.sleep(_POLL)

    # ── races ─────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def stream(
        self, question: Any, **options: Any
    ) -> AsyncGenerator[AsyncIterator[events.Event]]:
        """A race as typed events, as ``Runtime.stream``; leaving the block early cancels it.

        Args:
            question: a text, or messages in OpenAI's form.
            options: ``deadline``, ``branches``, ``strategy``, ``parameters`` and ``seed``; what is
                None is as the server has it.

        Raises:
            BadRequest: the server refuses it.
            EngineError: it cannot be reached, or cannot race now.
        """
        deadline = options.get("deadline")
        connection = self._connection(_REACH if deadline is None else deadline + _GRACE)
        try:
            response = await self._in_thread(
                connection, lambda: self._ask(connection, _body(question, options))
            )
            if response.status != 200:
                read = await self._in_thread(connection, response.read)
                raise self._refusal(response.status, _error_of(read))
            yield self._events(connection, response)
        finally:
            _shut(connection)

    def _ask(self, connection: http.client.HTTPConnection, body: bytes) -> http.client.HTTPResponse:
        connection.connect()
        connection.sock.settimeout(None if connection.timeout == _REACH else connection.timeout)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        connection.request("POST", f"{self._prefix}/v1/chat/completions", body, headers)
        return connection.getresponse()

    async def _events(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> AsyncGenerator[events.Event]:
        state, content, rest = RaceState(), "", b""
        while piece := await self._in_thread(connection, lambda: response.read1(_PIECE)):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if not line.startswith(b"data: {"):
                    continue
                chunk: dict[str, Any] = json.loads(line[6:])
                if "error" in chunk:
                    raise self._refusal(503, chunk["error"])
                content += "".join(c["delta"].get("content") or "" for c in chunk["choices"])
                told = chunk.get("frontrunner")
                if not isinstance(told, dict):
                    continue
                event = _event(told, state, content)
                if event is not None:
                    state.apply(event)
                    yield event
                if isinstance(event, events.RaceDecided):
                    return
        raise EngineError(f"the server at {self.url} broke off before the race had ended")

    async def _in_thread(self, connection: http.client.HTTPConnection, work: Any) -> Any:
        """What ``work`` returns, which reads or writes; cancelled, the connection is shut, which
        ends it."""
        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise BadRequest(
                f"no server answers at {self.url}: start one (frontrunner serve), or leave --url "
                "away"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise EngineError(f"the server at {self.url} cannot be asked: {why}") from error
        except BaseException:
            _shut(connection)
            raise

    def _refusal(self, status: int, error: Any) -> FrontrunnerError:
        message = str(error.get("message", "")) if isinstance(error, dict) else ""
        message = message or f"the server at {self.url} answers with status {status}"
        if status == 401:
            return BadRequest(f"{message} ({KEY_VARIABLE} is the variable that is sent)")
        if status in (404, 405):
            return BadRequest(f"{self.url} is no server of Frontrunner: {message}")
        return (
            BadRequest(message) if 400 <= status < 500 and status != 429 else EngineError(message)
        )

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def local_server(identity: ConfigIdentity) -> tuple[ServerClient, bool] | None:
    """A server that runs on this machine on the same config, and whether it is ready; None: there
    is none. Its key is the one of ``FRONTRUNNER_API_KEY``, or the first one that the config's own
    server takes."""
    client = ServerClient(identity.address, _key_for(identity))
    said = client.identity()
    if said is None or said.get("config") != identity.fingerprint:
        return None
    if said.get("version") != __version__:
        return None
    return client, bool(said.get("ready"))


def own_key() -> str | None:
    """The key of ``FRONTRUNNER_API_KEY``; None: it is not set."""
    return os.environ.get(KEY_VARIABLE, "").strip() or None


def _key_for(identity: ConfigIdentity) -> str | None:
    if (key := own_key()) is not None:
        return key
    text = os.environ.get(identity.keys_env, "") if identity.keys_env else ""
    if identity.key_file is not None:
        with suppress(OSError, UnicodeDecodeError), open(identity.key_file, encoding="utf-8") as f:
            text = f"{text}\n{f.read()}"
    lines = (line.strip() for line in text.replace(",", "\n").split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), None)
    return first.rpartition(":")[2].strip() if first is not None else None


def _shut(connection: http.client.HTTPConnection) -> None:
    """Close the connection; a thread that reads from it is woken up."""
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()


# ── what is sent, and what comes back ─────────────────────────────────────────────────────────


def _body(question: Any, options: Mapping[str, Any]) -> bytes:
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    said = ("deadline", "branches", "strategy", "parameters")
    own: dict[str, Any] = {name: options[name] for name in said if options.get(name)}
    own |= {"events": True, "stream_leader": False, "content": "reply"}
    body: dict[str, Any] = {"messages": list(messages), "stream": True, "frontrunner": own}
    if options.get("seed") is not None:
        body["seed"] = options["seed"]
    return json_bytes(body)


def _error_of(content: bytes) -> Any:
    try:
        said: Any = json.loads(content)
    except ValueError:
        return None
    return said.get("error") if isinstance(said, dict) else None


def _event(told: dict[str, Any], state: RaceState, content: str) -> events.Event | None:
    """The event that an object tells; None: this version does not know it."""
    if "type" not in told:
        return events.RaceDecided(told["elapsed"], _result(told, state, content))
    kind = _EVENTS.get(told["type"])
    if kind is None:
        return None
    known = {name: told[name] for name in (f.name for f in fields(kind)) if name in told}
    if "status" in known:
        known["status"] = BranchStatus(known["status"])
    if known.get("thinking") is not None:
        thinking: dict[str, Any] = known["thinking"]
        known["thinking"] = ThinkingFormat(
            **{**thinking, "turn_ends": tuple(thinking["turn_ends"])}
        )
    return kind(**known)


def _result(told: Mapping[str, Any], state: RaceState, content: str) -> Result:
    """The result, with what the events told of its branches."""
    reports = tuple(_report(branch, state) for branch in state.branches.values())
    answer: str | None = told["answer"]
    of_answer = (r for r in reports if answer is not None and r.answer == answer)
    winner = min(of_answer, key=lambda r: (r.forced, r.seconds), default=None)
    return Result(
        race_id=told["race_id"],
        answer=answer,
        text=winner.text if winner is not None else content,
        confidence=told["confidence"],
        stop_reason=StopReason(told["stop_reason"]),
        elapsed=told["elapsed"],
        deadline=told["deadline"],
        votes=told["votes"],
        forced_votes=told["forced_votes"],
        branches=reports,
        tokens_generated=told["tokens_generated"],
        scoring_tokens=told["scoring_tokens"],
        tokens_saved=told["tokens_saved"],
        branch=winner.index if winner is not None else None,
        accuracy_estimate=told["accuracy_estimate"],
        notes=tuple(Note(note["code"], note["text"]) for note in told["notes"]),
    )


def _report(branch: BranchState, state: RaceState) -> BranchReport:
    forced = branch.status is BranchStatus.FORCED
    at = branch.ended_at if branch.ended_at is not None else state.at
    return BranchReport(
        index=branch.index,
        status=branch.status,
        tokens=branch.tokens,
        forced_tokens=max(0, branch.tokens + branch.inherited_tokens - branch.own_tokens),
        answer=branch.answer,
        forced=forced,
        seconds=at - branch.started_at,
        text=branch.text,
        error=branch.reason if branch.status is BranchStatus.FAILED else None,
        score=branch.score,
        parent=branch.parent,
        inherited_tokens=branch.inherited_tokens,
        probes=branch.probes,
        truncated=branch.status is BranchStatus.TRUNCATED,
        forced_at=len(branch.own_text) if forced else None,
    )


__all__ = ["ServerClient", "local_server", "own_key"]
