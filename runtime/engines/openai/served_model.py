"""What an endpoint says of the model that it serves, before anything is raced on it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from ...common.http_endpoints import authorization
from ...config import OpenAISettings
from ...errors import BadRequest, EngineError, EngineStartError
from ...model_files.inspection import ModelFiles, inspect
from ..protocol import Message
from .discovery import read_tokens, served_entry
from .engine import base_url
from .http import EndpointClient

#: Seconds for all questions together, and for the files of a model that is on the hub.
_LIMIT: Final = 20.0
_HUB_LIMIT: Final = 30.0


async def inspect_endpoint(settings: OpenAISettings) -> ModelFiles:
    """What the endpoint says of its model, and what the model's own files say where it names a
    folder of this machine or a name on the hub (as vLLM's servers do).

    Raises:
        EngineStartError: it cannot be reached, names no model, or races itself; it says what to do.
    """
    client = EndpointClient(
        base_url(settings.url),
        authorization("engine.key_env", settings.key_env),
        settings.connect_timeout,
    )
    try:
        with anyio.fail_after(_LIMIT):
            entry = await served_entry(client, settings.model)
            name = str(entry["id"])
            if entry.get("owned_by") == "frontrunner":
                raise EngineStartError(
                    "engine.url: a server of Frontrunner answers there, which races already: ask "
                    "it with frontrunner solve --url, or name the server that it races on"
                )
            server = await _server(client)
            context = _count(entry.get("max_model_len")) or await _context(client, name)
    except TimeoutError as error:
        raise EngineStartError(f"engine.url: no answer in {_LIMIT:g} s") from error
    except EngineStartError:
        raise
    except EngineError as error:
        raise EngineStartError(f"engine.url: {error}; is it running there?") from error
    finally:
        await client.aclose()
    origin = settings.tokenizer or entry.get("root") or name
    files = await _files_of(str(origin)) or ModelFiles(name, "endpoint")
    return replace(files, model=name, source="endpoint", served_context=context, server=server)


async def endpoint_prompt(
    settings: OpenAISettings, model: str, messages: Sequence[Message], arguments: Mapping[str, Any]
) -> str | None:
    """A conversation as the endpoint's model reads it; None: it does not say.

    Args:
        model: as the endpoint calls it.
        arguments: variables of its chat template.

    Raises:
        EngineStartError: ``engine.key_env`` names no key.
    """
    key = authorization("engine.key_env", settings.key_env)
    client = EndpointClient(base_url(settings.url), key, settings.connect_timeout)
    asked: dict[str, Any] = {"model": model, "add_special_tokens": False}
    asked |= {"messages": [dict(m) for m in messages], "add_generation_prompt": True}
    if arguments:
        asked["chat_template_kwargs"] = dict(arguments)
    try:
        with anyio.fail_after(_LIMIT):
            ids = read_tokens(await client.post("/tokenize", asked))
            if ids is None:
                return None
            said = await client.post("/detokenize", {"model": model, "tokens": list(ids)})
            text = said.get("prompt") if isinstance(said, Mapping) else None
            return text if isinstance(text, str) else None
    except (EngineError, TimeoutError):
        return None
    finally:
        await client.aclose()


async def _server(client: EndpointClient) -> str | None:
    """What runs there; vLLM says its version."""
    with suppress(EngineError):
        said = await client.get("/version")
        version = said.get("version") if isinstance(said, Mapping) else None
        return f"vLLM {version}" if isinstance(version, str) else None
    return None


async def _context(client: EndpointClient, name: str) -> int | None:
    with suppress(EngineError):
        said = await client.post("/tokenize", {"model": name, "prompt": "1 + 1 ="})
        return _count(said.get("max_model_len")) if isinstance(said, Mapping) else None
    return None


async def _files_of(origin: str) -> ModelFiles | None:
    """The files of the model where they can be had; the endpoint may well be another machine."""

    def read() -> ModelFiles | None:
        is_folder = Path(origin).is_absolute()
        if is_folder or origin.count("/") == 1:
            with suppress(BadRequest):
                return inspect(origin)
        return None

    with anyio.move_on_after(_HUB_LIMIT):
        return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
