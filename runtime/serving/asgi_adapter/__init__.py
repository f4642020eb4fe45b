"""The whole API as an ASGI application, to be mounted in another one."""
