"""What a request says about its race beyond OpenAI's parameters: the ``frontrunner`` object of its
body, and headers with a deadline."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from ...answers.equivalence.rules import Order, Units
from ...config import Settings, ThinkingSettings
from ...config.prompting import argument_fault
from ...config.sections import path_in
from ...racing.race_options import AnswerOptions, RaceOptions
from ..errors import BadParameter

B = TypeVar("B", bound=BaseModel)

#: Headers that ask for a deadline, and what a second is in their unit.
_DEADLINES: Final = {"x-frontrunner-deadline": 1.0, "x-request-timeout-ms": 1000.0}
_NUMBER: Final = re.compile(r"[0-9]{1,64}(?:\.[0-9]{0,64})?(?:[eE][+-]?[0-9]{1,3})?")
#: Headers in which clients say, unasked, for how long they will wait for a reply, in seconds.
_PATIENCES: Final = ("x-litellm-timeout",)
#: Likewise, but of a stream something else: how long it may be silent (openai's Python client), or
#: take to begin (its Node client, in whole seconds, where a request has a timeout of its own).
_READ_TIMEOUT: Final = "x-stainless-read-timeout"
_PATIENCES_IF_WHOLE: Final = (_READ_TIMEOUT, "x-stainless-timeout")


_STRICT: Final = ConfigDict(
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    frozen=True,
    use_attribute_docstrings=True,
)


def _template_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    if (fault := argument_fault(arguments)) is not None:
        raise ValueError(fault)
    return arguments


#: Variables of a chat template.
TemplateArguments = Annotated[dict[str, Any], AfterValidator(_template_arguments)]


#: OpenAI's, and what vLLM has added.
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def template_arguments(
    effort: ReasoningEffort | None,
    arguments: Mapping[str, Any] | None,
    thinking: ThinkingSettings,
) -> Mapping[str, Any] | None:
    """The variables of the chat template that a request sets: its own ``arguments``, over what
    stands for the ``effort`` of thinking that it asks for, as in vLLM's server."""
    if effort is None:
        return arguments
    told = thinking.off_arguments if effort == "none" else thinking.on_arguments
    return {"reasoning_effort": effort, **told, **(arguments or {})}


class AnswerFields(BaseModel):
    """What an answer is, and how answers are compared. What is not said is as in ``[answers]``."""

    model_config = _STRICT

    kind: str | None = None
    """A kind of ``[answers]``, such as ``boxed``, ``json``, ``text``."""
    units: Units | None = None
    """Whether the unit of a number is dropped or kept."""
    tolerance: float | None = Field(default=None, ge=0, le=0.1)
    """Relative, for numbers; 0: exactly."""
    order: Order | None = None
    """Where the order of a list's items counts."""


class FrontrunnerOptions(BaseModel):
    """The ``frontrunner`` object of a request."""

    model_config = _STRICT

    deadline: PositiveFloat | None = None
    """Seconds in which the answer must be there. None: the server's default."""
    strategy: str | None = None
    """Who decides. None: the server's default."""
    parameters: dict[str, Any] | None = None
    """Of the strategy."""
    branches: PositiveInt | None = None
    """Reasoning branches to race. None: the server's default."""
    min_branches: PositiveInt | None = None
    """The fewest that will do when the engine is busy."""
    events: bool | None = None
    """Whether a stream tells of branches and votes. None: the server's default."""
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    """What becomes of the race when the client goes away."""
    answers: str | AnswerFields | None = None
    """What an answer is: a kind of ``[answers]``, such as ``boxed``, ``json``, ``text``; or that
    and how answers are compared."""
    content: Literal["answer", "reply"] | None = None
    """What ``content`` is: the answer, or all that the winning branch wrote outside its thinking.
    None: the answer where ``answers`` or a response format names a kind, else the server's
    default."""
    instruction: str | None = None
    """What is added to the conversation so that its answer can be found: ``auto``, a text, or an
    empty text for nothing. None: what a format or a demanded call needs, else the server's
    default."""
    stream_leader: bool = True
    """Whether a stream tells the text of the branch in front, as reasoning, before the reply is
    decided."""
    max_tokens: PositiveInt | None = None
    """Of one branch, its thinking included; OpenAI's parameters of such names are about the
    content. None: the server's default."""
    stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = (
        None
    )
    """Strings that end a branch; OpenAI's ``stop`` ends the content."""

    def answer_options(self) -> str | AnswerOptions | None:
        """``answers`` as a race takes them."""
        if isinstance(self.answers, str | None):
            return self.answers
        return cast(AnswerOptions, self.answers.model_dump(exclude_none=True))

    @property
    def keeps_on(self) -> bool:
        """Whether the race goes on without its client."""
        return self.on_disconnect == "continue"


