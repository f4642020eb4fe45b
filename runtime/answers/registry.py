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

from .extraction.boxed import extract_answer
from .extraction.choices import last_choice
from .extraction.code_blocks import last_block, normalised_code
from .extraction.json_answers import last_json, settled_json
from .extraction.last_number import last_number
from .extraction.thinking import without_thinking
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
        forcible: whether a branch can be made to answer by the forcing suffix.
        voted: whether branches answer at all; else the first to reply has replied.
        calls: whether an answer may be a call of a tool, which equals no other answer.
    """

    find: Finder
    settled: Finder
    key: Callable[[str], str] | None = None
    forcible: bool = True
    voted: bool = True
    calls: bool = False


_BRACED_BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")


def _settled_box(text: str) -> str | None:
    """The answer in braces: what stands in a box without them may still be going on."""
    return extract_answer(text) if _BRACED_BOX.search(text) else None


#: The default: the last ``\\boxed{}``, compared as mathematics.
BOXED: Final = Extractor(extract_answer, _settled_box)


def _nothing(text: str) -> str | None:
    return None


def _spelling(answer: str) -> str:
    return answer


def _boxed(settings: ExtractorSettings, tools: Tools) -> Extractor:
    pattern = re.compile(settings.pattern) if settings.pattern else None
    return Extractor(lambda text: extract_answer(text, pattern), _settled_box)


def _json(settings: ExtractorSettings, tools: Tools) -> Extractor:
    schema = settings.json_schema
    return Extractor(
        lambda text: last_json(text, schema), lambda text: settled_json(text, schema), _spelling
    )


def _tool_call(settings: ExtractorSettings, tools: Tools) -> Extractor:
    known = offered(tools)
    return Extractor(lambda text: last_tool_call(text, known), _nothing, _spelling, calls=True)


_BUILT_IN: Final[dict[str, Callable[[ExtractorSettings, Tools], Extractor]]] = {
    "boxed": _boxed,
    "last_number": lambda *_: Extractor(last_number, _nothing),
    "multiple_choice": lambda *_: Extractor(last_choice, _nothing, _spelling),
    "json": _json,
    "tool_call": _tool_call,
    "code": lambda *_: Extractor(last_block, last_block, normalised_code),
    "text": lambda *_: Extractor(_nothing, _nothing, _spelling, voted=False),
}


def _accept(part: Any) -> Extractor:
    if isinstance(part, Extractor):
        return replace(part, find=_guarded(part.find), settled=_guarded(part.settled))
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
    return replace(made, find=_of_what_is_said(made.find), settled=_of_what_is_said(made.settled))


def _of_what_is_said(find: Finder) -> Finder:
    return lambda text: find(without_thinking(text))


def _guarded(find: Finder) -> Finder:
    def guarded(text: str) -> str | None:
        try:
            return find(text) or None
        except Exception:  # noqa: BLE001 - a user's extractor may fail; the race may not
            return None

    return guarded
