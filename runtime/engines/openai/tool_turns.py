"""Results of calls between two turns, as token ids that an endpoint's own template gives."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import EngineError
from ..chat_template import PROBE_TOOLS
from ..protocol import ToolTurn
from .http import Refused
from .placeholder_ids import read_parts, spell_results
from .tokens import RemoteTokenizer, TemplateRefused

#: Tokens between the end of the assistant's turn and what follows, at most: a line break or two.
_CLOSING: Final = 2


class NoPlaceForResults(EngineError):
    """It cannot be told where in a conversation the results of calls stand."""


async def shows_results(tokenizer: RemoteTokenizer, arguments: Mapping[str, Any]) -> bool:
    """Whether the endpoint's chat template shows the results of calls; not, where the endpoint
    refuses to say, whatever it refuses it with: most races need no tools.

    Raises:
        EngineError: the endpoint does not say.
    """
    name = PROBE_TOOLS[0]["function"]["name"]
    told: list[tuple[int, ...]] = []
    for result in ("Sunflowers grow along the canal.", "31"):
        turn = ToolTurn([(name, {})], [result], None, PROBE_TOOLS)
        try:
            told.append(await tokenizer.ids(read_parts(spell_results(turn, arguments))))
        except (Refused, TemplateRefused, NoPlaceForResults):
            return False
    return told[0] != told[1]


def results_between(
    before: Sequence[int], after: Sequence[int], last: int | None
) -> tuple[int, ...]:
    """What stands between an assistant's turn that made calls and the next one, as token ids; see
    ``ChatTemplate.tool_turn``.

    Args:
        before: a conversation up to the end of that turn.
        after: the same with the results, up to where the next turn begins.
        last: the token that the branch's own turn ended with.

    Raises:
        NoPlaceForResults: ``after`` does not go on from ``before``.
    """
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
        min(len(before), len(after)),
    )
    end = _end_of(before[same:], after[same:])
    if end is None:
        raise NoPlaceForResults("the endpoint's chat template does not show the results of tools")
    end += same
    # What follows the end of the turn, such as a line break, belongs to the results.
    if last in after[max(0, end - _CLOSING - 1) : end]:
        end -= tuple(reversed(after[:end])).index(last)
    return tuple(after[end:])


def _end_of(tail: Sequence[int], rest: Sequence[int]) -> int | None:
    """Where in ``rest`` the turn ends that ends with ``tail``: some templates write a turn's
    beginning otherwise where it is the last."""
    for start in range(len(tail) + 1):
        wanted = list(tail[start:])
        if not wanted:
            break
        for at in range(len(rest) - len(wanted) + 1):
            if list(rest[at : at + len(wanted)]) == wanted:
                return at + len(wanted)
    return None if tail else 0
