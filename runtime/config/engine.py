"""``[engine]``: what runs the branches."""

import re
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from .sections import Branches, Gibibytes, KindKey, Seconds, Section, Share, Tokens, Unit
from .speculation import NoSpeculation, SpeculationSettings

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"
#: Stands for the one that has learned to call a calculator.
DEMO_TOOLS_MODEL = "demo-tools"
#: All that solve the problems of the demo, and know nothing else.
DEMO_MODELS = frozenset({DEMO_MODEL, DEMO_TOOLS_MODEL})
#: Stands for its reward model.
DEMO_REWARD_MODEL = "demo-reward"


#: Headers of every request that no router may be given by another name.
_OWN_HEADERS = frozenset(
    {"authorization", "content-type", "content-length", "accept-encoding", "host", "x-request-id"}
)


class EngineSection(Section):
    """The keys that every kind of engine has."""

    family: str = "auto"
    """The model family whose recommended settings fill in what this file leaves open: ``auto``
    finds it by the model's own files, ``none`` is no family, and a name is one of
    ``configs/families``."""
    max_branches: Branches = 64
    """The number of requests that run on the engine at once; the branches of all races share them,
    and more of them wait, by priority. For ``openai`` it is also the number of connections."""
    max_context_tokens: Tokens | None = None
    """The longest context, prompt and output together. Not set: what the model allows, or for
    ``openai`` what the endpoint says."""
    prefill_tokens_per_step: Tokens | None = None
    """The most prompt tokens that one step of the engine processes; smaller steps make for sharper
    deadlines. Not set: 512 on a CPU, else vLLM's default. For ``openai`` it states what the server
    does, on which the reserve for forced answers depends; not set, that is 2048."""
    cache_block_tokens: Tokens | None = None
    """The size of one block of the KV cache. Not set: 32 on a CPU, so that continuations recompute
    little, else vLLM's default. For ``openai`` it states what the server does; not set, that is
    16."""


class VllmSettings(EngineSection):
    """vLLM in this process."""

    kind: Literal["vllm"] = "vllm"
    """The kind of engine: ``vllm`` runs in this process; ``openai`` is any OpenAI-compatible
    endpoint, best a vLLM server (``runtime/engines/openai/engine.py`` says what is exact with
    which); ``pool`` is several of them that serve the same model."""
    model: str = DEMO_MODEL
    """The model: a folder (relative to the config file), a hub name, or ``demo`` for the one that
    ships in the package."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The number format of weights and activations; ``auto`` is the one the model was saved in."""
    cache_gib: Gibibytes | None = None
    """The size of the KV cache. Not set: on a CPU twice what ``max_branches`` of the longest
    context take, at most 1 GiB; else what vLLM finds free."""
    gpu_memory_utilization: Share | None = None
    """The share of the GPU's memory that vLLM may fill with weights and KV cache. Not set: vLLM's
    default."""
    tensor_parallel: Annotated[PositiveInt, Unit("GPUs")] = 1
    """The number of GPUs over which every layer of the model is split."""
    eager: bool | None = None
    """Whether compilation and CUDA graphs are skipped: the engine starts sooner and steps slower.
    Not set: only on a CPU."""
    shutdown_timeout: Annotated[NonNegativeInt, Unit("seconds")] = 0
    """The time that running requests get when the engine is told to end."""
    stall_limit: Seconds = 10.0
    """The time without a step, while requests run, after which the engine hangs: it is killed and
    started again. Where slow steps take more than a twentieth of it, it is twenty of those."""
    restarts: Annotated[NonNegativeInt, Unit("starts")] = 5
    """How many starts in a row may fail before no more are tried; an engine that dies within half a
    minute of its start counts as one. 0: an engine that dies or hangs is not started again."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "ERROR"
    """The least severe lines of vLLM's own log that are written, to standard error; a reward
    model's engine shares it."""
    speculation: SpeculationSettings = NoSpeculation()
    """How draft tokens are made, which the model verifies several at a step; the distribution of
    the output stays as it is."""


