"""Finds the final answer in the text of a branch.

The text is whatever a model wrote, so it is hostile: every step here is one pass over a bounded
tail of it, on the event loop, with no recursion and no regular expression that backtracks.
"""

import re

# Both limits in characters, from the end of the text: final answers stand at the end. The worst
# tail we know (nothing but braces) of this length costs a few milliseconds of the event loop.
BOX_SCAN_CHARS = 32_768
# Smaller, because the caller's pattern may be one that takes quadratic time.
PATTERN_SCAN_CHARS = 4_096

# One token: a run of backslashes with what it stands before, or a brace. The run is matched whole
# and what follows it is optional, so no character is looked at twice. A run of any length makes
# `boxed{` a box: models that think in JSON or in matrix rows write `\\boxed{`.
_TOKEN = re.compile(r"(?P<slashes>\\+)(?P<next>(?:boxed|fbox)\s*\{|[{}])?|[{}]")


def extract_answer(text: str, pattern: re.Pattern[str] | None = None) -> str | None:
    r"""Return the final answer written in `text`, or None if there is none.

    The answer is the content of the last complete `\boxed{…}` or `\fbox{…}`; of nested boxes the
    outer one counts, and a box that holds nothing but a box is looked into. A last box that was
    never closed is passed over for the last complete one. An empty last box means that there is
    no answer. Without any complete box, the answer is what the last match of `pattern` found.

    Args:
        text: All the text of a branch. Boxes are looked for in its last `BOX_SCAN_CHARS`
            characters, `pattern` in its last `PATTERN_SCAN_CHARS`.
        pattern: A compiled pattern; its group 1 is the answer if it has one, else the whole match.
            It should take linear time: nothing interrupts it.

    Returns:
        The answer without surrounding white space, never empty, or None.
    """
    box = _last_box(text[-BOX_SCAN_CHARS:])
    if box is not None:
        return box.strip() or None
    if pattern is None:
        return None
    found = None
    for match in pattern.finditer(text[-PATTERN_SCAN_CHARS:]):
        found = match
    if found is None:
        return None
    group = found[1] if pattern.groups else None
    return (found[0] if group is None else group).strip() or None


def _last_box(text: str) -> str | None:
    """Return the content of the box that closes last, or None if no box closes.

    A stack holds every open brace: `(where its content starts, where its token starts)`, the
    second -1 for a brace that opens no box. Closing braces that match nothing are passed over, as
    the text may have been cut at its beginning.
    """
    open_braces: list[tuple[int, int]] = []
    last: tuple[int, int] | None = None  # the content of the box that closed last
    # The same box from outside, to see whether the next one holds nothing else.
    last_outside: tuple[int, int] | None = None
    for token in _TOKEN.finditer(text):
        brace = token[0]
        if slashes := token["slashes"]:
            brace = token["next"]
            if brace is None:
                continue
            if len(brace) > 1:
                open_braces.append((token.end(), token.start()))
                continue
            if len(slashes) % 2:  # an escaped brace; an even run is only line breaks before it
                continue
        if brace == "{":
            open_braces.append((token.end(), -1))
        elif open_braces:
            content, outside = open_braces.pop()
            if outside < 0:
                continue
            if last is None or last_outside != (content, token.start()):
                last = (content, token.start())
            last_outside = (outside, token.end())
    return None if last is None else text[last[0] : last[1]]
