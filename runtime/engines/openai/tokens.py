"""Tokenizers for a remote engine: one in this process, or the endpoint's own."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.util import find_spec
from math import ceil
from typing import Any

import anyio
import anyio.to_thread

from ...config import PromptSettings
from ...errors import EngineError, EngineStartError, PromptTooLong
from ..chat_template import (
    PROBE,
    PROBE_LATE_SYSTEMS,
    PROBE_SYSTEMS,
    PROBE_TOOLS,
    ChatTemplate,
    warn_of_plain_layout,
)
from ..lost_text import check_spelling
from ..protocol import ChatSupport, Message, ToolTurn
from .http import Refused
from .placeholder_ids import Conversation, Part, RawText, Results, conversation_json

#: Tokens of texts and conversations that are remembered.
_REMEMBERED_TOKENS = 2_000_000
#: Characters of a text that is asked for before it is needed: suffixes are short.
_EXPECTED = 4_096


class LocalTokenizer:
    """A tokenizer of the ``transformers`` library. Its methods may be called in threads."""

    def __init__(self, tokenizer: Any, prompt: PromptSettings | None = None) -> None:
        """
        Args:
            prompt: of its chat template.

        Raises:
            EngineStartError: the settings' chat template cannot be read.
        """
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer, prompt)
        self._longest = _longest_token(tokenizer)
        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        # It makes no lists of what nobody reads, which would hold up all threads.
        self._fast: Any = getattr(backend, "encode_batch_fast", None)
        if self._fast is not None:
            backend.no_truncation()
            backend.no_padding()

    @classmethod
    async def load(cls, name: str, prompt: PromptSettings | None = None) -> "LocalTokenizer":
        """
        Args:
            name: a folder, or a name on the Hugging Face hub.
            prompt: of its chat template.

        Raises:
            EngineStartError: with the reason and what to do.
        """
        if find_spec("transformers") is None:
            raise EngineStartError(
                "engine.tokenizer needs the transformers library: pip install transformers, or "
                "leave the setting out where the endpoint has a tokenizer (vLLM's servers do)"
            )

        def load() -> Any:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(name)
            check_spelling(tokenizer)
            return tokenizer

        try:
            return cls(await anyio.to_thread.run_sync(load, abandon_on_cancel=True), prompt)
        except EngineStartError:
            raise
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EngineStartError(f"engine.tokenizer: cannot load {name!r}: {first}") from error

    def encode(self, text: str, at_most: int | None = None) -> tuple[int, ...]:
        """Token ids of text.

        Raises:
            PromptTooLong: it certainly has more than ``at_most`` tokens; then it was not tokenised.
                It may have more all the same where nothing is raised.
        """
        if at_most is not None and self._longest and len(text) > at_most * self._longest:
            raise PromptTooLong(ceil(len(text) / self._longest), at_most, at_least=True)
        return self._encoded(text, special=False)

    def encode_prompt(self, text: str, at_most: int | None = None) -> tuple[int, ...]:
        """Token ids of a raw prompt, with the special tokens that the tokenizer puts around a text
        by itself, unless the text begins with them.

        Raises:
            PromptTooLong: as ``encode``.
        """
        bare = self.encode(text, at_most)
        return without_second_start(self._encoded(text, special=True), bare)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        arguments: Mapping[str, Any] | None = None,
        at_most: int | None = None,
    ) -> tuple[int, ...]:
        """Token ids of a conversation.

        Raises:
            BadRequest: as ``chat_text``.
            PromptTooLong: as ``encode``.
        """
        text = self.chat_text(messages, tools, arguments)
        # A template writes the special tokens itself; the plain layout is text.
        encode = self.encode_prompt if self._template.plain else self.encode
        return encode(text, at_most)

    def chat_text(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as the model reads it; see ``ChatTemplate.text``."""
        return self._template.text(messages, tools, arguments)

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        ended = "" if turn.last_token is None else self._tokenizer.decode([turn.last_token])
        return self.encode(self._template.tool_turn(turn, ended))

    @property
    def tokenizer(self) -> Any:
        """The library's own object."""
        return self._tokenizer

    @property
    def chat(self) -> ChatSupport:
        """What the chat template shows."""
        return self._template.support

    def _encoded(self, text: str, *, special: bool) -> tuple[int, ...]:
        if self._fast is not None:
            return tuple(self._fast([text], add_special_tokens=special)[0].ids)
        return tuple(self._tokenizer.encode(text, add_special_tokens=special))


def without_second_start(ids: Sequence[int], bare: Sequence[int]) -> tuple[int, ...]:
    """``ids``, of a text with special tokens, unless they begin with one that the text has itself:
    then its ids without, ``bare``."""
    return tuple(bare) if bare and ids[:1] == bare[:1] and ids[1:] == bare else tuple(ids)


