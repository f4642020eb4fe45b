"""What replies hold: the types that the code builds them as, from which ``/openapi.json`` makes its
schemas. There is no other description of them.

Times are in seconds, moments in seconds since 1970. A field that is not required may be missing;
what may be null says so. Clients must pass over fields that they do not know: later versions add
some.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config

# Pydantic takes a TypedDict of typing's from Python 3.12 on only.
from typing_extensions import TypedDict

from frontrunner.strategies.protocol import StopReason

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Why a reply ends: ``function_call`` only where the request has ``functions``.
FinishReason = Literal["stop", "length", "tool_calls", "function_call"]

_described = with_config(ConfigDict(use_attribute_docstrings=True))


# ── errors ────────────────────────────────────────────────────────────────────────────────────────


class ErrorObject(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(TypedDict):
    error: ErrorObject


# ── how a race went ───────────────────────────────────────────────────────────────────────────────


class NoteBody(TypedDict):
    code: str
    text: str


class BranchCounts(TypedDict):
    launched: Count
    finished: Count
    truncated: Count
    forced: Count
    cancelled: Count
    failed: Count


@_described
class Race(TypedDict):
    race_id: str
    answer: str | None
    confidence: Share
    """How likely the answer is what all branches would have agreed on, and not how likely it is
    right. 0.5 where a single vote decided, 0 without an answer."""
    accuracy_estimate: Share | None
    """How likely the answer is right, as far as recorded questions with known answers tell; null
    where no calibration was given, or without an answer."""
    stop_reason: StopReason
    """Why the race ended."""
    notes: list[NoteBody]
    """What makes the answer worth less than it looks: no_answer, no_branch_answered,
    forced_answers_differ, tools_not_shown."""
    votes: dict[str, Count]
    """Of finished branches, by answer."""
    forced_votes: dict[str, Count]
    """Of forced ones, by answer."""
    branches: BranchCounts
    tokens_generated: Count
    scoring_tokens: Count
    """Tokens that reward models read."""
    tokens_saved: Count
    """Tokens that were not generated, as the race was decided: an estimate."""
    elapsed: Seconds
    deadline: Annotated[float, Field(gt=0)]
    overshoot: Seconds
    """By how much the result came later than the deadline; 0 if it did not."""
    ignored: list[str]
    """Fields of the request that were sent and have no effect."""


class Races(TypedDict):
    races: Annotated[list[Race], Field(min_length=2)]
    tokens_generated: Count
    scoring_tokens: Count
    tokens_saved: Count
    ignored: list[str]


class Unraced(TypedDict):
    raced: Literal[False]
    tokens_generated: Count
    elapsed: Seconds
    ignored: list[str]


# ── the two completion APIs ───────────────────────────────────────────────────────────────────────


class PromptTokensDetails(TypedDict):
    cached_tokens: Count


class CompletionTokensDetails(TypedDict):
    reasoning_tokens: Count


@_described
class Usage(TypedDict):
    prompt_tokens: Count
    completion_tokens: Count
    """Of all that the client received; ``frontrunner`` says what the race cost."""
    total_tokens: Count
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails
    frontrunner: NotRequired[Race | Races]


class Function(TypedDict):
    name: str
    arguments: str


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: Function


class Calls(TypedDict, total=False):
    tool_calls: list[ToolCall]
    function_call: Function


class ChatReply(Calls):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None


class ChatChoice(TypedDict):
    index: Count
    message: ChatReply
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(TypedDict):
    id: str
    object: Literal["chat.completion"]
    created: Count
    model: str
    choices: Annotated[list[ChatChoice], Field(min_length=1)]
    usage: Usage
    frontrunner: Race


class ToolCallDelta(ToolCall):
    index: Count


class ChatDelta(TypedDict, total=False):
    role: Literal["assistant"]
    content: str
    reasoning_content: str
    tool_calls: list[ToolCallDelta]
    function_call: Function


class ChatChunkChoice(TypedDict):
    index: Count
    delta: ChatDelta
    logprobs: None
    finish_reason: FinishReason | None


@with_config(ConfigDict(extra="allow"))
class RaceEvent(TypedDict):
    """An event of a race beside OpenAI's, with the event's own fields."""

    type: str
    at: Seconds


@_described
class ChatCompletionChunk(TypedDict):
    id: str
    object: Literal["chat.completion.chunk"]
    created: Count
    model: str
    choices: list[ChatChunkChoice]
    usage: NotRequired[Usage | None]
    """In the last chunk, if it was asked for."""
    frontrunner: NotRequired[Race | RaceEvent]
    """How the race went, at its end; before it an event of the race."""


class Logprobs(TypedDict):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[Count]


class CompletionChoice(TypedDict):
    index: Count
    text: str
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class CompletionHead(TypedDict):
    id: str
    object: Literal["text_completion"]
    created: Count
    model: str


class Completion(CompletionHead):
    choices: Annotated[list[CompletionChoice], Field(min_length=1)]
    usage: Usage
    frontrunner: Race | Races | Unraced


class CompletionChunkChoice(CompletionChoice):
    reasoning_content: NotRequired[str]


@_described
class CompletionChunk(CompletionHead):
    choices: list[CompletionChunkChoice]
    usage: NotRequired[Usage | None]
    """In the last chunk, if it was asked for."""
    frontrunner: NotRequired[Race | Races | Unraced | RaceEvent]
    """How the race went, at its end; before it an event of the race."""


# ── the Responses API ─────────────────────────────────────────────────────────────────────────────

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class ReasoningPart(TypedDict):
    type: Literal["reasoning_text"]
    text: str


class MessageItem(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[OutputText]
    status: ItemStatus


class ReasoningOutput(TypedDict):
    id: str
    type: Literal["reasoning"]
    summary: list[Any]
    content: list[ReasoningPart]
    status: ItemStatus


class FunctionCallItem(TypedDict):
    id: str
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


#: An item that comes piece by piece.
WrittenItem = MessageItem | ReasoningOutput
OutputItem = Annotated[WrittenItem | FunctionCallItem, Field(discriminator="type")]


class InputTokensDetails(TypedDict):
    cached_tokens: Count
    cache_write_tokens: Count


class ResponseUsage(TypedDict):
    input_tokens: Count
    input_tokens_details: InputTokensDetails
    output_tokens: Count
    output_tokens_details: CompletionTokensDetails
    total_tokens: Count


class ResponseError(TypedDict):
    code: str
    message: str


class IncompleteDetails(TypedDict):
    reason: Literal["max_output_tokens"]


class ReasoningOptions(TypedDict):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    summary: None


class EchoedText(TypedDict):
    format: dict[str, Any]


class ResponseEcho(TypedDict):
    """The fields of a response that repeat the request."""

    background: bool
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningOptions
    store: bool
    temperature: float | None
    text: EchoedText
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_p: float | None
    truncation: Literal["disabled"]
    user: str | None


ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]


class Response(ResponseEcho):
    id: str
    object: Literal["response"]
    created_at: Count
    status: ResponseStatus
    completed_at: Count | None
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    output: list[OutputItem]
    usage: ResponseUsage | None
    frontrunner: NotRequired[Race]


class ResponseEnd(TypedDict, total=False):
    """The fields that a response has at its end."""

    error: ResponseError
    incomplete_details: IncompleteDetails
    usage: ResponseUsage
    frontrunner: Race


class DeletedResponse(TypedDict):
    id: str
    object: Literal["response.deleted"]
    deleted: Literal[True]


# ── the server ────────────────────────────────────────────────────────────────────────────────────


class ServedEngine(TypedDict):
    engine: str
    max_branches: int


class Model(TypedDict):
    id: str
    object: Literal["model"]
    created: Count
    owned_by: str
    max_model_len: Count
    frontrunner: ServedEngine


class Models(TypedDict):
    object: Literal["list"]
    data: Annotated[list[Model], Field(min_length=1)]


class Live(TypedDict):
    status: Literal["alive", "engine_dead"]


class FaultBody(TypedDict):
    code: str
    message: str


class Ready(TypedDict):
    status: Literal["ready", "unavailable"]
    reasons: list[FaultBody]


#: The bodies of whole replies, and the chunks of streamed ones.
BODIES: Final = (
    *(Error, ChatCompletion, ChatCompletionChunk, Completion, CompletionChunk),
    *(Response, DeletedResponse, Model, Models, Live, Ready),
)
