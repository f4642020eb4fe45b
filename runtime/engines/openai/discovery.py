"""Finds out what an OpenAI-compatible endpoint serves, takes and gives, by asking it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import structlog

from ...errors import EngineError, EngineStartError
from ..protocol import Generation, Sampling
from .http import NOT_TAKEN, EndpointClient, Refused, Unreachable, described
from .placeholder_ids import Conversation
from .sse_decoder import EventDecoder, EventTooLong
from .wire import BadAnswer, Capabilities, Delta, chat_body, completion_body, read_event

_log = structlog.get_logger("frontrunner.engine")

_PROBE = "frontrunner-probe"
_TEXT = "1 + 1 ="
_CHAT = Conversation('{"messages": [{"role": "user", "content": "1 + 1 = ?"}], "tools": []}')
#: Bytes of an event of a probe's stream.
_MAX_EVENT = 2**18


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """An endpoint as it was found."""

    model: str
    max_context_tokens: int | None  # None: it does not say
    tokenizes: bool  # has vLLM's /tokenize
    abilities: Capabilities


async def discover(client: EndpointClient, model: str, tokens: Sequence[int]) -> EndpointInfo:
    """What an endpoint can do: a handful of requests of one token each.

    Args:
        model: the name that it is to serve; empty: the first one it names.
        tokens: ids of some text, as a local tokenizer has them; empty: the endpoint is asked.

    Raises:
        EngineStartError: it cannot be raced on, with the reason and what to do.
    """
    try:
        served = await served_entry(client, model)
        name = served["id"]
        context = _positive(served.get("max_model_len"))
        tokenized: Any = None
        with suppress(Refused, BadAnswer):
            tokenized = await client.post("/tokenize", {"model": name, "prompt": _TEXT})
        found = read_tokens(tokenized)
        abilities = await _abilities(client, name, tokens or found or ())
    except Refused as error:
        hint = "; set engine.key_env" if error.status in (401, 403) else ""
        raise EngineStartError(f"engine.url: {error}{hint}") from error
    except Unreachable as error:
        raise EngineStartError(f"engine.url: {error}; is it running there?") from error
    except EngineStartError:
        raise
    except EngineError as error:
        raise EngineStartError(f"engine.url: {error}") from error
    if context is None and isinstance(tokenized, Mapping):
        context = _positive(tokenized.get("max_model_len"))
    _log.info("frontrunner.endpoint_found", model=name, context=context, abilities=abilities)
    return EndpointInfo(name, context, found is not None, abilities)


def read_tokens(answer: Any) -> tuple[int, ...] | None:
    """The token ids in an answer of vLLM's ``/tokenize``; None: it is none."""
    found = answer.get("tokens") if isinstance(answer, Mapping) else None
    if not isinstance(found, list) or not all(type(i) is int and 0 <= i < 2**32 for i in found):
        return None
    return tuple(found)


async def served_entry(client: EndpointClient, model: str) -> Mapping[str, Any]:
    """The model's entry in ``/v1/models``; endpoints without that list serve what is named.

    Raises:
        EngineError: the endpoint does not answer, or names no model where none is asked for.
    """
    entries: list[Any] = []
    try:
        answer = await client.get("models")
    except Refused as error:
        if error.status not in NOT_TAKEN:
            raise
    else:
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        entries = listed if isinstance(listed, list) else []
    known = [e for e in entries if isinstance(e, Mapping) and isinstance(e.get("id"), str)]
    for entry in known:
        if not model or entry["id"] == model:
            return entry
    if not model:
        raise EngineStartError("engine.model: the endpoint names no models, so name one")
    if known:
        # Some list only a part of what they serve: the first request will tell.
        names = ", ".join(str(e["id"]) for e in known[:8])
        _log.warning("frontrunner.model_not_listed", model=model, listed=names)
    return {"id": model}


def _positive(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


async def _abilities(client: EndpointClient, model: str, tokens: Sequence[int]) -> Capabilities:
    """The most that a request may ask for without being refused, and that is answered too."""
    request = Generation(_PROBE, (), 1, Sampling(temperature=0.0, logprobs=1), priority=1)
    asked = [Capabilities(logprobs=True), Capabilities()]
    if tokens:
        ours = Capabilities(token_ids=True, vllm=True, priority=True, logprobs=True)
        some = replace(ours, priority=False), replace(ours, logprobs=False)
        asked = [ours, *some, replace(some[0], logprobs=False), *asked]
    refusal: Refused | None = None
    for abilities in asked:
        prompt: Sequence[int] | str = tokens if abilities.token_ids else _TEXT
        body = completion_body(model, prompt, request, abilities)
        try:
            # Lenient endpoints take what they do not know, and answer without it.
            delta = await _first(client, "completions", body, abilities)
        except Refused as error:
            if error.status not in NOT_TAKEN:
                raise
            refusal = error
            continue
        if delta is None or (abilities.token_ids and not delta.token_ids):
            continue
        # Only an endpoint that speaks vLLM's dialect is known to mean a priority when it takes one.
        abilities = replace(abilities, logprobs=abilities.logprobs and bool(delta.top))
        return await _with_chat(client, model, request, abilities)
    found = await _with_chat(client, model, request, Capabilities(completions=False))
    if not found.chat:
        raise refusal or EngineStartError(
            "engine.url: the endpoint answers neither /completions nor /chat/completions with "
            "a stream of text"
        )
    return found


async def _with_chat(
    client: EndpointClient, model: str, request: Generation, known: Capabilities
) -> Capabilities:
    """``known``, with what was found out about chat."""
    if known.token_ids:
        return known  # conversations are sent as tokens
    for prefill in (True, False):
        for logprobs in (known.logprobs,) if known.completions else (True, False):
            abilities = replace(known, chat=True, prefill=prefill, logprobs=logprobs)
            begun = "The answer is" if prefill else ""
            body = chat_body(model, _CHAT, begun, request, abilities)
            try:
                delta = await _first(client, "chat/completions", body, abilities)
            except Refused as error:
                if error.status not in NOT_TAKEN:
                    raise
                continue
            if delta is not None:
                return replace(abilities, logprobs=logprobs and bool(delta.top))
    return known


async def _first(
    client: EndpointClient, path: str, body: Mapping[str, Any], abilities: Capabilities
) -> Delta | None:
    """The first text that a request is answered with; None: no text, or no stream.

    Raises:
        EngineError: refused, or not reached.
    """
    response = await client.open(path, body, {"X-Request-Id": _PROBE})
    decoder = EventDecoder(_MAX_EVENT)
    try:
        while data := await response.content.readany():
            for event in decoder.feed(data):
                if event == b"[DONE]":
                    return None
                delta = read_event(event, token_ids=False)
                if delta is not None and (delta.text or delta.finish):
                    return read_event(event, token_ids=abilities.token_ids)
    except (BadAnswer, EventTooLong):
        return None
    except (aiohttp.ClientError, OSError) as error:
        raise EngineError(f"the endpoint's answer broke off: {described(error)}") from error
    finally:
        response.close()
    return None
