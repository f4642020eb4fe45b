"""``[server]``: how the HTTP server listens, whom it lets in, and what it holds for a client."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from .sections import Bytes, Races, Seconds, SecondsOrNone, Section, Strings, Unit


class ServerSettings(Section):
    """The HTTP server of ``frontrunner serve``, and of an application that mounts it."""

    host: str = "127.0.0.1"
    """The address that the server listens on."""
    port: Annotated[int, Field(ge=0, le=65535), Unit("port")] = 8000
    """The port that the server listens on; 0 is one that is free."""
    socket: str | None = None
    """The unix socket that the server listens on instead of ``host`` and ``port``, a path (relative
    to the config file), for a reverse proxy on the same machine; who may open it is said by the
    rights of its folder. Not set: none."""
    model: str | None = None
    """The name under which clients ask for the model. Not set: the engine's own."""
    key_file: str | None = None
    """A file with API keys (relative to the config file), one a line; ``#`` begins a comment. Not
    set, and no ``keys_env`` either: no key is needed."""
    keys_env: str | None = None
    """The environment variable that holds API keys, separated by commas."""
    origins: Strings = ()
    """The origins whose pages may call the server from a browser, such as ``https://example.org``;
    ``*`` is all. The server's own page always may."""
    open_metrics: bool = False
    """Whether ``/metrics`` is served without a key."""
    metrics_port: Annotated[int, Field(ge=0, le=65535), Unit("port")] | None = None
    """The port on which ``/metrics`` is served by itself as well, without a key; 0 is one that is
    free. Not set: none."""
    metrics_host: str = "127.0.0.1"
    """The address that ``metrics_port`` is on."""
    progress_limit: Seconds = 5.0
    """The time in which a working engine must give a token; after that the server is not ready
    until one comes."""
    body_limit: Bytes = 1 << 20
    """The largest body of a request, uncompressed. What a body may hold is in
    ``runtime/serving/requests/bounds.py``."""
    message_limit: Bytes = 1 << 20
    """The largest websocket message from a client."""
    json_depth: Annotated[int, Field(ge=1, le=512), Unit("levels")] = 64
    """How deep the JSON of a request may be nested."""
    header_timeout: Seconds = 10.0
    """The time until the head of a request, and then again until its body, must have arrived."""
    max_connections: Annotated[PositiveInt, Unit("connections")] | None = None
    """The number of connections that are open at once. One more takes the place of one without a
    request; if there is none, it is told 503 and closed. Not set: what the process's limit of file
    descriptors (``ulimit -n``) allows, less an eighth, and at least 64, for all else."""
    idle_timeout: Seconds = 75.0
    """The time that a connection without a request is kept."""
    stall_limit: Seconds = 10.0
    """The time that a client may take to make room for the next piece; then it is cut off."""
    writer_limit: Bytes = 64 << 10
    """What may wait for a client in its connection, beside what its race keeps for it."""
    keep_alive: Seconds = 15.0
    """The silence after which an event stream says that it is still there; half of what the client
    says it bears (openai's Python client does), if that is less."""
    ping_period: Seconds = 20.0
    """The time between two pings on a websocket; a ping that is not answered in half of it ends the
    connection."""
    drain_limit: Seconds = 30.0
    """The time that running races get when the server is told to end."""
    drain_grace: SecondsOrNone | None = None
    """The time before that in which the server calls itself not ready and still takes requests:
    load balancers need time to notice. Not set: 5 seconds, and none on an address that only this
    machine can reach."""
    max_deadline: Seconds = 600.0
    """The longest deadline that a request gets, whatever it asks for."""
    per_key_races: Races | None = None
    """The number of races that one key may have running at once. Not set: no limit."""
    content: Literal["reply", "answer"] = "reply"
    """What the content of a reply is where a request says neither that nor what kind of answer it
    wants: all that the winning branch wrote outside its thinking, or the answer in it alone."""
    events: bool = False
    """Whether streams tell of branches and votes where a request does not say."""
    log_frames: Annotated[PositiveInt, Unit("messages")] = 2048
    """The number of messages of a stream that are kept for a reader that is slow or comes back."""
    log_bytes: Bytes = 256 << 10
    """The size of the messages of a stream that are kept for a reader that is slow or comes
    back."""
    kept_seconds: SecondsOrNone = 60.0
    """The time that the messages of a race that has ended are kept."""
    kept_runs: Races = 256
    """The number of races that have ended of which messages are kept."""