class OpenAISettings(EngineSection):
    """An OpenAI-compatible endpoint."""

    kind: Literal["openai"] = "openai"
    """The kind of engine: ``vllm`` runs in this process; ``openai`` is any OpenAI-compatible
    endpoint, best a vLLM server (``runtime/engines/openai/engine.py`` says what is exact with
    which); ``pool`` is several of them that serve the same model."""
    model: str = ""
    """The name of the model that the endpoint is sent. Empty: the first one it names itself."""
    url: str
    """The address of the endpoint, as OpenAI's clients take it (``https://host/v1``); of a host
    alone, ``/v1`` is understood."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key. Not set: no key is sent."""
    connect_timeout: Seconds = 2.0
    """The time in which the endpoint's host must be reached."""
    tokenizer: str | None = None
    """The tokenizer that prompts are made into tokens with: a folder (relative to the config file)
    or a hub name; it needs the transformers library. Not set: the endpoint's own, or none if it
    has no ``/tokenize``."""
    session_header: str = "x-session-id"
    """The header by which a router in front of several servers keeps the requests of one race
    together, on the server that holds their prefix; every request carries its race's name in it.
    Empty: no such header is sent."""

    replicas: Annotated[PositiveInt, Unit("servers")] = 1
    """The number of servers behind ``url``, where that is a router's. With more than 1 a branch
    that is lost or stalls goes on from its exact tokens under another session in
    ``session_header``, which the router sends elsewhere, and one server that fails does not count
    as the endpoint's failing."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", url):
            raise ValueError(
                "must begin with http:// or https:// and name a host, without a query or a "
                "password (engine.key_env is for keys)"
            )
        return url

    @field_validator("session_header")
    @classmethod
    def _is_header(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9-]*", name):
            raise ValueError("must be the name of a header: letters, digits and hyphens")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name} has another meaning: name a header of the router's")
        return name

    @property
    def speculation(self) -> NoSpeculation:
        """None of ours: an endpoint speculates as its own configuration says."""
        return NoSpeculation()


class _Named(Section):
    """The key that members of a pool have over other engines."""

    name: str = ""
    """What the member is called in the log and in the metrics. Empty: its place in the list, as in
    ``member-1``."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", name):
            raise ValueError(
                "must be of letters, digits, dots, hyphens and underscores, 64 at most"
            )
        return name


class VllmMember(VllmSettings, _Named):
    """vLLM in this process, as one member of a pool."""


class OpenAIMember(OpenAISettings, _Named):
    """An OpenAI-compatible endpoint, as one member of a pool."""


#: A member of a pool, told by ``kind``.
MemberSettings = Annotated[
    Annotated[VllmMember, Tag("vllm")] | Annotated[OpenAIMember, Tag("openai")],
    Discriminator(KindKey("kind", "vllm")),
]


class PoolSettings(Section):
    """Several engines that serve the same model, as one."""

    kind: Literal["pool"] = "pool"
    """The kind of engine: ``vllm`` runs in this process; ``openai`` is any OpenAI-compatible
    endpoint, best a vLLM server (``runtime/engines/openai/engine.py`` says what is exact with
    which); ``pool`` is several of them that serve the same model."""
    members: Annotated[tuple[MemberSettings, ...], Field(strict=False, min_length=1)]
    """The engines of the pool: each is an ``[[engine.members]]`` table with the keys of an engine
    of its kind, and ``name``. They must serve the same model with the same tokenizer and the same
    length of context."""
    stall_after: Seconds = 2.0
    """The longest time for which a member that has work may give no token; then its branches go on
    elsewhere. A member whose steps are known to be quick is given up sooner, after a few of
    them."""
    hedge_after: Seconds | None = None
    """The time without a token after which the first branch of a race is begun on a second member
    too; the one that speaks first goes on, the other is aborted. Not set: never."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice:
            raise ValueError(f"two members are called {twice[0]!r}: give each a name of its own")
        urls = Counter(m.url.rstrip("/") for m in self.members if isinstance(m, OpenAIMember))
        if urls and urls.most_common(1)[0][1] > 1:
            raise ValueError(
                "two members have the same url: its slots would be counted twice, and what is lost "
                "there would be sent there again. Of a router say how many servers are behind it: "
                "replicas"
            )
        named = {member.model for member in self.members if member.model}
        remote_only = all(isinstance(member, OpenAIMember) for member in self.members)
        if remote_only and len(named) > 1:
            raise ValueError(
                f"the members name different models ({', '.join(sorted(named))}): a race's "
                "branches are votes of one model, so all members must serve the same"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What each member is called."""
        return tuple(m.name or f"member-{place}" for place, m in enumerate(self.members, 1))

    @property
    def known(self) -> VllmMember | OpenAIMember:
        """The member of whose model most is known on this machine: it speaks for all."""
        return max(self.members, key=_known)

    @property
    def family(self) -> str:
        """The family that the member says that speaks for all."""
        return self.known.family

    @property
    def model(self) -> str:
        """The model that the member names that speaks for all."""
        return self.known.model

    @property
    def tokenizer(self) -> str | None:
        """The tokenizer of that member; None: it is the model's own, or an endpoint's."""
        return self.known.tokenizer if isinstance(self.known, OpenAIMember) else None

    @property
    def max_branches(self) -> int:
        """Requests that run on all members at once."""
        return sum(member.max_branches for member in self.members)

    @property
    def max_context_tokens(self) -> int | None:
        """The longest context that all members have, as far as their settings say."""
        said = [m.max_context_tokens for m in self.members if m.max_context_tokens is not None]
        return min(said, default=None)

    @property
    def speculation(self) -> SpeculationSettings:
        """How the member that speaks for all makes draft tokens."""
        return self.known.speculation


def _known(member: VllmMember | OpenAIMember) -> int:
    if isinstance(member, VllmMember):
        return 2
    return 1 if member.tokenizer is not None else 0


#: What runs the branches, told by ``kind``.
EngineSettings = Annotated[
    Annotated[VllmSettings, Tag("vllm")]
    | Annotated[OpenAISettings, Tag("openai")]
    | Annotated[PoolSettings, Tag("pool")],
    Discriminator(KindKey("kind", "vllm")),
]
