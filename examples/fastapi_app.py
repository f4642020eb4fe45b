"""A FastAPI backend that answers by a deadline.

Run it with ``uvicorn examples.fastapi_app:app``. ``POST /ask`` answers, ``POST /watch`` streams the
race as server-sent events, and below ``/llm/`` is the whole server: OpenAI's APIs and the page.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from math import ceil
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from frontrunner import BadRequest, FrontrunnerError, Overloaded, Runtime, asgi
from frontrunner.events import Event

runtime = Runtime.from_config("configs/demo.toml")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with runtime:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/llm", asgi(runtime))


class Question(BaseModel):
    question: str
    deadline: float = 5.0


@app.exception_handler(BadRequest)
async def bad_request(request: Request, error: BadRequest) -> JSONResponse:
    return JSONResponse({"error": {"message": str(error), "param": error.param}}, 400)


@app.exception_handler(Overloaded)
async def overloaded(request: Request, error: Overloaded) -> JSONResponse:
    headers = {"Retry-After": str(ceil(error.retry_after))}
    return JSONResponse({"error": {"message": str(error)}}, 503, headers)


@app.exception_handler(FrontrunnerError)  # the engine died, or the server is about to end
async def unavailable(request: Request, error: FrontrunnerError) -> JSONResponse:
    return JSONResponse({"error": {"message": str(error)}}, 503)


@app.post("/ask")
async def ask(asked: Question) -> dict[str, Any]:
    result = await runtime.solve(asked.question, deadline=asked.deadline)
    return {"answer": result.answer, "confidence": result.confidence}


@app.post("/watch")
async def watch(asked: Question) -> StreamingResponse:
    events = runtime.stream(asked.question, deadline=asked.deadline)
    first = await anext(events)  # what is wrong is raised here, while there can be another status

    async def told() -> AsyncGenerator[bytes]:
        async with aclosing(events):
            yield frame(first)
            async for event in events:
                yield frame(event)

    return StreamingResponse(told(), media_type="text/event-stream")


def frame(event: Event) -> bytes:
    return b"data: " + orjson.dumps({"type": event.type, "event": event}) + b"\n\n"
