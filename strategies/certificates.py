"""A certificate that an answer is the model's most frequent one, valid whenever it is looked at.

Certified self-consistency (MMC, arXiv 2510.17472; CITE, arXiv 2605.05873) asks for more than a
posterior above a threshold: the probability that any answer but the mode is *ever* certified, in
a race watched after every vote, is at most ``alpha``. What it takes:

- Votes that are independent and identically distributed in the order in which they are counted.
  Votes in order of completion are not: the short branches come first. So votes are released in
  launch order, and one counts only when all branches launched before it have voted or ended.
  (Given that a branch votes; what branches without an answer would have said remains unknown.)
- Evidence gathered step by step, each bet fixed before the vote that it is placed on. MMC's code
  fits one share to all votes, the past ones included, which is not a martingale.
- Evidence for the very answer that leads. Where the leader changes, MMC's is inherited from
  another pair. Here answer ``i`` starts with nothing at its first appearance, and needs

      min over all other answers j of E_ij >= k (k + 1) / alpha,

  with ``k`` = 1, 2, … for the first, second, … answer to appear (the sum of alpha / (k (k + 1))
  over k is alpha), and E_ij the e-value of "i is more frequent than j" from the votes after that
  appearance. For the mode j, E_ij is a supermartingale from 1 on (Ville's inequality), so it does
  not matter how many answers there are, when the race looks, or when it stops.

It certifies the mode, not that the mode is right.
"""

from collections import Counter
from collections.abc import Sequence
from math import log

from .stopping import log_pair_evidence

#: A released vote: the answer, and a weight in [0, 1] that it is known by.
Released = tuple[str, float]

_BETS = tuple((b + 0.5) / 32 for b in range(32))


def certified(answer: str, votes: Sequence[Released], alpha: float) -> bool:
    """Whether ``votes``, in launch order, certify ``answer`` as the mode at level ``alpha``.

    Weights that are not all 1 weigh the evidence: certified is then that the answer has the
    largest mean weight a branch. A weight may depend on its own branch only, not on other votes.
    """
    appeared = list(dict.fromkeys(a for a, _ in votes))
    if answer not in appeared:
        return False
    order = appeared.index(answer) + 1
    since = [a for a, _ in votes].index(answer) + 1
    needed = log(order * (order + 1) / alpha)
    return weakest_evidence(answer, votes[since:]) >= needed


def weakest_evidence(answer: str, votes: Sequence[Released]) -> float:
    """log min_j E_ij over all other answers j, those not seen included.

    The uniform mixture, over stakes in (0, 1], of the wealth of one who bets on every vote that
    it is for ``answer`` rather than for j: prod_t (1 + stake * w_t ([i] - [j])). In closed form
    (``log_pair_evidence``) where all weights are 1, and with 32 equidistant stakes elsewhere,
    which is an e-value just as exactly.
    """
    if all(weight == 1.0 for _, weight in votes):
        counts = Counter(a for a, _ in votes)
        wins = counts.pop(answer, 0)
        return log_pair_evidence(wins, max(counts.values(), default=0))
    others = {a for a, _ in votes if a != answer}
    return min(_log_wealth(answer, other, votes) for other in (*others, None))


def _log_wealth(answer: str, other: str | None, votes: Sequence[Released]) -> float:
    wealths = [1.0] * len(_BETS)
    for voted, weight in votes:
        if voted in (answer, other):
            sign = weight if voted == answer else -weight
            wealths = [w * (1.0 + stake * sign) for w, stake in zip(wealths, _BETS, strict=True)]
    return log(sum(wealths) / len(wealths))
