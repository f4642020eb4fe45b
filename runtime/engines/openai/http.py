"""The HTTP side of a remote engine: requests to one endpoint, and whether it is worth asking."""

import os
import socket
import ssl
from collections.abc import Mapping
from math import inf
from typing import Any

import aiohttp
import anyio
import orjson

from ...common.http_endpoints import (
    RETRYABLE_STATUSES,
    SHOWN_CHARS,
    AnswerTooLong,
    TryAgain,
    read_answer,
    retry_after,
    with_retries,
)
from ...errors import EngineClosed, EngineError
from ..breaker import Breaker
from .wire import complaint

#: Statuses that mean the request was understood and not liked, or not known there.
NOT_TAKEN = frozenset({400, 404, 405, 415, 422, 501})
#: Tries over the first one, before the first token, and the seconds waited at most for each.
_RETRIES, _MAX_WAIT = 2, 5.0
#: Seconds for which a request waits at most while an endpoint that failed is left alone, and
#: between two looks whether it still is.
_BREAKER_WAIT, _BREAKER_LOOK = 1.0, 0.05
#: Bytes of an answer that is not a stream: a token is up to 8 of them in /tokenize's.
_MAX_ANSWER = 16 * 2**20
#: Bytes of a refusal that are read.
_MAX_REFUSAL = 4096
#: Bytes of a stream that wait to be read, half of what aiohttp lets come before it stops reading.
_STREAM_BUFFER = 2**15
#: Answers of an endpoint that is broken, though something answers for it.
_BROKEN_STATUSES = frozenset({500, 502, 504})


