"""``/metrics`` at an address of its own, for a Prometheus that has no key."""

from aiohttp import web

from .app import WATCHING


def metrics_app(served: web.Application) -> web.Application:
    """An application with nothing but the metrics of ``served``, open to all who reach it."""
    app = web.Application()
    metrics = served[WATCHING].metrics

    async def expose(request: web.Request) -> web.Response:
        body, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app.router.add_get("/metrics", expose)
    return app
