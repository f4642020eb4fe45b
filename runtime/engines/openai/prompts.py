"""Prompts for an endpoint: how they are encoded, and how they are sent.

Where nobody here knows the endpoint's tokens, ids spell what they stand for (``placeholder_ids``),
and the first request puts the endpoint's in their place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...config import PromptSettings
from ...errors import BadRequest, EngineError
from ..chat_template import plain_text, refused
from ..protocol import ChatSupport, Generation, Message, ToolTurn
from .discovery import EndpointInfo, read_tokens
from .http import NOT_TAKEN, EndpointClient, Refused
from .placeholder_ids import (
    Conversation,
    Part,
    RawText,
    Results,
    read_parts,
    spell,
    spell_conversation,
    spell_raw,
    spell_results,
)
from .tokens import (
    Asked,
    LocalTokenizer,
    RemoteTokenizer,
    TemplateRefused,
    remote_support,
    without_second_start,
)
from .tool_turns import results_between, shows_results
from .wire import BadAnswer, chat_body, completion_body, prompt_parts, scoring_body


class EndpointPrompts:
    """The prompts of one endpoint, as it was found."""

    def __init__(
        self,
        found: EndpointInfo,
        local: LocalTokenizer | None,
        remote: RemoteTokenizer | None,
        settings: PromptSettings,
        context: int,
    ) -> None:
        """
        Args:
            local: a tokenizer in this process, if there is one.
            remote: the endpoint's, if it has one that tells.
            context: the most tokens of a prompt and what is generated.
        """
        self._found, self._local, self._remote = found, local, remote
        self._settings, self._context = settings, context
        self._chat = ChatSupport()
        self._results = False  # whether the endpoint's chat template shows those of calls

    async def learn(self) -> ChatSupport:
        """Find out what the chat template shows, be it ours or the endpoint's. Of an endpoint that
        only chats nothing can be found out.

        Raises:
            EngineError: the endpoint does not say.
        """
        if self._local is not None and self._found.abilities.completions:
            self._chat = self._local.chat
        elif self._remote is not None:
            arguments = self._settings.template_arguments
            self._chat = await remote_support(self._remote, arguments)
            self._results = self._chat.template and await shows_results(self._remote, arguments)
        return self._chat

    @property
    def takes_tool_turns(self) -> bool:
        """Whether results of calls can be told by exact tokens."""
        return self._found.abilities.token_ids and (self._local is not None or self._results)

    # ── encoded ───────────────────────────────────────────────────────────────────────────────

    def encode(self, text: str) -> tuple[int, ...]:
        """See ``Engine.encode``."""
        if self._local is not None and self._found.abilities.token_ids:
            return self._local.encode(text, self._context)
        if self._remote is not None:
            self._remote.expect(text)
        return spell(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        if self._local is not None and self._found.abilities.token_ids:
            return self._local.encode_prompt(text, self._context)
        return spell_raw(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        arguments: Mapping[str, Any] | None,
    ) -> tuple[int, ...]:
        """See ``Engine.encode_chat``; messages that only the endpoint's chat template refuses are
        refused when the first request is made."""
        local, abilities = self._local, self._found.abilities
        if local is not None and abilities.completions:
            if abilities.token_ids:
                return local.encode_chat(messages, tools, arguments, self._context)
            text = local.chat_text(messages, tools, arguments)
            return spell(text) if local.chat.template else spell_raw(text)
        if not self._chat.template:
            return self.encode_prompt(plain_text(messages, tools))
        try:
            more = {**self._settings.template_arguments, **(arguments or {})}
            return spell_conversation(messages, tools, more)
        except (TypeError, ValueError) as error:
            raise BadRequest(f"the messages are no JSON: {error}") from error

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``; what only the endpoint's chat template refuses is refused when
        the branch goes on."""
        if self._local is not None:
            return self._local.tool_turn(turn)
        return spell_results(turn, {**self._settings.template_arguments, **turn.arguments})

    # ── sent ──────────────────────────────────────────────────────────────────────────────────

    async def question(
        self, request: Generation, tokens_at_once: int = 1
    ) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request.

        Args:
            tokens_at_once: that a piece of its stream may hold.

        Raises:
            EngineError: the endpoint cannot take its prompt.
        """
        path, body = await self._question(request)
        if self._found.abilities.vllm and tokens_at_once > 1:
            # A piece costs the server, and us, as much as many tokens. The last ones come at once.
            body["stream_interval"] = tokens_at_once
        return path, body

    async def _question(self, request: Generation) -> tuple[str, dict[str, Any]]:
        abilities, model = self._found.abilities, self._found.model
        parts = read_parts(request.prompt)
        if abilities.token_ids:
            remote = self._remote
            prompt = request.prompt if remote is None else await remote.ids(parts)
            room = self._context - len(prompt)
            if room < 1:
                raise EngineError(
                    f"the prompt has {len(prompt)} tokens, and the endpoint's context is "
                    f"{self._context}"
                )
            # The race reckoned with an estimate of the prompt's length.
            request = replace(request, max_tokens=min(request.max_tokens, room))
            return "completions", completion_body(model, prompt, request, abilities)
        try:
            conversation, text = prompt_parts(parts)
        except BadAnswer as error:
            raise EngineError(str(error)) from error
        if conversation is not None:
            return "chat/completions", chat_body(model, conversation, text, request, abilities)
        if not abilities.completions:
            raise EngineError("this endpoint takes chats only, and this prompt is none")
        return "completions", completion_body(model, text, request, abilities, raw=_is_raw(parts))

    async def to_score(self, request: Generation, *, repeat: bool) -> dict[str, Any]:
        """The body that asks for log probabilities; ``repeat``: of the prompt too."""
        found, parts = self._found, read_parts(request.prompt)
        prompt: Sequence[int] | str
        if found.abilities.token_ids and self._remote is not None:
            prompt = await self._remote.ids(parts)
        elif all(isinstance(part, str | RawText) for part in parts):
            prompt = prompt_parts(parts)[1]
        else:
            prompt = request.prompt  # as the client sent them, for the endpoint's own tokenizer
        raw = _is_raw(parts)
        return scoring_body(found.model, prompt, request, found.abilities, repeat=repeat, raw=raw)


async def tokenize(
    client: EndpointClient, model: str, part: Asked, *, prompt: bool = True
) -> tuple[int, ...]:
    """What the endpoint's ``/tokenize`` says of a text, a conversation, or results in one.

    Args:
        prompt: whether a conversation ends where the assistant's next turn begins.

    Raises:
        EngineError: it says nothing (``TemplateRefused``: its chat template refuses the messages).
    """
    if isinstance(part, Results):
        before = await tokenize(client, model, part.called, prompt=False)
        after = await tokenize(client, model, part.answered)
        return results_between(before, after, part.last_token)
    body: dict[str, Any] = {"model": model, "add_special_tokens": isinstance(part, RawText)}
    if isinstance(part, Conversation):
        body |= {"messages": part.messages, "add_generation_prompt": prompt}
        if part.tools:
            body["tools"] = part.tools
        if part.arguments:
            body["chat_template_kwargs"] = part.arguments
    else:
        body["prompt"] = part.text if isinstance(part, RawText) else part
    try:
        found = read_tokens(await client.post("/tokenize", body))
    except Refused as error:
        if isinstance(part, Conversation) and error.status in NOT_TAKEN:
            raise TemplateRefused(str(refused(error, part.messages, part.tools))) from error
        raise
    if found is None:
        raise EngineError("the endpoint's /tokenize gave no tokens")
    if isinstance(part, RawText) and found[:1] == found[1:2]:
        return without_second_start(found, await tokenize(client, model, part.text))
    return found


def _is_raw(parts: Sequence[Part]) -> bool:
    """Whether a prompt begins as the endpoint's tokenizer would have it."""
    return bool(parts) and isinstance(parts[0], RawText)
