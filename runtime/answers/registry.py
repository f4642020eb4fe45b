"""Extractors by name: what an answer is, in a text, and which answers are the same."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .code_blocks import last_block, normalised_code
from .extraction import extract_answer
from .plain import last_choice, last_number
from .structured import last_json, last_tool_call

if TYPE_CHECKING:
    from ..config import AnswerSettings

#: A text to the answer in it, or None. It must take bounded time on any text: it runs on the event
#: loop.
Finder = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Extractor:
    """How an answer is found, and compared.

    Attributes:
        find: the answer in the whole text of a branch; None is no vote.
        settled: the answer that no further text can change, of a forced answer that is still being
            written; None: not yet. It may always say None, which costs waiting for the end.
        key: what equal answers have in common. None: they are compared as mathematics.
    """

    find: Finder
    settled: Finder
    key: Callable[[str], str] | None = None


#: The default: the last ``\\boxed{}``, compared as mathematics.
BOXED: Final = Extractor(extract_answer, extract_answer)


def _nothing(text: str) -> str | None:
    return None


def _spelling(answer: str) -> str:
    return answer


def _boxed(settings: "AnswerSettings") -> Extractor:
    pattern = re.compile(settings.pattern) if settings.pattern else None
    return Extractor(lambda text: extract_answer(text, pattern), extract_answer)


def _json(settings: "AnswerSettings") -> Extractor:
    def find(text: str) -> str | None:
        return last_json(text, settings.json_schema)

    return Extractor(find, find, _spelling)


_BUILT_IN: Final[dict[str, Callable[["AnswerSettings"], Extractor]]] = {
    "boxed": _boxed,
    "last_number": lambda _: Extractor(last_number, _nothing),
    "multiple_choice": lambda _: Extractor(last_choice, _nothing, _spelling),
    "json": _json,
    "tool_call": lambda _: Extractor(last_tool_call, _nothing, _spelling),
    "code": lambda _: Extractor(last_block, last_block, normalised_code),
    "text": lambda _: Extractor(_nothing, _nothing, _spelling),
}
_REGISTERED: Final[dict[str, Extractor]] = {}


def extractor_names() -> tuple[str, ...]:
    return (*_BUILT_IN, *_REGISTERED)


def register_extractor(
    name: str,
    find: Finder,
    *,
    settled: Finder = _nothing,
    key: Callable[[str], str] | None = _spelling,
) -> None:
    """Make an extractor available as ``answers.kind = name``; call it before settings are read.

    Args:
        find, settled, key: see ``Extractor``. They run on the event loop, on text that a model
            wrote: they must take bounded time on any of it. What they raise costs a vote.

    Raises:
        ValueError: if the name is taken.
    """
    if name in extractor_names():
        raise ValueError(f"extractor {name!r} is registered already")
    _REGISTERED[name] = Extractor(_guarded(find), _guarded(settled), key)


def make_extractor(settings: "AnswerSettings") -> Extractor:
    """The extractor that ``settings`` name."""
    if settings.kind in _REGISTERED:
        return _REGISTERED[settings.kind]
    return _BUILT_IN[settings.kind](settings)


def _guarded(find: Finder) -> Finder:
    def guarded(text: str) -> str | None:
        try:
            return find(text) or None
        except Exception:  # noqa: BLE001 - a user's extractor may fail; the race may not
            return None

    return guarded
