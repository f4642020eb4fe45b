"""What an OpenAI-compatible endpoint is asked, and how its answers are read; no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..logprobs import ScoredChunk, TokenLogprob, likeliest
from ..protocol import Chunk, FinishReason, Generation, Sampling
from .placeholder_ids import Conversation, Part, RawText, spell_piece

#: What other servers call an end of their own is taken as a stop.
_FINISHES = {
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ERROR,  # not ours: the endpoint gave the request up
    "error": FinishReason.ERROR,
    "content_filter": FinishReason.ERROR,
}
#: A token id fits into this many bits.
_TOKEN_BITS = 32


class BadAnswer(ValueError):
    """The endpoint answered something that is no completion, or reported an error."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint takes and gives, as it was found out when the engine started."""

    token_ids: bool = False  # takes prompts as token ids, and gives the ids that it generated
    vllm: bool = False  # takes the parameters that vLLM adds to OpenAI's
    priority: bool = False  # schedules by the requests' priority
    logprobs: bool = False
    completions: bool = True  # has /v1/completions, not only chat
    chat: bool = False  # has /v1/chat/completions; not asked where conversations go as tokens
    prefill: bool = False  # takes continue_final_message, for an answer that has begun


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event says, or several that came together."""

    text: str
    tokens: int  # where the endpoint does not say, text is taken as one token an event
    token_ids: tuple[int, ...] | None  # (tokens,); None: the endpoint does not give them
    finish: FinishReason | None = None
    top: tuple[Mapping[str, float], ...] = ()  # per token: the likeliest, with log probabilities
    own: tuple[float, ...] = ()  # per token: its own log probability

    @classmethod
    def merged(cls, deltas: Sequence["Delta"]) -> "Delta":
        """One for all of them; only the last may have ``finish``."""
        if len(deltas) == 1:
            return deltas[0]
        ids = [delta.token_ids for delta in deltas]
        return cls(
            "".join(delta.text for delta in deltas),
            sum(delta.tokens for delta in deltas),
            None if None in ids else tuple(i for each in ids for i in each or ()),
            deltas[-1].finish,
            tuple(top for delta in deltas for top in delta.top),
            tuple(own for delta in deltas for own in delta.own),
        )

    @property
    def ids(self) -> tuple[int, ...]:
        """(tokens,) those that the endpoint gives, or ids that spell the text."""
        ids = self.token_ids
        return spell_piece(self.text, self.tokens) if ids is None else ids

    def confidences(self, sampling: Sampling) -> tuple[float, ...]:
        """For a race, with what ``sampling`` asked for of each token; see ``Chunk``."""
        if sampling.likelihoods:
            return self.own
        k = sampling.logprobs
        return tuple(_confidence(top, k) for top in self.top) if k else ()

    def chunk(self, sampling: Sampling) -> Chunk:
        """The same for a race."""
        return Chunk(self.text, self.ids, self.finish, self.confidences(sampling))


def _confidence(top: Mapping[str, float], k: int) -> float:
    """Negative mean of the top-k log probabilities; the token drawn may be there beyond them."""
    values = sorted(top.values(), reverse=True)[:k]
    return -sum(values) / max(1, len(values))


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────


def completion_body(
    model: str,
    prompt: Sequence[int] | str,
    request: Generation,
    abilities: Capabilities,
    *,
    raw: bool = False,
) -> dict[str, Any]:
    """For ``/v1/completions``; ``raw``: of a text that begins as the endpoint's tokenizer would
    have it."""
    body = {"model": model, "prompt": prompt, **_sampling(request, abilities)}
    if request.sampling.measured and abilities.logprobs:
        body["logprobs"] = _asked_logprobs(request, abilities)
    if abilities.vllm and isinstance(prompt, str) and not raw:
        body["add_special_tokens"] = False  # those that belong there are in the text
    return body


def scoring_body(
    model: str,
    prompt: Sequence[int] | str,
    request: Generation,
    abilities: Capabilities,
    *,
    repeat: bool,
    raw: bool = False,
) -> dict[str, Any]:
    """For ``/v1/completions``, answered whole, with log probabilities.

    Args:
        repeat: whether the prompt and those of its tokens are told too.
        raw: as of ``completion_body``.
    """
    body = completion_body(model, prompt, request, abilities, raw=raw)
    body |= {"logprobs": request.sampling.logprobs, "stream": False}
    body["max_tokens"] = max(1, request.max_tokens)  # not every server takes 0
    for key in ("return_token_ids", "include_stop_str_in_output"):
        body.pop(key, None)
    if repeat:
        body["echo"] = True
    return body


def chat_body(
    model: str, conversation: Conversation, begun: str, request: Generation, abilities: Capabilities
) -> dict[str, Any]:
    """For ``/v1/chat/completions``, for endpoints whose chat template we cannot apply ourselves.

    Args:
        begun: what the assistant has said already; it is to go on from there. Endpoints without
            ``continue_final_message`` get it as the last message, and some begin a new one.
    """
    messages = conversation.messages
    body: dict[str, Any] = {"model": model, "messages": messages, **_sampling(request, abilities)}
    if conversation.tools:
        body["tools"] = conversation.tools
    if conversation.arguments:
        # OpenAI's own servers know the effort as a parameter of requests, and no templates.
        template = dict(conversation.arguments)
        if (effort := template.pop("reasoning_effort", None)) is not None:
            body["reasoning_effort"] = effort
        if template:
            body["chat_template_kwargs"] = template
    if begun:
        messages.append({"role": "assistant", "content": begun})
        if abilities.prefill:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.sampling.measured and abilities.logprobs:
        body |= {"logprobs": True, "top_logprobs": _asked_logprobs(request, abilities)}
    return body


def _asked_logprobs(request: Generation, abilities: Capabilities) -> int:
    """Of how many of the likeliest tokens at each place. The tokens' own come with any, and with
    none where 0 is not taken for no log probabilities at all."""
    if not request.sampling.likelihoods:
        return request.sampling.logprobs
    return 0 if abilities.vllm else 1


def _sampling(request: Generation, abilities: Capabilities) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if abilities.vllm:
        # All of them: a model's folder may say otherwise, and vLLM's server would follow it.
        body |= {"top_k": sampling.top_k, "min_p": 0.0, "repetition_penalty": 1.0}
        body["include_stop_str_in_output"] = True
        if sampling.thinking_tokens is not None and not request.forced:
            body["thinking_token_budget"] = sampling.thinking_tokens
        if sampling.special_tokens:
            body |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    if abilities.token_ids:
        body["return_token_ids"] = True
    if abilities.priority and request.priority:
        body["priority"] = request.priority
    return body


def prompt_parts(parts: Sequence[Part]) -> tuple[Conversation | None, str]:
    """A prompt without tokens as the conversation that it begins with, if any, and the text behind.

    Raises:
        BadAnswer: it holds tokens, which nobody here can read.
    """
    conversation: Conversation | None = None
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Conversation) and conversation is None and not texts:
            conversation = part
        elif isinstance(part, RawText):
            texts.append(part.text)
        elif isinstance(part, str):
            texts.append(part)
        else:
            raise BadAnswer("this endpoint takes text, and the prompt holds token ids")
    return conversation, "".join(texts)


# ── what is answered ──────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class ReasoningMarks:
    """Puts the marks back around a thinking that an endpoint's parser took out of the text of a
    chat: reasoning and content are one text here. One for each answer."""

    start: str
    end: str
    _inside: bool = False

    def put(self, reasoning: str, content: str) -> str:
        """What one event adds to the text."""
        said = reasoning
        if reasoning and not self._inside:
            said, self._inside = self.start + reasoning, True
        if content and self._inside:
            said, self._inside = said + self.end, False
        return said + content


def read_event(
    data: bytes, *, token_ids: bool, marks: ReasoningMarks | None = None
) -> Delta | None:
    """What one event of a stream says; None: nothing about the text.

    Args:
        token_ids: whether the ids of the tokens must be there.
        marks: of the model's thinking; None: they are not known.

    Raises:
        BadAnswer: with what is wrong, or with the endpoint's own error.
    """
    try:
        message = orjson.loads(data)
    except ValueError:
        raise BadAnswer("an event that is not JSON") from None
    if not isinstance(message, dict):
        raise BadAnswer("an event that is not an object")
    if message.get("error"):
        raise BadAnswer(complaint(message))
    choices = message.get("choices")
    if not isinstance(choices, list) or not choices:
        return None  # usage, say
    choice = choices[0]
    if not isinstance(choice, dict):
        raise BadAnswer("a choice that is not an object")
    text = _text(choice, marks)
    reason = choice.get("finish_reason")
    finish = _FINISHES.get(str(reason), FinishReason.STOP) if reason else None
    ids = _token_ids(choice.get("token_ids"), required=token_ids and bool(text))
    if not text and not ids and finish is None:
        return None
    found = choice.get("logprobs")
    top = _top(found)
    own = _own(found) if found is not None else ()
    if token_ids:
        ids = ids or ()
        return Delta(text, len(ids), ids, finish, top, own)
    return Delta(text, max(len(top), len(own), bool(text)), None, finish, top, own)


def read_scored(answer: Any, request: Generation, *, repeated: bool) -> ScoredChunk:
    """What ``scoring_body`` is answered with.

    Raises:
        BadAnswer: with what is wrong or missing.
    """
    try:
        choice = answer["choices"][0]
        text, found = choice["text"], choice["logprobs"]
        tokens = _scored_tokens(found)
        generated = answer["usage"]["completion_tokens"] if repeated else len(tokens)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise BadAnswer("no completion with log probabilities") from None
    if not isinstance(text, str) or type(generated) is not int or generated > len(tokens):
        raise BadAnswer("log probabilities that do not fit their text")
    prompt = tokens[: len(tokens) - generated]
    if repeated and (not prompt or prompt[0].logprob is not None):
        raise BadAnswer("no log probabilities of the prompt")
    reason = str(choice.get("finish_reason"))
    finish = _FINISHES.get(reason, FinishReason.STOP)
    if not request.max_tokens:
        return ScoredChunk("", (), FinishReason.LENGTH, prompt)
    text = text[sum(len(token.text) for token in prompt) :]
    return ScoredChunk(text, tokens[len(prompt) :], finish, prompt)


def _scored_tokens(found: Any) -> tuple[TokenLogprob, ...]:
    tops = found.get("top_logprobs") or [None] * len(found["tokens"])
    return tuple(
        TokenLogprob(
            str(text),
            None if logprob is None else float(logprob),
            likeliest((str(t), float(value)) for t, value in (top or {}).items()),
        )
        for text, logprob, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
    )


def _text(choice: Mapping[str, Any], marks: ReasoningMarks | None) -> str:
    """The text of a completion's choice or of a chat's; what a server's parser took for reasoning
    was written by the model too, before the answer."""
    if "delta" not in choice:
        text = choice.get("text")
        if type(text) is str:
            return text
        pieces = [text]
    else:
        delta = choice["delta"]
        if not isinstance(delta, dict):
            delta = {}
        pieces = [delta.get("reasoning_content") or delta.get("reasoning"), delta.get("content")]
    said = [piece or "" for piece in pieces]
    if not all(isinstance(piece, str) for piece in said):
        raise BadAnswer("a text that is not a string")
    if marks is not None and len(said) == 2:
        return marks.put(said[0], said[1])
    return "".join(said)


def _token_ids(found: Any, *, required: bool) -> tuple[int, ...] | None:
    if found is None and not required:
        return None
    if type(found) is list and len(found) == 1 and type(found[0]) is int and 0 <= found[0] < 2**31:
        return (found[0],)  # as nearly all are
    if not isinstance(found, list) or not all(
        type(i) is int and 0 <= i.bit_length() <= _TOKEN_BITS and i >= 0 for i in found
    ):
        raise BadAnswer("text without the ids of its tokens")
    return tuple(found)


def _top(found: Any) -> tuple[Mapping[str, float], ...]:
    """Log probabilities in the form of ``/v1/completions`` or in that of chat; those that cannot be
    read are none."""
    if found is None:
        return ()
    try:
        if "content" in found:
            return tuple(
                {str(entry["token"]): float(entry["logprob"]) for entry in token["top_logprobs"]}
                for token in found["content"] or ()
            )
        return tuple(
            {str(token): float(value) for token, value in (top or {}).items()}
            for top in found["top_logprobs"] or ()
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        return ()


def _own(found: Any) -> tuple[float, ...]:
    """Those of the tokens themselves, in the same two forms; of none, if one cannot be read."""
    try:
        if "content" in found:
            return tuple(float(token["logprob"]) for token in found["content"] or ())
        return tuple(map(float, found["token_logprobs"] or ()))
    except (TypeError, KeyError, ValueError, AttributeError):
        return ()


def complaint(message: Any) -> str:
    """What an endpoint says is wrong: OpenAI's form, vLLM's older one, or whatever it is."""
    if isinstance(message, dict):
        error = message.get("error") or message.get("message") or message.get("detail")
        if isinstance(error, dict):
            error = error.get("message") or error
        if error:
            return str(error)
    return str(message)
