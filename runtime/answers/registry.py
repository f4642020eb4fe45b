"""Extractors by name: what an answer is, in a text, and which answers are the same.

An extractor of a user's own is registered with ``register_extractor``, offered by an installed
package in the entry points ``frontrunner.extractors``, or named as ``package.module:attribute`` in
the config. What is offered or named so is an ``Extractor``, or a function from the text of a branch
to the answer in it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from frontrunner._plugins import Plugins

from ..thinking import without_thinking
from .extraction.boxed import extract_answer
from .extraction.choices import last_choice, settled_choice
from .extraction.code_blocks import last_block, normalised_code
from .extraction.forced_slots import (
    BOX_SUFFIX,
    CHOICE_SUFFIX,
    JSON_SUFFIX,
    NUMBER_SUFFIX,
    all_of,
    box_or_all,
    box_or_statement,
)
from .extraction.json_answers import last_json, settled_json
from .extraction.last_number import last_number, settled_number
from .extraction.outcomes import last_outcome
from .extraction.tool_calls import last_tool_call, offered

#: A text to the answer in it, or None. It must take bounded time on any text: it runs on the event
#: loop.
Finder = Callable[[str], str | None]
#: Tools in OpenAI's form, as a request offers them.
Tools = Sequence[Mapping[str, Any]]


class ExtractorSettings(Protocol):
    """What an extractor is made from; the section ``[answers]`` of the settings is one."""

    @property
    def kind(self) -> str:
        """The name of a built-in or registered extractor."""
        ...

    @property
    def pattern(self) -> str | None:
        """For ``boxed``: a regular expression tried where there is no box; group 1 is the
        answer."""
        ...

    @property
    def json_schema(self) -> Mapping[str, Any] | None:
        """For ``json``: the JSON Schema that an answer must satisfy; None: any JSON will do."""
        ...


@dataclass(frozen=True, slots=True)
class Extractor:
    """How an answer is found, and compared.

    Attributes:
        find: the answer in the whole text of a branch; None is no vote.
        settled: the answer that no further text can change, of a forced answer that is still being
            written; None: not yet. It may always say None, which costs waiting for the end.
        key: what equal answers have in common. None: they are compared as mathematics.
        forcible: whether a branch can be made to answer by a forcing suffix.
        voted: whether branches answer at all; else the first to reply has replied.
        calls: whether an answer may be a call of a tool, which equals no other answer.
        complete: the answer that a text holds already though it was cut in the middle; a number or
            a letter that merely stands in it is none. None: what ``settled`` says.
        slot: of a forcing suffix, what is read together with the answer behind it.
        suffix: the forcing suffix that opens a slot for such an answer, where ``[forcing]`` names
            none; None: there is none, since it takes too long to say, or nothing to ask for.
        forced_tokens: the longest forced answer, in tokens, where ``[forcing]`` says nothing.
    """

    find: Finder
    settled: Finder
    key: Callable[[str], str] | None = None
    forcible: bool = True
    voted: bool = True
    calls: bool = False
    complete: Finder | None = None
    slot: Callable[[str], str] = all_of
    suffix: str | None = BOX_SUFFIX
    forced_tokens: int = 16

    def reading(self, part: Callable[[str], str]) -> "Extractor":
        """The same, looked for in ``part`` of a text only."""

        def within(find: Finder) -> Finder:
            return lambda text: find(part(text))

        complete = None if self.complete is None else within(self.complete)
        find, settled = within(self.find), within(self.settled)
        return replace(self, find=find, settled=settled, complete=complete)

    def of_unfinished(self, text: str) -> str | None:
        """The answer that ``text``, which was cut, holds all the same."""
        return (self.complete or self.settled)(text)

    def opening(self, suffix: str) -> str:
        """What a forced answer is read behind, so that nothing of ``suffix`` is taken for it."""
        opened = self.slot(suffix)
        return "" if self.find(opened) is not None else opened


_BRACED_BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")


def _settled_box(text: str) -> str | None:
    """The answer in braces: what stands in a box without them may still be going on."""
    return extract_answer(text) if _BRACED_BOX.search(text) else None


def _boxed_choice(text: str) -> str | None:
    return last_choice(text) if _settled_box(text) is not None else None


#: The default: the last ``\\boxed{}``, compared as mathematics.
BOXED: Final = Extractor(extract_answer, _settled_box, slot=box_or_all)


def _nothing(text: str) -> str | None:
    return None


def _spelling(answer: str) -> str:
    return answer


def _boxed(settings: ExtractorSettings, tools: Tools) -> Extractor:
    pattern = re.compile(settings.pattern) if settings.pattern else None
    return Extractor(lambda text: extract_answer(text, pattern), _settled_box, slot=box_or_all)


def _json(settings: ExtractorSettings, tools: Tools) -> Extractor:
    schema = settings.json_schema
    return Extractor(
        lambda text: last_json(text, schema),
        lambda text: settled_json(text, schema),
        _spelling,
        slot=all_of,
        suffix=JSON_SUFFIX,
        forced_tokens=64,
    )


def _tool_call(settings: ExtractorSettings, tools: Tools) -> Extractor:
    known = offered(tools)

    def find(text: str) -> str | None:
        return last_tool_call(text, known)

    return Extractor(find, _nothing, _spelling, calls=True, complete=find, suffix=None)


_BUILT_IN: Final[dict[str, Callable[[ExtractorSettings, Tools], Extractor]]] = {
    "boxed": _boxed,
    "last_number": lambda *_: Extractor(
        last_number,
        settled_number,
        complete=_settled_box,
        slot=box_or_statement,
        suffix=NUMBER_SUFFIX,
    ),
    "multiple_choice": lambda *_: Extractor(
        last_choice,
        settled_choice,
        _spelling,
        complete=_boxed_choice,
        slot=box_or_statement,
        suffix=CHOICE_SUFFIX,
    ),
    "json": _json,
    "tool_call": _tool_call,
    "code": lambda *_: Extractor(
        last_block, last_block, normalised_code, slot=all_of, suffix=None, forced_tokens=512
    ),
    "outcome": lambda *_: Extractor(
        last_outcome, _nothing, _spelling, forcible=False, complete=last_outcome, suffix=None
    ),
    "text": lambda *_: Extractor(_nothing, _nothing, _spelling, voted=False, suffix=None),
}


def _accept(part: Any) -> Extractor:
    if isinstance(part, Extractor):
        complete = None if part.complete is None else _guarded(part.complete)
        find, settled = _guarded(part.find), _guarded(part.settled)
        return replace(part, find=find, settled=settled, complete=complete)
    if not callable(part):
        raise TypeError(f"an Extractor or a function of a text is expected, not {part!r}")
    find: Any = part  # what it finds is for its author to say
    return Extractor(_guarded(find), _nothing, _spelling)


EXTRACTOR_PLUGINS: Final = Plugins[Extractor](
    "extractor", "frontrunner.extractors", _BUILT_IN, _accept, key="kind"
)


def extractor_names() -> tuple[str, ...]:
    """The names of all extractors, those of installed packages among them; nothing is imported."""
    return EXTRACTOR_PLUGINS.names()


def check_extractor(kind: str) -> None:
    """
    Raises:
        ValueError: there is no extractor of this name, or it cannot be imported.
    """
    if kind not in _BUILT_IN:
        EXTRACTOR_PLUGINS.find(kind)


def register_extractor(
    name: str,
    find: Finder,
    *,
    settled: Finder = _nothing,
    key: Callable[[str], str] | None = _spelling,
) -> None:
    """Make an extractor available as ``answers.kind = name`` in this process; call it before
    settings are read.

    Args:
        find, settled, key: see ``Extractor``. They run on the event loop, on text that a model
            wrote: they must take bounded time on any of it. What they raise costs a vote.

    Raises:
        ValueError: if the name is taken.
    """
    EXTRACTOR_PLUGINS.register(name, Extractor(find, settled, key))


def make_extractor(settings: ExtractorSettings, tools: Tools = ()) -> Extractor:
    """The extractor that ``settings`` name. It reads what a text says, never what it only thinks.

    Args:
        tools: those that were offered, in OpenAI's form; a call of any other is no answer. Empty:
            every call is one.

    Raises:
        ValueError: there is no extractor of this name, or it cannot be imported.
    """
    built_in = _BUILT_IN.get(settings.kind)
    made = EXTRACTOR_PLUGINS.find(settings.kind) if built_in is None else built_in(settings, tools)
    complete = None if made.complete is None else _of_what_is_said(made.complete)
    find, settled = _of_what_is_said(made.find), _of_what_is_said(made.settled)
    return replace(made, find=find, settled=settled, complete=complete)


def _of_what_is_said(find: Finder) -> Finder:
    return lambda text: find(without_thinking(text))


def _guarded(find: Finder) -> Finder:
    def guarded(text: str) -> str | None:
        try:
            return find(text) or None
        except Exception:  # noqa: BLE001 - a user's extractor may fail; the race may not
            return None

    return guarded
