"""A step of the proposer over all rows: learn what came, then draft for each."""

from typing import Any, Final

import numpy as np
from numba import njit

from .compiling import njit_kept
from .contexts import learn_tokens, next_token, observe
from .sentence_templates import BACK, RECENT, asks_for_space, learn_templates, next_of_template

#: Where a draft token is from: the contexts of tokens, a template, the number that a pointer meant.
SOURCES: Final = 3
#: Levels of trust that are held against what came of them.
LEVELS: Final = 24
_COPIED: Final = 2
#: Weight of the trust itself, in observations, before anything came of it.
_PRIOR: Final = 4.0
#: No draft goes on below this share of the probability down to which it is given.
_HOPELESS: Final = 0.5


@njit
def _level(trust: Any) -> Any:
    """0 … LEVELS - 1, in equal steps of the logarithm of the odds against: finest near 1."""
    return min(LEVELS - 1, int(-4.0 * np.log2(1.0 - 0.99 * trust)))


@njit
def _calibrated(seen: Any, trust: Any) -> Any:
    """The probability that a draft token of this trust is accepted, by what came of such before.

    The most trusted of many contexts is trusted too much ("winner's curse").
    """
    return (seen[1] + _PRIOR * trust) / (seen[0] + _PRIOR)


@njit(nogil=True)
def score(
    calibration: Any, tokens: Any, start: Any, end: Any, draft: Any, sources: Any, levels: Any
) -> None:
    """Hold a draft against ``tokens[start:end]``, which came in its place."""
    for place in range(min(draft.shape[0], end - start)):
        right = draft[place] == tokens[start + place]
        observe(calibration[sources[place], levels[place]], right)
        if not right:
            break


@njit(nogil=True)
def draft(
    table: Any, token_trust: Any, template_trust: Any, calibration: Any, row: Any, end: Any,
    prompt: Any, asked: Any, digits: Any, spaced: Any, plain: Any, salts: Any, most: Any,
    least: Any, text: Any, spans: Any, units: Any, out: Any, sources: Any, levels: Any,
    chances: Any,
) -> Any:  # fmt: skip
    """Draft up to ``most`` tokens into ``out``; give only those that are likely enough together.

    A little more than is given is drafted, and held against what comes as well: an estimate that
    was too low to draft by would else never be corrected.

    Args:
        row: (max_length,) int32; ``end`` tokens are there, ``prompt`` of them the prompt's.
        asked: (numbers, 2) spans of the prompt's numbers.
        spaced, plain: (vocabulary,) int32, a number's token with and without a space before it.
        least: what is given ends before its probability of being accepted whole falls below this.
        text: (RECENT + K,) int32 scratch.
        chances: (K,) set to the probability that a token and all before it are accepted.

    Returns:
        The numbers of tokens drafted and given.
    """
    longest, longest_template = token_trust.shape[1] - 1, template_trust.shape[1] - 1
    kept = min(RECENT, end)
    for place in range(kept):  # a slice's error message alone would take 2 s to compile
        text[place] = row[end - kept + place]
    written = prompt - (end - kept)
    whole, given = 1.0, 0
    copying, from_prompt, first, copied, last = False, False, 0, 0, 0
    for place in range(most):
        here = kept + place
        if copying and copied < last:
            token = plain[row[copied] if from_prompt else text[copied]]
            source, level = _COPIED, min(LEVELS - 1, copied - first)
            likely = _calibrated(calibration[source, level], 0.9)
            copied += 1
        else:
            copying = False
            token, trust = next_token(table, token_trust, text, here, salts, longest)
            source, level, likely = 0, 0, 0.0
            if token >= 0:
                level = _level(trust)
                likely = _calibrated(calibration[0, level], trust)
            code, trust, there, start, after = next_of_template(
                table, template_trust, text, here, written, row[:prompt], asked, digits, salts,
                longest_template, spans, units,
            )  # fmt: skip
            if code != -1:
                other = _calibrated(calibration[1, _level(trust)], trust)
                if other >= likely:
                    source, level, likely = 1, _level(trust), other
                    token = code
                    if code < 0:
                        copying, from_prompt, first, copied, last = True, there, start, start, after
                        token = row[start] if there else text[start]
                        token = spaced[token] if asks_for_space(code) else plain[token]
                        copied += 1
        whole *= likely
        if token < 0 or whole < _HOPELESS * least:
            return place, given
        if whole >= least:
            given = place + 1
        text[here] = token
        out[place] = token
        sources[place] = source
        levels[place] = level
        chances[place] = whole
    return most, given


@njit_kept
def step(
    table: Any, token_trust: Any, template_trust: Any, calibration: Any, tokens: Any, lengths: Any,
    new: Any, prompts: Any, asked: Any, asked_count: Any, races: Any, salts: Any, digits: Any,
    spaced: Any, plain: Any, now: Any, most: Any, least: Any, drafts: Any, drafted: Any,
    given: Any, sources: Any, levels: Any, chances: Any, drafted_at: Any, drafted_for: Any,
) -> None:  # fmt: skip
    """Learn what every row has got, then draft for each: siblings use it at once.

    Args:
        tokens: (rows, max_length) int32.
        lengths: (rows,) tokens of each row, the new ones included.
        new: (rows,) tokens that this step brought; 0: the row is left alone.
        prompts: (rows,) lengths of the prompts of the rows' races.
        asked: (rows, numbers, 2) spans of the prompts' numbers; asked_count: (rows,).
        races: (rows,) the races' numbers; salts: (rows, tiers) uint64.
        most: (rows,) the longest draft for each row.
        drafts, sources, levels, chances: (max rows, K), drafted, given: (max rows,): the last
            step's, overwritten; of each row's draft the first ``given`` tokens are to be verified.
        drafted_at, drafted_for: (max rows,) the length and race that each draft was for.
    """
    rows = lengths.shape[0]
    spans = np.empty((BACK, 2), dtype=np.int64)
    units = np.empty(template_trust.shape[1] - 1, dtype=np.int32)
    text = np.empty(RECENT + drafts.shape[1], dtype=np.int32)
    longest, longest_template = token_trust.shape[1] - 1, template_trust.shape[1] - 1
    for row in range(rows):
        if new[row] <= 0:
            continue
        end, start = lengths[row], lengths[row] - new[row]
        numbers = asked[row, : asked_count[row]]
        if drafted_at[row] == start and drafted_for[row] == races[row]:
            count = drafted[row]
            score(
                calibration, tokens[row], start, end, drafts[row, :count], sources[row, :count],
                levels[row, :count],
            )  # fmt: skip
        learn_tokens(table, token_trust, tokens[row], start, end, salts[row], longest, now)
        learn_templates(
            table, template_trust, tokens[row], max(start, prompts[row]), end, prompts[row],
            numbers, digits, salts[row], longest_template, now, spans, units,
        )  # fmt: skip
    for row in range(drafted.shape[0]):
        drafted[row] = given[row] = 0
        drafted_at[row] = -1
        if row < rows and new[row] > 0 and most[row] > 0:
            drafted[row], given[row] = draft(
                table, token_trust, template_trust, calibration, tokens[row], lengths[row],
                prompts[row], asked[row, : asked_count[row]], digits, spaced, plain, salts[row],
                most[row], least, text, spans, units, drafts[row], sources[row], levels[row],
                chances[row],
            )  # fmt: skip
            drafted_at[row] = lengths[row]
            drafted_for[row] = races[row]
