"""An aiohttp backend that answers by a deadline.

Run it with ``python -m examples.aiohttp_app``. ``POST /ask`` answers, ``POST /watch`` streams the
race as server-sent events, and below ``/llm/`` is the whole server: OpenAI's APIs and the page.
"""

from math import ceil

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from frontrunner import BadRequest, FrontrunnerError, Overloaded, Runtime, create_app

RUNTIME = web.AppKey("runtime", Runtime)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequest as error:
        told = {"error": {"message": str(error), "param": error.param}}
        return web.json_response(told, status=400)
    except Overloaded as error:
        headers = {"Retry-After": str(ceil(error.retry_after))}
        return web.json_response({"error": {"message": str(error)}}, status=503, headers=headers)
    except FrontrunnerError as error:  # the engine died, or the server is about to end
        return web.json_response({"error": {"message": str(error)}}, status=503)


async def ask(request: web.Request) -> web.Response:
    asked = await request.json()
    result = await request.app[RUNTIME].solve(asked["question"], deadline=asked.get("deadline"))
    return web.json_response({"answer": result.answer, "confidence": result.confidence})


async def watch(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    options = {"deadline": asked.get("deadline")}
    async with request.app[RUNTIME].stream(asked["question"], **options) as events:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for event in events:
            told = orjson.dumps({"type": event.type, "event": event})
            await response.write(b"data: " + told + b"\n\n")
    return response


def make_app() -> web.Application:
    app = web.Application(middlewares=[errors])
    app[RUNTIME] = Runtime.from_config("configs/demo.toml")
    app.router.add_post("/ask", ask)
    app.router.add_post("/watch", watch)
    app.add_subapp("/llm", create_app(app[RUNTIME], owns_runtime=True))
    return app


if __name__ == "__main__":
    # A handler whose client has left is cancelled, and its race with it.
    web.run_app(make_app(), handler_cancellation=True)
