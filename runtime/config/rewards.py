"""``[rewards]``: what scores branches."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from frontrunner._plugins import Plugins, accept_callable

from .sections import Gibibytes, KindKey, Seconds, Section, Share, Tokens, Unit

EndpointApi = Literal["classify", "pooling", "score", "json"]

_KIND: Final = """The kind of reward model: ``none``; ``pooling`` is one on a second vLLM engine in
this process; ``remote`` is a scoring endpoint; with ``verifier`` the main engine is asked whether
a solution is right; with ``judge`` it, or a model at another endpoint, picks the best of several
replies; ``own`` is code of your own."""
_ONE_SCORE: Final = ("classify", "score", "json")


#: Reward models of a user's own. It stands here, and not with the reward models, so that settings
#: can be checked without importing those.
REWARD_PLUGINS: Final = Plugins[Callable[..., Any]](
    "reward model",
    "frontrunner.rewards",
    (),
    accept_callable("an async function or a class of reward models"),
)


class NoRewards(Section):
    """Branches get no scores."""

    kind: Literal["none"] = Field(default="none", description=_KIND)


class ScoringModel(Section):
    """What a reward model has, wherever it runs."""

    task: Literal["orm", "prm"] = "orm"
    """What the model scores: ``orm`` gives one score to a whole text, ``prm`` one to each step;
    ``aggregation`` makes them one."""
    aggregation: Literal["last", "min", "prod", "mean"] = "last"
    """How the scores of the steps become the score of the branch, with ``prm``."""
    step_delimiter: Annotated[str, Field(min_length=1)] = "\n\n"
    """The text that ends a step in a branch, with ``prm``."""
    step_marker: Annotated[str, Field(min_length=1)] | None = None
    """The token that takes the delimiter's place and where the score is read, with ``prm``;
    Qwen2.5-Math-PRM wants ``<extra_0>``. Not set: the score is read at the delimiter."""
    system: str | None = None
    """The system message that the reward model is given. Not set: none."""
    template: str | None = None
    """A plain text with the places ``{question}`` and ``{text}``, which is scored instead of a
    conversation in the model's chat template. Not set: the chat template is used."""
    label: Annotated[int, Unit("index")] = -1
    """The class of a model with several classes that stands for "right"; -1 is the last."""
    activation: bool = True
    """Whether logits become probabilities. Turn it off for reward models trained on comparisons:
    their logits are an open scale, whose upper end a sigmoid would flatten."""
    batch: Annotated[PositiveInt, Unit("texts")] = 32
    """The number of texts that are scored at once."""

    @field_validator("aggregation", "step_delimiter", "step_marker")
    @classmethod
    def _is_of_steps(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        if info.data.get("task") == "orm" and value is not None:
            raise ValueError('has no meaning with rewards.task "orm"')
        return value

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str | None) -> str | None:
        return with_place(template)


class PoolingRewards(ScoringModel):
    """A reward model on a second vLLM engine in this process."""

    kind: Literal["pooling"] = Field(default="pooling", description=_KIND)
    model: str
    """The reward model: a folder (relative to the config file), a hub name, or ``demo-reward`` for
    the one that ships in the package."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The number format of weights and activations; ``auto`` is the one the model was saved in."""
    max_context_tokens: Tokens | None = None
    """The longest text, question included, that is scored; longer ones get no score. Not set: what
    the model allows."""
    cache_gib: Gibibytes | None = None
    """The size of the reward model's KV cache. Not set: 0.5 GiB on a CPU, 2 GiB on a GPU."""
    gpu_memory_utilization: Share | None = None
    """The share of the GPU's memory that must be free when the reward model's engine starts; with
    the main engine's share it is at most 1. Not set: 0.1."""
    tensor_parallel: Annotated[PositiveInt, Unit("GPUs")] = 1
    """The number of GPUs over which every layer of the reward model is split."""
    eager: bool | None = None
    """Whether compilation and CUDA graphs are skipped. Not set: only on a CPU."""


