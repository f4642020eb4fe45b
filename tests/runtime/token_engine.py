"""A scripted engine with a vocabulary of its own: what it generates is made of tokens that stand
for bytes, whole marks, or pieces of characters, and its texts are theirs, as a real engine's."""

import codecs
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from frontrunner.runtime.engines import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation, Message

THINK: Final = ("<think>", "</think>")
HARMONY: Final = (
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|return|>",
    "<|call|>",
    "<|constrain|>",
)


class Vocabulary:
    """Single bytes, marks, and whatever else is asked for."""

    def __init__(self, marks: Sequence[str], *, hidden: bool = False) -> None:
        """
        Args:
            marks: tokens of their own wherever they stand.
            hidden: whether engines leave them out of texts.
        """
        self._tokens: list[bytes] = [bytes([byte]) for byte in range(256)]
        self._marks = {mark: self.token(mark.encode()) for mark in marks}
        self._hidden = set(self._marks.values()) if hidden else set[int]()
        self._pattern = re.compile("|".join(map(re.escape, marks)) or r"(?!)")

    def token(self, spelled: bytes) -> int:
        """The token that stands for these bytes, a new one if there was none."""
        if spelled not in self._tokens:
            self._tokens.append(spelled)
        return self._tokens.index(spelled)

    def encode(self, text: str) -> tuple[int, ...]:
        """Its marks, and single bytes."""
        ids: list[int] = []
        at = 0
        for match in self._pattern.finditer(text):
            ids += [*text[at : match.start()].encode(), self._marks[match[0]]]
            at = match.end()
        return (*ids, *text[at:].encode())

    def decode(self, ids: Sequence[int]) -> str:
        """All of the text, hidden tokens too; a broken character is replaced."""
        return b"".join(self._tokens[i] for i in ids).decode("utf-8", "replace")

    def pieces(self, ids: Sequence[int], *, special: bool) -> list[str]:
        """The text that each token adds, as a stream tells it: of a character only when it is
        whole."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        shown = [b"" if i in self._hidden and not special else self._tokens[i] for i in ids]
        return [decoder.decode(spelled) for spelled in shown]


class TokenEngine(ScriptedEngine):
    """Writes given tokens, one a second, and then ends or stalls; forced, it writes a text."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        written: Sequence[Sequence[int]],
        *,
        forced: str = "42}",
        stalls: bool = True,
        turn: str = "<assistant>",
    ) -> None:
        """
        Args:
            written: the tokens of each branch.
            turn: with which the prompt of a conversation ends.
        """
        super().__init__(Script([BranchScript()], chooser=self._script), step_seconds=0.001)
        self.vocabulary = vocabulary
        self._written = written
        self._forced = vocabulary.encode(forced)
        self._stalls = stalls
        self._turn = turn
        self.conversations: list[Sequence[Message]] = []

    def encode(self, text: str) -> tuple[int, ...]:
        return self.vocabulary.encode(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        self.conversations.append(messages)
        said = "".join(f"<{m['role']}>{m['content']}" for m in messages)
        return self.encode(said + self._turn)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        ids, at = self._ids(request), 0
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                count = len(chunk.token_ids)
                yield replace(chunk, token_ids=tuple(ids[at : at + count]))
                at += count

    def _ids(self, request: Generation) -> Sequence[int]:
        if request.forced:
            return self._forced
        return self._written[request.branch % len(self._written)]

    def _script(self, request: Generation) -> BranchScript:
        pieces = self.vocabulary.pieces(self._ids(request), special=request.sampling.special_tokens)
        step = 0.0 if request.forced else 1.0
        return BranchScript(
            tuple(Piece(step, piece) for piece in pieces),
            FinishReason.STOP,
            stall=self._stalls and not request.forced,
        )