def _longest_token(tokenizer: Any) -> int | None:
    """Characters of text that one token can stand for at most; None where nothing is certain.

    Byte-level tokens stand for the bytes that they spell, one character of the vocabulary each.
    What else may make text shorter is looked for: a normalizer, a token that takes in spaces.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    normalizer, splitting = repr(backend.normalizer), repr(backend.pre_tokenizer)
    # One character of the composed form (NFC) is at most four of the text.
    shorter = {"None": 1, "NFC()": 4}.get(normalizer)
    takes_spaces = any(
        added.lstrip or added.rstrip for added in tokenizer.added_tokens_decoder.values()
    )
    if shorter is None or takes_spaces or "ByteLevel(" not in splitting or "emove" in splitting:
        return None
    return shorter * max(map(len, tokenizer.get_vocab()), default=0) or None


class TemplateRefused(EngineError):
    """The endpoint's chat template refuses a conversation."""


#: What an endpoint can be asked the tokens of.
Asked = str | Conversation | RawText | Results
#: Asks the endpoint for the tokens of a text or a conversation; it raises what it likes.
Tokenize = Callable[[Asked], Awaitable[tuple[int, ...]]]


class RemoteTokenizer:
    """The endpoint's tokenizer, asked once for each text and conversation.

    ``expect`` is told of texts when they are encoded; ``ids`` fetches them beside what it is asked
    for. So the suffix of forced answers is known long before the first one is due.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._known: OrderedDict[Asked, tuple[int, ...]] = OrderedDict()
        self._size = 0  # tokens in ``_known``
        self._asked: dict[Asked, anyio.Lock] = {}
        self._expected: dict[str, None] = {}  # an ordered set

    def expect(self, text: str) -> None:
        """Say that ``text`` will be wanted. A long one is a prompt, which may yet be refused."""
        if text and len(text) <= _EXPECTED and text not in self._known:
            self._expected[text] = None

    async def ids(self, parts: Sequence[Part]) -> tuple[int, ...]:
        """The exact tokens of a prompt.

        Raises:
            Whatever ``tokenize`` raises for a part of it.
        """
        expected, self._expected = self._expected, {}
        wanted = dict.fromkeys(p for p in parts if not isinstance(p, tuple))
        missing = [p for p in wanted if p not in self._known]
        more = [text for text in expected if text not in wanted and text not in self._known]
        failures: list[Exception] = []

        async def fetch(part: Asked, *, needed: bool) -> None:
            try:
                await self._fetch(part)
            except Exception as error:  # noqa: BLE001 - raised again outside the task group
                if needed:
                    failures.append(error)

        if missing or more:
            async with anyio.create_task_group() as tasks:
                for part in missing:
                    tasks.start_soon(lambda part=part: fetch(part, needed=True))
                for part in more:
                    tasks.start_soon(lambda part=part: fetch(part, needed=False))
        if failures:
            raise failures[0]
        found: list[int] = []
        for part in parts:
            found += part if isinstance(part, tuple) else await self._fetch(part)
        return tuple(found)

    async def _fetch(self, part: Asked) -> tuple[int, ...]:
        """The tokens of one part; whoever comes meanwhile waits for the same answer."""
        if part not in self._known:
            lock = self._asked.setdefault(part, anyio.Lock())
            try:
                async with lock:
                    if part not in self._known:
                        self._remember(part, await self._tokenize(part))
                    return self._known[part]
            finally:
                if not lock.statistics().tasks_waiting and not lock.locked():
                    self._asked.pop(part, None)
        self._known.move_to_end(part)
        return self._known[part]

    def _remember(self, part: Asked, ids: tuple[int, ...]) -> None:
        self._known[part] = ids
        self._size += len(ids)
        while self._size > _REMEMBERED_TOKENS and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._size -= len(dropped)


async def remote_support(tokenizer: RemoteTokenizer, arguments: Mapping[str, Any]) -> ChatSupport:
    """What the endpoint's chat template shows, with variables of it: what makes no difference to
    the tokens is not shown.

    Raises:
        EngineError: the endpoint does not say.
    """

    async def ids(
        messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[int, ...] | None:
        try:
            asked = conversation_json(messages, tools, arguments)
            return await tokenizer.ids([Conversation(asked)])
        except (TemplateRefused, Refused) as error:  # the latter where a template fails the server
            told = isinstance(error, TemplateRefused) and "template" in str(error).lower()
            if messages is PROBE and tools is None and not told:
                raise
            return None

    plain = await ids(PROBE)
    if plain is None:
        warn_of_plain_layout()
        return ChatSupport(template=False, system=True, tools=False)
    one, other = [await ids(messages) for messages in PROBE_SYSTEMS]
    system = one is not None and one != other
    late, other = [await ids(messages) if system else None for messages in PROBE_LATE_SYSTEMS]
    with_tools = await ids(PROBE, PROBE_TOOLS)
    return ChatSupport(
        system=system,
        tools=with_tools is not None and with_tools != plain,
        late_system=not system or (late is not None and late != other),
    )
