"""``GET /openapi.json``: the HTTP API, described for machines (OpenAPI 3.1).

Nothing of a body is described here: requests by the models that check them, replies by the types
that they are built as (``reply_bodies``). What depends on the engine or on what is registered is
filled in when the document is asked for.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import anyio.to_thread
from aiohttp import web
from pydantic import BaseModel, TypeAdapter

import frontrunner
from frontrunner.strategies.registry import strategy_names

from ..answers.registry import extractor_names
from ..config import reference
from .app_keys import RUNTIME, SETTINGS, served_model
from .errors import json_response
from .openai.chat import ChatRequest
from .openai.completions import CompletionRequest
from .reply_bodies import BODIES
from .responses.bodies import ResponseBody
from .security.api_keys import public

_REQUESTS: Final[tuple[type[BaseModel], ...]] = (ChatRequest, CompletionRequest, ResponseBody)

#: What a request says in the place of a key of the config, by schema and property.
_AS_IN_CONFIG: Final[Mapping[str, Mapping[str, str]]] = {
    "FrontrunnerOptions": {
        "deadline": "race.deadline",
        "strategy": "race.strategy",
        "parameters": "race.parameters",
        "branches": "race.branches",
        "min_branches": "race.min_branches",
        "max_tokens": "sampling.max_tokens",
        "stop": "sampling.stop",
        "events": "server.events",
        "content": "server.content",
    },
    "AnswerFields": {key: f"answers.{key}" for key in ("kind", "units", "tolerance", "order")},
    **{
        model.__name__: {key: f"sampling.{key}" for key in ("temperature", "top_p", "top_k")}
        for model in _REQUESTS
    },
}

_TEXT: Final = {"type": "string"}
_ANY: Final = {"type": "object"}

#: What an error response may mean, by status.
_MEANINGS: Final = {
    400: "The request cannot be run as it is; the message says what to change.",
    401: "The API key is missing or unknown.",
    403: "Pages of this origin may not use the server.",
    404: "There is no such thing, or not any more.",
    410: "What is asked for next is not kept any more.",
    413: "The body is too large.",
    426: "This is a websocket.",
    429: "The key has as many races running as it may.",
    503: "The engine is busy or lost, or the server is about to end.",
}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_DEADLINE_HEADERS: Final = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": f"A deadline in {unit}; the smallest that a request asks for counts.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9},
    }
    for name, unit in (
        ("x-frontrunner-deadline", "seconds"),
        ("x-request-timeout-ms", "milliseconds"),
    )
]
_RESPONSE_ID: Final = {
    "name": "response_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}


def document(app: web.Application) -> dict[str, Any]:
    """The description of what ``app`` serves."""
    keyed = bool(app[SETTINGS].key_file or app[SETTINGS].keys_env)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Frontrunner",
            "version": frontrunner.__version__,
            "description": "Races reasoning branches and answers by a deadline, in OpenAI's form.",
        },
        "paths": _paths(open_metrics=app[SETTINGS].open_metrics),
        "components": {
            "schemas": _schemas(app),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}} if keyed else {},
        },
        **({"security": [{"key": []}]} if keyed else {}),
    }


def _paths(*, open_metrics: bool) -> dict[str, Any]:
    return {**_completions(), **_responses(), **_models(), **_server(open_metrics=open_metrics)}


def _completions() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {
            "post": _race("Answer a conversation.", "ChatRequest", "ChatCompletion")
        },
        "/v1/completions": {
            "post": _race("Go on with a prompt.", "CompletionRequest", "Completion")
        },
    }


def _responses() -> dict[str, Any]:
    events = {"text/event-stream": {}}
    flag = {"schema": {"type": "boolean"}, "in": "query", "required": False}
    number = {"schema": {"type": "integer", "minimum": -1}, "in": "query", "required": False}
    return {
        "/v1/responses": {
            "post": _race("Answer, in the form of the Responses API.", "ResponseBody", "Response"),
            "get": _operation(
                "The websocket of the Responses API; it must be upgraded.",
                {"101": {"description": "It is a websocket from here on."}},
                (401, 403, 426, 503),
            ),
        },
        "/v1/responses/{response_id}": {
            "parameters": [_RESPONSE_ID],
            "get": {
                **_operation(
                    "A response, or its events from a place on.",
                    _ok("Response", events),
                    (400, 401, 404, 410),
                ),
                "parameters": [
                    {"name": "stream", **flag},
                    {"name": "starting_after", **number},
                ],
            },
            "delete": _operation("Forget a response.", _ok("DeletedResponse"), (401, 403, 404)),
        },
        "/v1/responses/{response_id}/cancel": {
            "parameters": [_RESPONSE_ID],
            "post": _operation("End a response.", _ok("Response"), (401, 403, 404)),
        },
    }


def _models() -> dict[str, Any]:
    return {
        "/v1/models": {"get": _operation("All models.", _ok("Models"), (401,))},
        "/v1/models/{model}": {
            "parameters": [
                {
                    "name": "model",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "minLength": 1},
                }
            ],
            "get": _operation("One model.", _ok("Model"), (401, 404)),
        },
    }


def _server(*, open_metrics: bool) -> dict[str, Any]:
    return {
        "/livez": {
            "get": _open(
                _operation(
                    "Whether it is alive.",
                    {**_ok("Live"), "503": _answer("Only a restart would help.", _json("Live"))},
                    (),
                )
            )
        },
        **{
            path: {
                "get": _open(
                    _operation(
                        "Whether it should be sent requests.",
                        {
                            **_ok("Ready"),
                            "503": _answer("It should not.", _json("Ready")),
                        },
                        (),
                    )
                )
            }
            for path in ("/readyz", "/health")
        },
        "/metrics": {
            "get": (_open if open_metrics else _as_it_is)(
                _operation(
                    "Metrics for Prometheus.",
                    {"200": _answer("All metrics.", _metrics())},
                    (401,),
                )
            )
        },
        "/openapi.json": {
            "get": _open(
                _operation(
                    "This document.",
                    {"200": _answer("It.", {"application/json": {"schema": _ANY}})},
                    (),
                )
            )
        },
    }


def _race(summary: str, body: str, reply: str) -> dict[str, Any]:
    events = {"text/event-stream": {}}
    return {
        **_operation(summary, _ok(reply, events), (400, 401, 403, 404, 413, 429, 503)),
        "parameters": _DEADLINE_HEADERS,
        "requestBody": {"required": True, "content": _json(body)},
    }


def _operation(summary: str, answers: Mapping[str, Any], errors: Sequence[int]) -> dict[str, Any]:
    told = {str(status): _answer(_MEANINGS[status], _json("Error")) for status in errors}
    return {"summary": summary, "responses": {**answers, **told}}


def _ok(schema: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"200": _answer("The answer.", {**_json(schema), **(more or {})})}


def _answer(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(schema)}}


def _metrics() -> dict[str, Any]:
    kinds = ("text/plain", "application/openmetrics-text")
    return {kind: {"schema": _TEXT} for kind in kinds}


def _open(operation: dict[str, Any]) -> dict[str, Any]:
    """The operation needs no key."""
    return {**operation, "security": []}


def _as_it_is(operation: dict[str, Any]) -> dict[str, Any]:
    return operation


def _schemas(app: web.Application) -> dict[str, Any]:
    schemas = body_schemas()
    options = dict(schemas["FrontrunnerOptions"])
    properties = dict(options["properties"])
    properties["strategy"] = _one_of(properties["strategy"], strategy_names())
    kinds = list(extractor_names())
    answers = properties["answers"]["anyOf"]
    properties["answers"] = {
        **properties["answers"],
        "anyOf": [{"enum": kinds} if part == {"type": "string"} else part for part in answers],
    }
    fields = dict(schemas["AnswerFields"])
    kind = _one_of(fields["properties"]["kind"], kinds)
    schemas["AnswerFields"] = {**fields, "properties": {**fields["properties"], "kind": kind}}
    most = app[RUNTIME].engine.info.max_branches
    for name in ("branches", "min_branches"):
        properties[name] = {
            **{key: value for key, value in properties[name].items() if key != "anyOf"},
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": most}, {"type": "null"}],
        }
    schemas["FrontrunnerOptions"] = {**options, "properties": properties}
    for request in _REQUESTS:
        described = schemas[request.__name__]
        model = _one_of(described["properties"]["model"], [served_model(app)])
        described["properties"] = {**described["properties"], "model": model}
    for name, keys in _AS_IN_CONFIG.items():
        schemas[name] = _described(schemas[name], keys)
    return schemas


def body_schemas() -> dict[str, dict[str, Any]]:
    """The schemas of the types that requests are read as and replies are built as, by name."""
    return {name: dict(schema) for name, schema in _generated_schemas().items()}


@cache
def _generated_schemas() -> dict[str, dict[str, Any]]:
    """Made once: it takes a good part of a second."""
    _, generated = TypeAdapter.json_schemas(
        [(body, "validation", TypeAdapter(body)) for body in (*_REQUESTS, *BODIES)],
        ref_template="#/components/schemas/{model}",
    )
    return generated["$defs"]


def _described(schema: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """``schema`` with what the config's reference says about properties that say the same."""
    properties = dict(schema["properties"])
    for name, key in keys.items():
        if name in properties:
            told = f"{reference.describe(key)} Not given: as in the server's config ({key})."
            properties[name] = {**properties[name], "description": told}
    return {**schema, "properties": properties}


def _one_of(described: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    kept = {key: value for key, value in described.items() if key != "anyOf"}
    return {**kept, "anyOf": [{"enum": list(names)}, {"type": "null"}]}


@public
async def openapi(request: web.Request) -> web.Response:
    """The document."""
    # In a thread, beside which races go on.
    await anyio.to_thread.run_sync(_generated_schemas)
    return json_response(document(request.app))


def add_routes(app: web.Application) -> None:
    app.router.add_get("/openapi.json", openapi)
