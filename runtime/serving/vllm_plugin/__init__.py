"""Races inside vLLM's own server.

``vllm serve`` loads ``VllmPlugin`` (an entry point ``vllm.endpoint_plugins``) where it is named in
``VLLM_PLUGINS``: the whole API of ours below a path of its own, on the server's own engine, and on
request in place of vLLM's routes for requests with a deadline.
"""

from .plugin import VllmPlugin

__all__ = ["VllmPlugin"]
