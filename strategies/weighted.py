"""Weighted majority vote: ``Majority`` where a vote weighs its branch's reward by default.

Weighted best-of-N (Li et al., arXiv 2206.02336): the answer whose branches have the largest sum of
rewards. With ``weight="confidence"`` the offline vote of DeepConf (arXiv 2508.15260), without its
filter; with ``weight="likelihood"`` that of CISC (arXiv 2502.06233).
"""

from dataclasses import dataclass, field

from .majority import Majority
from .own_weights import VoteWeight, weight_names
from .weights import WeightName


@dataclass(slots=True)
class Weighted(Majority):
    """Weighted majority vote. Its parameters are those of ``majority``, whose stop rules apply to
    weights that have a mean of 1 (``strategies.weights``)."""

    weight: WeightName | VoteWeight = field(default="reward", metadata={"choices": weight_names})
