"""Finds the final answer in the text of a branch.

The text is whatever a model wrote, so it is hostile: every step here is one pass over a bounded
tail of it, on the event loop, with no recursion and no regular expression that backtracks.
"""

import re
from typing import Final

from .boxes import answers_in_boxes
from .statements import stated

# Both limits in characters, from the end of the text: final answers stand at the end. The worst
# tail we know (nothing but braces) of this length costs a few milliseconds of the event loop.
BOX_SCAN_CHARS = 32_768
# Smaller, because the caller's pattern may be one that takes quadratic time.
PATTERN_SCAN_CHARS = 4_096
# Matches of the pattern that are looked at, from the last one.
_MAX_MATCHES: Final = 32


def extract_answer(text: str, pattern: re.Pattern[str] | None = None) -> str | None:
    r"""Return the final answer written in `text`, or None if there is none.

    The answer is the content of the last complete `\boxed{…}`, or `\fbox{…}` and other boxes; of
    nested boxes the outer one counts, and a box that holds nothing but a box is looked into. A
    number or a command needs no braces: `\boxed5`, `\boxed\frac{1}{2}`. Boxes that only `,`, `or`
    or `and` stands between are one answer, `3, -3`. Passed over for the last box that holds an
    answer are those that were never closed, are empty, or hold what only stands for an answer:
    `\boxed{answer}`, `\boxed{\ldots}`. Without any box that holds one, the answer is what the last
    match of `pattern` found that states one.

    Args:
        text: All the text of a branch. Boxes are looked for in its last `BOX_SCAN_CHARS`
            characters, `pattern` in its last `PATTERN_SCAN_CHARS`.
        pattern: A compiled pattern; its group 1 is the answer if it has one, else the whole match.
            What it finds is read as the beginning of a sentence (`stated`): it may take in all
            that follows. It should take linear time: nothing interrupts it.

    Returns:
        The answer without surrounding white space, never empty, or None.
    """
    for answer in answers_in_boxes(text[-BOX_SCAN_CHARS:]):
        return answer
    if pattern is None:
        return None
    found = [_group(match) for match in pattern.finditer(text[-PATTERN_SCAN_CHARS:])]
    for statement in reversed(found[-_MAX_MATCHES:]):
        answer = stated(statement)
        if answer is not None:
            return answer
    return None


def _group(match: re.Match[str]) -> str:
    group = match[1] if match.re.groups else None
    return match[0] if group is None else group
