"""The HTTP server: OpenAI's APIs over races on a ``Runtime``.

``create_app`` makes an aiohttp application, to be run by ``frontrunner serve`` or mounted in one of
your own::

    async with Runtime.from_config("configs/demo.toml") as runtime:
        app.add_subapp("/frontrunner/", create_app(runtime))

``asgi`` makes the same an ASGI application, for FastAPI and Starlette::

    app.mount("/frontrunner", asgi(runtime))
"""

from .app import create_app
from .asgi_adapter.application import asgi

__all__ = ["asgi", "create_app"]
