"""How likely a model found what it wrote."""

from collections.abc import Sequence
from math import fsum

#: In nats: e to less than that is as good as nothing. Engines say minus infinity of a token that
#: was masked and came all the same.
_LEAST = -100.0


def mean_logprob(logprobs: Sequence[float]) -> float | None:
    """The mean log probability of a text's tokens, in nats, at most 0 and finite: the logarithm of
    the geometric mean of their probabilities.

    Args:
        logprobs: (num_tokens,) the tokens' own; None is returned for no tokens.
    """
    if not logprobs:
        return None
    return fsum(min(0.0, max(_LEAST, logprob)) for logprob in logprobs) / len(logprobs)
