"""``[server]``: how the HTTP server listens, whom it lets in, and what it holds for a client."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from .sections import Section, Strings


class ServerSettings(Section):
    """The HTTP server of ``frontrunner serve``, and of an application that mounts it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0: one that is free."""
    model: str | None = None
    """The name under which clients ask for the model. None: the engine's own."""
    key_file: str | None = None
    """A file with API keys (relative to the config file), one a line; ``#`` begins a comment."""
    keys_env: str | None = None
    """The environment variable that holds API keys, separated by commas."""
    origins: Strings = ()
    """Origins whose pages may call the server from a browser, such as ``https://example.org``;
    ``*``: all. The server's own page always may."""
    open_metrics: bool = False
    """Whether ``/metrics`` is served without a key."""
    progress_limit: PositiveFloat = 15.0
    """Seconds in which a working engine must give a token; after that the server is not ready."""
    body_limit: PositiveInt = 1 << 20
    """Bytes of a request's body, uncompressed. What they may hold is in ``serving.bounds``."""
    message_limit: PositiveInt = 1 << 20
    """Bytes of a websocket message from a client."""
    json_depth: Annotated[int, Field(ge=1, le=512)] = 64
    """How deep the JSON of a request may be nested."""
    header_timeout: PositiveFloat = 10.0
    """Seconds until the head of a request, and then until its body, must have arrived."""
    idle_timeout: PositiveFloat = 75.0
    """Seconds that a connection without a request is kept."""
    stall_limit: PositiveFloat = 10.0
    """Seconds that a client may take to make room for the next piece; then it is cut off."""
    writer_limit: PositiveInt = 64 << 10
    """Bytes that wait for a client in a connection, beside what its race keeps for it."""
    keep_alive: PositiveFloat = 15.0
    """Seconds of silence after which an event stream says that it is still there; half of what the
    client says it bears (openai's Python client does), if that is less."""
    ping_period: PositiveFloat = 20.0
    """Seconds between two pings on a websocket; one that is not answered in half of that ends the
    connection."""
    drain_limit: PositiveFloat = 30.0
    """Seconds that running races get when the server is told to end."""
    drain_grace: NonNegativeFloat = 5.0
    """Seconds before that in which it calls itself not ready and still takes requests: load
    balancers need time to notice."""
    max_deadline: PositiveFloat = 600.0
    """Seconds; the longest deadline that a request gets."""
    per_key_races: PositiveInt | None = None
    """Races that one key may have running at once. None: no limit."""
    content: Literal["reply", "answer"] = "reply"
    """What the content of a reply is where a request says neither that nor what kind of answer it
    wants: all that the winning branch wrote outside its thinking, or the answer in it alone."""
    events: bool = False
    """Whether streams tell of branches and votes where a request does not say."""
    log_frames: PositiveInt = 2048
    """Messages of a stream that are kept for a reader that is slow or comes back."""
    log_bytes: PositiveInt = 256 << 10
    """Likewise, in bytes."""
    kept_seconds: NonNegativeFloat = 60.0
    """How long the messages of a race that has ended are kept."""
    kept_runs: PositiveInt = 256
    """Races that have ended of which messages are kept, at most."""