class Sampled(BaseModel):
    """OpenAI's parameters that all its APIs have. Others are taken too: see ``ignored``."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        use_attribute_docstrings=True,
    )

    LONG_LIST: ClassVar[tuple[str, TypeAdapter[Any]] | None] = None
    """The field that may be a long list, and what its items are; they are checked in slices."""

    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    """vLLM's; -1 and 0: all tokens."""
    thinking_token_budget: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    """vLLM's: the most tokens that a branch may think; -1: any number."""
    frontrunner: FrontrunnerOptions = FrontrunnerOptions()

    @field_validator("top_k")
    @classmethod
    def _all_tokens(cls, top_k: int | None) -> int | None:
        return 0 if top_k == -1 else top_k


def checked(model: type[B], data: Any) -> B:
    """``data`` as ``model``.

    Raises:
        BadParameter: naming the field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _complaint(error, data) from None


def checked_item(item: TypeAdapter[Any], data: Any, *path: str | int) -> Any:
    """``data`` as ``item``, which stands at ``path`` in a request.

    Raises:
        BadParameter: naming the field.
    """
    try:
        return item.validate_python(data)
    except ValidationError as error:
        raise _complaint(error, data, *path) from None


def _complaint(error: ValidationError, data: Any, *path: str | int) -> BadParameter:
    """What is wrong with ``data``, which stands at ``path`` in a request."""
    # Of a field with several forms every form complains: the one that fits best got furthest.
    told = error.errors(include_url=False)
    worst = max(told, key=lambda fault: len(path_in(data, fault)))
    field, what = _told(worst, _dotted([*path, *path_in(data, worst)]))
    return BadParameter(f"{field}: {what}" if field else what, field or None)


def _told(fault: ErrorDetails, path: str) -> tuple[str, str]:
    """Where a fault is, which ``path`` leads to, and what it is."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return path, "unknown key"
        case "union_tag_not_found":
            return f"{path}.type", "is missing, or not a name"
        case "union_tag_invalid":
            known = context["expected_tags"]
            return f"{path}.type", f"{context['tag'][:100]} is not supported, only {known}"
        case "literal_error" if isinstance(fault["input"], str):
            return path, f"{fault['input'][:100]} is not supported, only {context['expected']}"
        case "model_type" | "dict_type":  # pydantic names the class, which nobody has heard of
            return path, "an object is expected"
        case _:
            return path, str(fault["msg"])


def _dotted(path: Sequence[str | int]) -> str:
    """A path as OpenAI writes it: ``input[0].content``."""
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return written.removeprefix(".")


def deadline_of(
    asked: float | None, headers: Mapping[str, str], settings: Settings, *, streams: bool = False
) -> float:
    """Seconds that a race gets: the smallest of what the body and the headers ask for, or the
    settings' default if they ask for none; and never more than the client will wait for or
    ``server.max_deadline`` allows.

    Args:
        asked: by the body, in seconds.
        headers: of the request.
        settings: the defaults.
        streams: the client reads the race as it runs, or comes back for it: it hears of it long
            before the result (see ``read_timeout``).

    Raises:
        BadParameter: a header that asks for a deadline holds none.
    """
    wishes = [] if asked is None else [asked]
    for header, unit in _DEADLINES.items():
        if (value := headers.get(header)) is not None:
            seconds = _seconds(value)
            if seconds is None:
                raise BadParameter(f"the header {header} must be a positive number", header)
            wishes.append(seconds / unit)
    wishes = wishes or [settings.race.deadline]
    for header in _PATIENCES if streams else (*_PATIENCES, *_PATIENCES_IF_WHOLE):
        # Whatever else stands there ("None", or "0" for less than a second) is nobody's mistake.
        if (seconds := _seconds(headers.get(header, ""))) is not None:
            wishes.append(seconds)
    return min(*wishes, settings.server.max_deadline)


def read_timeout(headers: Mapping[str, str]) -> float | None:
    """Seconds of silence in a stream after which the client gives up; None: it does not say."""
    return _seconds(headers.get(_READ_TIMEOUT, ""))


def race_options(
    asked: FrontrunnerOptions,
    headers: Mapping[str, str],
    settings: Settings,
    *,
    streams: bool = False,
    **more: Any,
) -> RaceOptions:
    """The options of a race for ``Runtime``; ``more`` are others of them, left out where None.
    ``streams``: see ``deadline_of``.

    Raises:
        BadParameter: see ``deadline_of``.
    """
    options = {
        "deadline": deadline_of(asked.deadline, headers, settings, streams=streams),
        "strategy": asked.strategy,
        "parameters": asked.parameters,
        "branches": asked.branches,
        "min_branches": asked.min_branches,
        "answers": asked.answer_options(),
        **more,
    }
    own = {"max_tokens": asked.max_tokens, "stop": stop_strings(asked.stop)}
    options |= {key: value for key, value in own.items() if value is not None}
    return cast(RaceOptions, {key: value for key, value in options.items() if value is not None})


def stop_strings(stop: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """OpenAI's ``stop`` as a race takes it."""
    return (stop,) if isinstance(stop, str) else tuple(stop) if stop else None


def _seconds(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):  # ``float`` also reads "nan", "1_0" and digits of all scripts
        return None
    value = float(text)
    return value if isfinite(value) and value > 0 else None
