"""What a caller asks, and what may be said about the race."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, Final, TypedDict, cast, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from ..answers.equivalence.rules import Order, Units
from ..config.prompting import argument_fault
from ..errors import BadRequest
from ..prompts.messages import ChatMessage
from ..prompts.plain_values import check_value
from ..prompts.tool_choice import function_fault


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """Text or token ids that the model continues as they are, without its chat template."""

    content: str | tuple[int, ...]
    special_tokens: bool = True
    """Whether text begins with the special tokens that the model's tokenizer puts in front of one
    by itself, such as a beginning of sequence (BOS); there are never two."""


#: A question, a conversation in OpenAI's form whose last turn is answered, or a bare prompt.
Question = str | Iterable[ChatMessage] | RawPrompt


class AnswerOptions(TypedDict, total=False):
    """What may be said about the answers of one race; what is not said comes from ``[answers]``."""

    kind: str
    """What an answer is: a ``kind`` of ``[answers]``."""
    json_schema: Mapping[str, Any]
    """That an answer of the kind ``json`` must satisfy."""
    optional: bool
    """Whether a branch that ends by itself without an answer has replied as well: nothing is forced
    out of it, and it is the reply where no branch answers."""
    units: Units
    """Whether the unit of a number is dropped or kept."""
    tolerance: float
    """Relative, for numbers; 0: exactly."""
    order: Order
    """Where the order of a list's items counts."""


def answer_kind(asked: str | AnswerOptions | None) -> str | None:
    """The kind of answer that was asked for; None: that of the settings."""
    return asked if isinstance(asked, str | None) else asked.get("kind")


class RaceOptions(TypedDict, total=False):
    """What may be said about one race; what is not said, or None, comes from the settings."""

    deadline: float | None
    """Seconds from now."""
    branches: int | None
    """Reasoning branches to launch."""
    min_branches: int | None
    """The fewest that the race can do with while others hold the engine's: with fewer it waits, and
    the wait counts against its deadline."""
    seed: int | None
    """Makes the branches repeatable where the engine allows it."""
    strategy: str | None
    """A registered strategy. The settings' parameters are left out where they do not go with those
    given here."""
    parameters: Mapping[str, Any] | None
    """Of the strategy."""
    answers: str | AnswerOptions | None
    """What an answer is, a ``kind`` of ``[answers]``; or that and how answers are compared."""
    tools: Sequence[Mapping[str, Any]] | None
    """Tools in OpenAI's form, for the model's chat template. A branch that calls one answers with
    the call, as canonical JSON; one that calls none with an answer of the usual kind."""
    tool_choice: str | Mapping[str, Any] | None
    """OpenAI's: ``auto``, ``none``, ``required``, or which."""
    instruction: str | None
    """What is added to a conversation so that its answer can be found, as ``[prompt] instruction``
    says: ``auto``, a text of your own, or an empty text for nothing."""
    template_arguments: Mapping[str, Any] | None
    """Variables of the model's chat template, such as ``{"enable_thinking": False}``, over those of
    ``[prompt]``. vLLM calls them ``chat_template_kwargs``."""
    thinking_token_budget: int | None
    """The most tokens that a branch may think, in place of ``[thinking] token_budget``; -1: any
    number. It needs an engine that keeps budgets."""
    parallel_tool_calls: bool | None
    """Whether a branch may answer with several calls at once; else the first of them counts."""
    max_tokens: int | None
    """Of one branch."""
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Sequence[str] | None
    """Strings that end a branch."""
    race_id: str | None
    """What the race is called, in logs and in its result; no other that runs may be called so.
    None: a random one."""


#: Options that are checked where they are used, with what they go together with.
_CHECKED_LATER: Final[Mapping[str, tuple[UnionType | type, str]]] = {
    "answers": (str | Mapping, "a kind, or a dictionary"),
    "parameters": (Mapping, "a dictionary"),
    "tools": (list | tuple, "a list of tools in OpenAI's form"),
    "tool_choice": (str | Mapping, "auto, none, required, or a dictionary"),
}
_FLOATS: Final = ("deadline", "temperature", "top_p")
#: Characters of a race's name.
_MAX_NAME_CHARS: Final = 256


def check_options(options: Mapping[str, Any]) -> None:
    """See that options exist, and are of their types.

    Raises:
        BadRequest: one is not; ``param`` names it.
    """
    known = RaceOptions.__annotations__
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise BadRequest(f"{name}: there is no such option; {advice}", name)
    try:
        _typed_options().model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Of a sequence's items the path goes on; the names of a union's members are none of it.
        name = str(first["loc"][0])
        wrong = "a list is expected" if first["type"] == "sequence_str" else first["msg"]
        message = f"{name}: {wrong}, not {first['input']!r:.100}"
        raise BadRequest(message, name) from None
    for name in _FLOATS:  # pydantic takes a Decimal, which no time can be added to, for one
        if not isinstance(value := options.get(name), float | int | None):
            raise BadRequest(f"{name}: Input should be a valid number, not {value!r:.100}", name)
    for name, value in options.items():
        check_value(value, name)
    for name, (kinds, what) in _CHECKED_LATER.items():
        value = options.get(name)
        if value is not None and not isinstance(value, kinds):
            raise BadRequest(f"{name}: {what} is expected, not {type(value).__name__}", name)
    if tools := options.get("tools"):
        _check_tools(tools)
    if len(options.get("race_id") or "") > _MAX_NAME_CHARS:
        raise BadRequest(f"race_id: at most {_MAX_NAME_CHARS} characters", "race_id")
    arguments = options.get("template_arguments")
    if arguments and (fault := argument_fault(arguments)) is not None:
        raise BadRequest(f"template_arguments: {fault}", "template_arguments")


def _check_tools(tools: Sequence[object]) -> None:
    for index, tool in enumerate(tools):
        place = f"tools[{index}]"
        if not isinstance(tool, Mapping):
            kind = type(tool).__name__
            raise BadRequest(f"{place}: a dictionary is expected, not {kind}", "tools")
        inner = cast(Mapping[str, Any], tool)
        if "name" not in inner:  # else the flat form of the Responses API
            place, inner = f"{place}.function", inner.get("function")
        if (fault := function_fault(inner, place)) is not None:
            raise BadRequest(": ".join(fault), "tools")
    try:
        orjson.dumps([dict(cast(Mapping[str, Any], tool)) for tool in tools])
    except (TypeError, ValueError) as error:
        raise BadRequest(f"tools: must be plain data, as JSON has it ({error})", "tools") from None


@cache
def _typed_options() -> type[BaseModel]:
    # Pydantic takes a TypedDict of typing's from Python 3.12 on only.
    types = {
        name: (Any if name in _CHECKED_LATER else kind, None)
        for name, kind in get_type_hints(RaceOptions).items()
    }
    config = ConfigDict(strict=True, arbitrary_types_allowed=True)
    return create_model("RaceOptions", __config__=config, **types)  # type: ignore[call-overload]
