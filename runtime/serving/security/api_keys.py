"""API keys: who may use the server.

Everything is guarded but the handlers marked ``public``. What is guarded is decided by the handler
that a request would reach, not by its path, so that no spelling of a path gets around it.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterable
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Self, TypeVar

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict
from structlog.contextvars import bound_contextvars

from ...config import ServerSettings
from ...errors import ConfigError
from ..errors import BadKey, error_response

_log = structlog.get_logger("frontrunner.serving")

#: A browser's websocket cannot set headers, only name subprotocols (OpenAI's Realtime API has it
#: so). It must name another one beside it, which the server can agree to.
KEY_PROTOCOL = "openai-insecure-api-key."

#: Visible ASCII without the comma, which separates keys in the environment.
_KEY = re.compile(r"[!-+\--~]+")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_KEY_NAME = web.RequestKey("frontrunner.key_name", str)

H = TypeVar("H", bound=Callable[..., object])


class Keys:
    """The keys that open the server, by name. What is kept of a key is its SHA-256."""

    def __init__(self, keys: Iterable[tuple[str, str]] = ()) -> None:
        """
        Args:
            keys: pairs of a name and a key. Several keys may have one name, to change one for
                another.

        Raises:
            ValueError: a key cannot be sent in a header, or is given twice. It is not shown.
        """
        self._digests: list[tuple[bytes, str]] = []
        for name, key in keys:
            if not _KEY.fullmatch(key):
                raise ValueError(f"the key {name!r} must be visible ASCII without spaces or commas")
            digest = sha256(key.encode()).digest()
            if any(digest == known for known, _ in self._digests):
                raise ValueError(f"the key {name!r} is given twice")
            self._digests.append((digest, name))

    @classmethod
    def from_settings(cls, settings: ServerSettings, more: Iterable[tuple[str, str]] = ()) -> Self:
        """The keys of ``key_file`` and of ``keys_env``, and ``more``; all count.

        Raises:
            ConfigError: a source that is named has no key in it, or a bad one: a server that was
                meant to be closed must not stand open.
        """
        entries: list[tuple[str, str]] = []
        if settings.key_file is not None:
            try:
                text = Path(settings.key_file).expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problem = f"cannot read {settings.key_file} ({type(error).__name__})"
                raise ConfigError("server.key_file", problem) from error
            entries += _parsed(text.splitlines(), "server.key_file", settings.key_file)
        if settings.keys_env is not None:
            text = os.environ.get(settings.keys_env, "")
            entries += _parsed(re.split(r"[,\n]", text), "server.keys_env", settings.keys_env)
        given = {key for _, key in entries}
        entries += [(name, key) for name, key in more if key not in given]
        try:
            return cls(entries)
        except ValueError as error:
            raise ConfigError("server", str(error)) from None

    def __len__(self) -> int:
        return len(self._digests)

    def name_of(self, presented: str) -> str | None:
        """The name of a key; None if it is none of ours.

        Takes as long for any key: all digests are compared, each in constant time.
        """
        # Header values arrive with undecodable bytes as surrogates.
        digest = sha256(presented.encode("utf-8", "surrogateescape")).digest()
        found: str | None = None
        for known, name in self._digests:
            if secrets.compare_digest(digest, known):
                found = name
        return found


def public(handler: H) -> H:
    """Mark a handler as open to all, with or without a key."""
    handler.__frontrunner_public__ = True  # type: ignore[attr-defined]
    return handler


def key_name(request: web.Request) -> str | None:
    """The name of the key with which a request came; None without one."""
    return request.get(_KEY_NAME)


def presented_key(request: web.BaseRequest) -> str | None:
    """The one key that a request carries; None without one or with several."""
    keys = [
        match[1]
        for value in request.headers.getall(hdrs.AUTHORIZATION, [])
        if (match := _BEARER.fullmatch(value))
    ]
    keys += [
        protocol.removeprefix(KEY_PROTOCOL)
        for protocol in _protocols(request)
        if protocol.startswith(KEY_PROTOCOL)
    ]
    return keys[0] if len(keys) == 1 else None


def key_middleware(keys: Keys) -> Middleware:
    """Turns away requests without a key, before a websocket's upgrade."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        presented = presented_key(request)
        name = keys.name_of(presented) if presented is not None else None
        if name is None and keys and not _is_public(request):
            return error_response(BadKey())
        if name is None:
            return await handler(_without_keys(request, keys))
        request[_KEY_NAME] = name
        with bound_contextvars(key=name):
            return await handler(_without_keys(request, keys))

    return check


def warn_if_open(keys: Keys, host: str) -> None:
    """Say so in the log if anyone who can reach ``host`` may use the server."""
    if not keys and not is_loopback(host):
        _log.warning(
            "frontrunner.server_is_open",
            host=host,
            advice="anyone who can reach it may use it: set server.key_file or server.keys_env",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parsed(lines: Iterable[str], setting: str, source: str) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, key = line.partition(":")
        if not colon or not _NAME.fullmatch(name.strip()):
            name, key = f"key{len(entries) + 1}", line
        entries.append((name.strip(), key.strip()))
    if not entries:
        raise ConfigError(setting, f"{source} holds no key")
    return entries


def _is_public(request: web.Request) -> bool:
    return getattr(request.match_info.handler, "__frontrunner_public__", False)


def _protocols(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return [protocol.strip() for line in lines for protocol in line.split(",")]


def _without_keys(request: web.Request, keys: Keys) -> web.Request:
    """The request as the handler may see it, without keys among its subprotocols, also where one
    was put by mistake: aiohttp logs those that the handler does not know."""
    protocols = _protocols(request)
    kept = [
        protocol
        for protocol in protocols
        if not protocol.startswith(KEY_PROTOCOL) and keys.name_of(protocol) is None
    ]
    if len(kept) == len(protocols):
        return request
    headers = CIMultiDict(
        (name, value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        for name, value in request.headers.items()
        if name.lower() != hdrs.SEC_WEBSOCKET_PROTOCOL.lower()
    )
    if kept:
        headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = ", ".join(kept)
    return request.clone(headers=headers)
