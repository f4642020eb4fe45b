"""Texts as clients read them: without the marks that branches' texts hold for ourselves.

An agent's outcome and a tool's result are marked in the text of their branch by control characters
that nothing else in it has, so that answers are found where they are. They are nobody else's, and
terminals and XML choke on them. A space takes the place of each, so that all that counts characters
still counts right.
"""

from dataclasses import replace
from typing import Final

from ...agents.tool_engine import MARK as RESULT
from ...answers.extraction.outcomes import MARK as OUTCOME
from ...result import Result

_MARKS: Final = (OUTCOME, RESULT)


def plain_text(text: str) -> str:
    """``text`` without marks; as long as before."""
    for mark in _MARKS:
        if mark in text:
            text = text.replace(mark, " ")
    return text


def plain_result(result: Result) -> Result:
    """``result`` with all texts of its branches plain; itself if they are already."""
    texts = (result.text, *(branch.text for branch in result.branches))
    if not any(mark in text for text in texts for mark in _MARKS):
        return result
    branches = tuple(replace(branch, text=plain_text(branch.text)) for branch in result.branches)
    return replace(result, text=plain_text(result.text), branches=branches)