class Refused(EngineError):
    """The endpoint answered with an error, ``status``."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        self.at_fault = status not in NOT_TAKEN and status != 413  # else nobody would take it
        super().__init__(f"the endpoint answered HTTP {status}: {said[:SHOWN_CHARS]}")


class Unreachable(EngineError, TryAgain):
    """The endpoint gave no HTTP answer at all."""


class EndpointClient:
    """Requests to an endpoint. Waits for nothing but the network: no limit of connections."""

    def __init__(
        self, url: str, key: Mapping[str, str], connect_timeout: float, *, several: bool = False
    ) -> None:
        """
        Args:
            url: where OpenAI's paths begin (``…/v1``).
            key: the header with the key.
            connect_timeout: seconds to find and reach the host.
            several: it is a router's: that one server behind it fails says nothing of the others.
        """
        self._url = url
        self._several = several
        self._secrets = [value.rpartition(" ")[2] for value in key.values()]
        self.breaker = Breaker()
        self._session: aiohttp.ClientSession | None = aiohttp.ClientSession(
            # A connector's limit would queue requests where nobody sees it.
            connector=aiohttp.TCPConnector(limit=0),
            headers={**key, "Accept-Encoding": "identity"},
            # What an answer may take is the callers' to say.
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout),
            auto_decompress=False,  # of a stream it could make any amount
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_STREAM_BUFFER,
        )

    def redact(self, text: str) -> str:
        """What the endpoint said, without the key: it may repeat it."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with anyio.CancelScope(shield=True):
                await session.close()

    async def get(self, path: str) -> Any:
        """The JSON that ``path`` answers with.

        Raises:
            EngineError: there is none.
        """
        return await _json(await self.send("GET", path))

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that ``path`` answers ``body`` with.

        Raises:
            EngineError: there is none.
        """
        return await _json(await self.send("POST", path, body))

    async def open(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        until: float = inf,
    ) -> aiohttp.ClientResponse:
        """An answer whose body is still to come; the caller closes it.

        An endpoint that was not reached, or that is overloaded, is asked again, if the time allows
        it: its stream has not begun.

        Args:
            until: when nobody wants the answer any more (anyio clock, seconds).

        Raises:
            EngineError: it is refused.
        """

        async def post() -> aiohttp.ClientResponse:
            return await self.send("POST", path, body, headers, until=until)

        try:
            return await with_retries(post, retries=_RETRIES, until=until, longest_wait=_MAX_WAIT)
        except _OverloadedError as error:
            raise error.refusal from error

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        until: float = inf,
    ) -> aiohttp.ClientResponse:
        """An answer of status 200, its body still to come.

        Args:
            path: below the endpoint's URL; one that begins with ``/`` is beside its last part.
            until: when nobody wants the answer any more (anyio clock, seconds).

        Raises:
            EngineClosed, Unreachable, Refused: there is none.
        """
        if self._session is None:
            raise EngineClosed("the remote engine is not running")
        await self._pass_breaker(until)
        url = self._url.removesuffix("/v1") + path if path[0] == "/" else f"{self._url}/{path}"
        try:
            response = await self._session.request(
                method,
                url,
                data=orjson.dumps(body) if body is not None else None,
                headers={"Content-Type": "application/json", **(headers or {})},
                allow_redirects=False,  # the key is for this endpoint alone
            )
        except (aiohttp.ClientError, OSError) as error:
            lost = Unreachable(f"the endpoint was not reached: {described(error)}")
            self.breaker.failed(lost)
            raise lost from error
        if response.status == 200:
            if self.breaker.closed:  # else only text proves that it serves
                self.breaker.succeeded()
            return response
        if response.status not in _BROKEN_STATUSES:
            self.breaker.succeeded()
        try:
            refusal = Refused(response.status, self.redact(await _refusal(response)))
        finally:
            response.close()
        if response.status in _BROKEN_STATUSES and not self._several:
            self.breaker.failed(refusal)
        if response.status in RETRYABLE_STATUSES:
            raise _OverloadedError(refusal, retry_after(response)) from refusal
        raise refusal

    async def _pass_breaker(self, until: float) -> None:
        """Wait while an endpoint that failed is left alone, until somebody's trial succeeded or it
        is time for one more.

        Raises:
            EngineError: that takes too long.
        """
        until = min(until, anyio.current_time() + _BREAKER_WAIT)
        while (failure := self.breaker.failure) is not None:
            if self.breaker.trial_due:
                self.breaker.begin_trial()
                return
            if anyio.current_time() + _BREAKER_LOOK >= until:
                raise EngineError(f"the endpoint failed of late, and is left alone: {failure}")
            await anyio.sleep(_BREAKER_LOOK)


class _OverloadedError(EngineError, TryAgain):
    """``refusal``, which may be lifted after some seconds."""

    def __init__(self, refusal: Refused, after: float) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.after = after


def described(error: BaseException) -> str:
    """An error of the network in a few words; never with headers, which hold the key, nor with the
    endpoint's host, which is nothing to clients of ours."""
    said = str(error) if isinstance(error, aiohttp.ClientPayloadError) else _system_error(error)
    return f"{type(error).__name__}: {said}"[:SHOWN_CHARS] if said else type(error).__name__


def _system_error(error: BaseException) -> str:
    """What the system says, in its own words: those of aiohttp and asyncio name the host."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_error(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, socket.gaierror):
        return error.strerror or ""
    if isinstance(error, ssl.SSLError):  # its number is OpenSSL's, and no system's
        return f"no TLS with it ({error.reason})"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""


def _certificate_error(error: Exception) -> str:
    said = str(getattr(error, "verify_message", "") or "it cannot be verified")
    if "mismatch" in said:  # the rest of it names the host
        return "its certificate is another host's"
    return f"its certificate is not trusted ({said})"


async def _refusal(response: aiohttp.ClientResponse) -> str:
    try:
        data = await response.content.read(_MAX_REFUSAL)
    except (aiohttp.ClientError, OSError) as error:
        return described(error)
    try:
        return complaint(orjson.loads(data))
    except ValueError:
        return data.decode("utf-8", "replace").strip()


async def _json(response: aiohttp.ClientResponse) -> Any:
    try:
        data = await read_answer(response, _MAX_ANSWER)
    except AnswerTooLong as error:
        raise EngineError(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineError(f"the endpoint's answer broke off: {described(error)}") from error
    finally:
        response.close()
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise EngineError("the endpoint answered something that is not JSON") from error
