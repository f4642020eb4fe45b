"""Replies as ``/openapi.json`` describes them: nothing missing, nothing else, nothing more."""

from functools import cache
from typing import Any

import orjson
from aiohttp import web
from jsonschema import Draft202012Validator

from frontrunner.runtime.serving.openapi import body_schemas, document


@cache
def validator(name: str) -> Draft202012Validator:
    """Of the body with this schema. A field that the schema does not name is a fault here, while
    clients are told to pass over it: later versions may add some."""
    reference = {"$ref": f"#/components/schemas/{name}"}
    return Draft202012Validator({**reference, "components": {"schemas": _closed(body_schemas())}})


def faults(name: str, body: Any) -> list[str]:
    """What in ``body`` is not as its schema says."""
    return [
        f"{name}: {error.json_path}: {error.message[:500]}"
        for error in validator(name).iter_errors(body)
    ]


class DescribedReplies:
    """Compares all JSON that an app answers with its description."""

    def __init__(self, app: web.Application) -> None:
        self.faults: list[str] = []
        self.seen: set[str] = set()
        """The schemas that bodies were compared with."""
        self._paths: dict[str, Any] = document(app)["paths"]
        app.on_response_prepare.append(self._look)

    async def _look(self, request: web.Request, response: web.StreamResponse) -> None:
        if not isinstance(response, web.Response) or response.content_type != "application/json":
            return
        resource = request.match_info.route.resource
        path = self._paths.get("" if resource is None else resource.canonical)
        if path is None and response.status < 400:
            return  # the page's, and this document
        answers = (path or {}).get(request.method.lower(), {}).get("responses", {})
        described = answers.get(str(response.status), {}).get("content", {})
        schema = described.get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "Error").rpartition("/")[2]
        if request.path == "/openapi.json":
            return
        self.seen.add(name)
        assert isinstance(response.body, bytes)
        self.faults += faults(name, orjson.loads(response.body))


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
