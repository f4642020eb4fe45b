"""Tokenizers for a remote engine: one in this process, or the endpoint's own."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.util import find_spec
from math import ceil
from typing import Any

import anyio
import anyio.to_thread

from ...errors import BadRequest, EngineStartError, PromptTooLong
from ..protocol import Message
from .placeholder_ids import Conversation, Part

#: Tokens of texts and conversations that are remembered.
_REMEMBERED_TOKENS = 2_000_000
#: Characters of a text that is asked for before it is needed: suffixes are short.
_EXPECTED = 4_096


class LocalTokenizer:
    """A tokenizer of the ``transformers`` library. Its methods may be called in threads."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._longest = _longest_token(tokenizer)
        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        # It makes no lists of what nobody reads, which would hold up all threads.
        self._fast: Any = getattr(backend, "encode_batch_fast", None)
        if self._fast is not None:
            backend.no_truncation()
            backend.no_padding()

    @classmethod
    async def load(cls, name: str) -> "LocalTokenizer":
        """
        Args:
            name: a folder, or a name on the Hugging Face hub.

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

            return AutoTokenizer.from_pretrained(name)

        try:
            return cls(await anyio.to_thread.run_sync(load, abandon_on_cancel=True))
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
        if self._fast is not None:
            return tuple(self._fast([text], add_special_tokens=False)[0].ids)
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def chat_text(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None
    ) -> str:
        """The conversation as the model reads it, up to where the assistant's turn begins.

        Raises:
            BadRequest: the chat template refuses the messages.
        """
        try:
            return self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tools=[dict(tool) for tool in tools] if tools else None,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BadRequest(
                f"the tokenizer's chat template refuses the messages: {first}"
            ) from error


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


#: Asks the endpoint for the tokens of a text or a conversation; it raises what it likes.
Tokenize = Callable[[str | Conversation], Awaitable[tuple[int, ...]]]


class RemoteTokenizer:
    """The endpoint's tokenizer, asked once for each text and conversation.

    ``expect`` is told of texts when they are encoded; ``ids`` fetches them beside what it is asked
    for. So the suffix of forced answers is known long before the first one is due.
    """

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._known: OrderedDict[str | Conversation, tuple[int, ...]] = OrderedDict()
        self._size = 0  # tokens in ``_known``
        self._asked: dict[str | Conversation, anyio.Lock] = {}
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

        async def fetch(part: str | Conversation, *, needed: bool) -> None:
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

    async def _fetch(self, part: str | Conversation) -> tuple[int, ...]:
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

    def _remember(self, part: str | Conversation, ids: tuple[int, ...]) -> None:
        self._known[part] = ids
        self._size += len(ids)
        while self._size > _REMEMBERED_TOKENS and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._size -= len(dropped)
