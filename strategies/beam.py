"""Beam search guided by a process reward model, and its diverse variant."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .scores import Pick, Scores, check_pick
from .step_search import Candidate, SearchesSteps, Selection, StepSearch, check_search


@dataclass(slots=True)
class Beam(SearchesSteps):
    """Beam search over steps (as in Hugging Face's search-and-learn), without its barrier.

    After each step the best ``branches / width`` of the beams go on, each as ``width`` forks from
    the end of that step (see ``step_search``). A finished beam competes with its final score; while
    it is among the best, its place is taken, and with all places taken the search is over.

    Args:
        branches: beams (n).
        width: beams that each winner becomes (m, 4); with fewer beams than that there is one
            winner.
        delimiter: the text that ends a step; often a blank line.
        patience: tokens that a scored beam may generate beyond its step before the round is closed
            without the slower ones. Those are judged by their own scores later: below the round's
            cut they are cut as well.
        max_steps: rounds at most (40 in the source); then the beams left run to their ends.
        max_launches: branches ever launched, forks included.
        pick: the answer of the best final score, or the one with the largest sum of them (each
            clipped to [0, 1]).
        force_answers: whether beams without an answer are forced to give one at the call time, if
            no finished answer leads by then.

    The decision's confidence is its best score, clipped to [0, 1], or its share of the sum.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    width: int = 4
    delimiter: str = "\n\n"
    patience: int = 128
    max_steps: int = 40
    max_launches: int = 512
    pick: Pick = "score"
    force_answers: bool = True
    _search: StepSearch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_search(
            self.branches, self.delimiter, self.patience, self.max_steps, self.max_launches
        )
        _check_width(self.width)
        check_pick(self.pick)
        keep, groups = self._shape(max(1, self.branches // self.width))
        self._search = StepSearch(
            self.branches,
            Scores(self.pick, self.force_answers),
            Best(keep),
            self.delimiter,
            self.patience,
            self.max_steps,
            self.max_launches,
            groups=groups,
        )

    def _shape(self, winners: int) -> tuple[int, int]:
        """Beams that each group keeps, and groups that are searched apart from each other."""
        return winners, 1


@dataclass(slots=True)
class Dvts(Beam):
    """Diverse verifier tree search (Hugging Face's search-and-learn): ``branches / width``
    independent subtrees, each of which goes on from the best of its ``width`` beams. No subtree
    waits for another.

    Args:
        branches: beams of all subtrees (n); what is left over by ``width`` goes to the first ones.
        width: beams of one subtree (m, 4); with fewer beams than that there is one subtree.

    The other parameters, the decision's confidence and the errors are those of ``Beam``;
    ``patience`` is each subtree's own.
    """

    def _shape(self, winners: int) -> tuple[int, int]:
        return 1, winners


@dataclass(frozen=True, slots=True)
class Best:
    """Shares the room evenly among the best ``keep`` candidates, the better ones first."""

    keep: int

    def __call__(self, candidates: Sequence[Candidate], room: int) -> Selection:
        ranked = sorted(candidates, key=lambda c: c.score, reverse=True)  # stable: earlier first
        winners = ranked[: self.keep]
        share, rest = divmod(max(room, len(winners)), len(winners))
        places = {c.branch: share + (n < rest) for n, c in enumerate(winners)}
        return Selection(places, winners[-1].score)


def _check_width(width: int) -> None:
    if width < 1:
        raise ValueError("width must be at least 1")