class RemoteRewards(ScoringModel):
    """A scoring endpoint."""

    kind: Literal["remote"] = Field(default="remote", description=_KIND)
    model: str | None = None
    """The name of the model that the endpoint is sent. Not set: none is sent."""
    url: str
    """The address of the endpoint, its path included."""
    api: EndpointApi | None = None
    """What the endpoint speaks: one of vLLM's interfaces, or ``json`` (see
    ``runtime/rewards/remote.py``). Not set: what the end of its path says."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key. Not set: no key is sent."""
    connections: Annotated[PositiveInt, Unit("connections")] = 8
    """The number of connections to the endpoint that are open at once."""
    retries: Annotated[NonNegativeInt, Unit("retries")] = 2
    """How often a call is repeated after a lost connection or by an overloaded endpoint, if the
    time allows it."""
    timeout: Seconds = 10.0
    """The time that scoring one batch may take, its retries included."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s]+", url):
            raise ValueError("must begin with http:// or https:// and name a host")
        return url

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.task == "prm" and self.endpoint_api in _ONE_SCORE:
            raise ValueError(
                f'rewards.api "{self.endpoint_api}" gives one score a text: rewards.task "prm" '
                'needs "pooling"'
            )
        return self

    @property
    def endpoint_api(self) -> EndpointApi:
        """What the endpoint speaks, by ``api`` or by the end of its path."""
        if self.api is not None:
            return self.api
        match self.url.split("?")[0].rstrip("/").rsplit("/", 1)[-1]:
            case "classify":
                return "classify"
            case "pooling":
                return "pooling"
            case "score":
                return "score"
            case _:
                return "json"


class VerifierRewards(Section):
    """The main engine, asked whether a solution is right."""

    kind: Literal["verifier"] = Field(default="verifier", description=_KIND)
    template: str | None = None
    """The question that is put to the main model, with the places ``{question}`` and ``{text}``.
    Not set: the one in ``runtime/rewards/verifier.py``."""
    yes: str = "yes"
    """The word with which the verifier says that a solution is right."""
    no: str = "no"
    """The word with which the verifier says that a solution is wrong."""
    samples: Annotated[PositiveInt, Unit("answers")] = 4
    """The number of answers that are drawn from the verifier where the engine gives no log
    probabilities."""
    max_tokens: Tokens = 8
    """The longest answer of the verifier."""
    timeout: Seconds = 10.0
    """The time that the verifier may take for one solution."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str | None) -> str | None:
        return with_place(template)

    @field_validator("yes", "no")
    @classmethod
    def _is_a_word(cls, word: str) -> str:
        if not word.strip():
            raise ValueError("must not be blank")
        return word

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.yes.strip().lower() == self.no.strip().lower():
            raise ValueError("rewards.yes and rewards.no must differ")
        return self


class JudgeRewards(Section):
    """The main engine, or a model at another endpoint, that picks the best of several replies: for
    answers that cannot be compared (``answers.kind = "text"``)."""

    kind: Literal["judge"] = Field(default="judge", description=_KIND)
    url: str | None = None
    """The address of an OpenAI-compatible endpoint whose model judges, as its clients take it
    (``https://host/v1``). Not set: the main engine judges."""
    model: str | None = None
    """The name of the model that the endpoint at ``rewards.url`` is sent."""
    key_env: str | None = None
    """The environment variable that holds the key of the endpoint at ``rewards.url``. Not set: no
    key is sent."""
    body: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Further fields of what the endpoint at ``rewards.url`` is sent, such as
    ``{ chat_template_kwargs = { enable_thinking = false } }``."""
    template: str | None = None
    """What the judge is asked, with the places ``{question}`` and ``{replies}``; its answer is the
    letter of a reply. Not set: the text in ``runtime/rewards/listwise.py``."""
    picks: Annotated[int, Field(ge=2), Unit("picks")] = 4
    """The number of times that the judge is asked about the same replies, in different orders, all
    at once; where there are fewer replies it is the largest multiple of their number, so that each
    stands everywhere equally often."""
    agreement: Annotated[float, Field(gt=0.5, le=1), Unit("share")] = 0.75
    """The share of its picks that must name the same reply for the judge to agree with itself,
    which ends the race."""
    min_replies: Annotated[int, Field(ge=2), Unit("replies")] = 3
    """The number of replies that the judge sees at least before it may end a race. At the deadline,
    and once all branches have ended, it picks among as many as there are."""
    max_prompt_tokens: Tokens = 4096
    """The longest text of all replies together that one pick is asked about; longer replies are cut
    in the middle, all to the same length."""
    max_tokens: Tokens = 8
    """The longest answer of the judge, where log probabilities do not tell its letter; a model that
    thinks before it answers needs more."""
    timeout: Seconds = 10.0
    """The time that one judgement may take; picks that have not come by then do not count."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", url):
            raise ValueError(
                "must begin with http:// or https:// and name a host, without a query or a "
                "password (rewards.key_env is for keys)"
            )
        return url

    @field_validator("model", "key_env", "body")
    @classmethod
    def _is_of_an_endpoint(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        if value and "url" in info.data and info.data["url"] is None:
            raise ValueError("has no meaning without rewards.url")
        return value

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str | None) -> str | None:
        return with_place(template, "{replies}")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url is not None and self.model is None:
            raise ValueError("rewards.model is needed with rewards.url: the model that judges")
        return self


class OwnRewards(Section):
    """Code of a user's own that scores branches."""

    kind: Literal["own"] = Field(default="own", description=_KIND)
    name: str
    """The reward model: a registered name, one that an installed package offers, or
    ``package.module:attribute``. It is an async function of the question and the text of a branch,
    or a class of reward models."""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The parameters of the class, by name; for a function those of ``FunctionReward``,
    ``concurrency`` and ``timeout``."""

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        REWARD_PLUGINS.load(name)
        REWARD_PLUGINS.find(name)
        return name


def with_place(template: str | None, place: str = "{text}") -> str | None:
    """``template``, which has a place for what is judged.

    Raises:
        ValueError: it has none, or several.
    """
    if template is not None and template.count(place) != 1:
        raise ValueError(f"needs the place {place}, once")
    return template


#: What scores branches, for the strategies that ask for scores, told by ``kind``.
RewardSettings = Annotated[
    Annotated[NoRewards, Tag("none")]
    | Annotated[PoolingRewards, Tag("pooling")]
    | Annotated[RemoteRewards, Tag("remote")]
    | Annotated[VerifierRewards, Tag("verifier")]
    | Annotated[JudgeRewards, Tag("judge")]
    | Annotated[OwnRewards, Tag("own")],
    Discriminator(KindKey("kind", "none")),
]
