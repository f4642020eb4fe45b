"""Answers where tools are offered: a call of a tool where a branch makes one, else an answer of the
kind that was asked for.

A call is known by its form, the canonical JSON of ``answers.extraction.tool_calls``: no other
answer of such a race has it, so that what won says by itself which of the two it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..thinking import without_thinking
from .equivalence.answer_keys import Equivalence
from .equivalence.clusters import AnswerClusters, Clusters, ExactClusters
from .equivalence.rules import ComparisonRules
from .extraction.json_values import NoValueError, canonical_json, only_value
from .extraction.tool_calls import Offered, announces_call, last_tool_call, offered
from .registry import Extractor, Tools

#: How the canonical form of a call begins, and of several.
_BEGINNINGS = ('{"arguments":', '[{"arguments":')


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool."""

    name: str
    arguments: str
    """Canonical JSON, an object."""


def read_calls(answer: str | None) -> list[ToolCall]:
    """The calls that an answer is; none if it is something else."""
    return [ToolCall(call["name"], canonical_json(call["arguments"])) for call in _calls_of(answer)]


def _calls_of(answer: str | None) -> Sequence[dict[str, Any]]:
    if answer is None or not answer.startswith(_BEGINNINGS):
        return []
    try:
        read = only_value(answer)
    except NoValueError:
        return []
    calls = read if isinstance(read, list) else [read]
    return calls if all(map(_is_call, calls)) else []


def _is_call(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "arguments"}
        and isinstance(value["name"], str)
        and isinstance(value["arguments"], dict)
    )


def call_extractor(tools: Tools = (), *, several: bool = True) -> Extractor:
    """Answers that are calls of ``tools``.

    Args:
        tools: in OpenAI's form; a call of any other is no answer. Empty: every call is one.
        several: whether several calls are an answer; else it is the first of them.
    """
    return _extractor_of(offered(tools), several=several)


def _extractor_of(tools: Offered, *, several: bool) -> Extractor:
    def find(text: str) -> str | None:
        answer = last_tool_call(without_thinking(text), tools)
        if several or answer is None or answer.startswith("{"):
            return answer
        return canonical_json(_calls_of(answer)[0])

    return Extractor(
        find, _nothing, _spelling, forcible=False, calls=True, complete=find, suffix=None
    )


def with_calls(answers: Extractor, tools: Tools, *, several: bool = True) -> Extractor:
    """What ``answers`` finds, but calls of ``tools`` where a text makes some.

    A text with a call that is broken, or of a tool that was not offered, has no answer: what the
    call holds is none. Arguments are as in ``call_extractor``.
    """
    known = offered(tools)
    calls = _extractor_of(known, several=several)

    def find(text: str) -> str | None:
        call = calls.find(text)
        if call is not None:
            return call
        answer = answers.find(text)
        if answer is None or announces_call(without_thinking(text), known):
            return None
        return None if _calls_of(answer) else answer

    def settled(text: str) -> str | None:
        answer = answers.settled(text)
        return None if _calls_of(answer) else answer

    def complete(text: str) -> str | None:
        call = calls.find(text)
        if call is not None or announces_call(without_thinking(text), known):
            return call
        answer = answers.of_unfinished(text)
        return None if _calls_of(answer) else answer

    return replace(answers, find=find, settled=settled, calls=True, complete=complete)


def make_clusters(answers: Extractor, equivalence: Equivalence, rules: ComparisonRules) -> Clusters:
    """The classes of equal answers of a race, none yet."""
    others: Clusters = (
        AnswerClusters(equivalence, rules) if answers.key is None else ExactClusters(answers.key)
    )
    return CombinedClusters(others) if answers.calls else others


class CombinedClusters:
    """Classes of calls, which are equal to the letter, and ``others`` for all other answers."""

    def __init__(self, others: Clusters) -> None:
        self._calls = ExactClusters(_spelling)
        self._others = others

    @property
    def undecided(self) -> int:
        return self._others.undecided

    async def assign(self, answer: str) -> str:
        return await self._of(answer).assign(answer)

    def assign_now(self, answer: str) -> str:
        return self._of(answer).assign_now(answer)

    def _of(self, answer: str) -> Clusters:
        return self._calls if _calls_of(answer) else self._others


def _nothing(text: str) -> str | None:
    return None


def _spelling(answer: str) -> str:
    return answer
