"""How long one step of an engine takes: a roofline with a constant, fitted to measured steps.

A decode step reads the weights and the KV cache of every branch, or is held up by arithmetic,
whichever takes longer (Williams et al., Roofline, CACM 52(4), 2009). Beside that are the draft
model's own steps, what each branch costs outside the model (scheduling, sampling, its output), and
what each step costs whatever is in it. TurboSpec (arXiv 2406.14066) fits the same without the
maximum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from statistics import median

from .least_squares import nonnegative_least_squares

#: Rounds of assigning points to a side of the roof and fitting each side.
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class StepPoint:
    """A measured step."""

    batch: int  # branches
    context: float  # tokens of each, on the average
    k: int  # draft tokens of each
    seconds: float  # > 0


@dataclass(frozen=True, slots=True)
class StepTime:
    """Coefficients in seconds, none negative. For ``b`` branches of ``c`` tokens with ``k`` draft
    tokens each, and ``p`` prompt tokens taken in beside them, a step takes::

        constant + row·b + max(weights + context·b·c, token·(b·(k+1) + p))
            + k·(draft + draft_token·b) + (speculation + speculation_row·b if k > 0)
    """

    constant: float = 0.0
    weights: float = 0.0
    """Reading the weights once."""
    context: float = 0.0
    """Reading the keys and values of one token."""
    row: float = 0.0
    """A branch, outside the model."""
    token: float = 0.0
    """The arithmetic of one token."""
    draft: float = 0.0
    """A step of what drafts."""
    draft_token: float = 0.0
    """A drafted token."""
    speculation: float = 0.0
    """Speculating at all, with however few draft tokens: taking the last step's tokens into what
    drafts, the verifying sampler, the look-ahead of the scheduler that is lost."""
    speculation_row: float = 0.0
    """The same for each branch."""

    def seconds(self, batch: float, context: float, k: float = 0, prefill: float = 0) -> float:
        """How long a step takes."""
        memory = self.weights + self.context * batch * context
        compute = self.token * (batch * (k + 1) + prefill)
        roof = memory if memory > compute else compute
        seconds = self.constant + self.row * batch + roof
        if k > 0:
            seconds += k * (self.draft + self.draft_token * batch)
            seconds += self.speculation + self.speculation_row * batch
        return seconds

    def scaled(self, factor: float) -> "StepTime":
        """Every step ``factor`` times as long."""
        return StepTime(*(factor * value for value in astuple(self)))

    def knee(self, context: float, k: int = 0, *, most: int = 4096) -> int | None:
        """The smallest batch whose step is twice as long as that of one branch: from there on
        a further branch mostly takes its time from the others. None: none up to ``most``."""
        alone = self.seconds(1, context, k)
        if self.seconds(most, context, k) < 2 * alone:
            return None
        low, high = 1, most
        while high - low > 1:
            middle = (low + high) // 2
            if self.seconds(middle, context, k) < 2 * alone:
                low = middle
            else:
                high = middle
        return high


def fit_step_time(points: Sequence[StepPoint]) -> StepTime:
    """The step time that fits ``points`` best, by relative error.

    Which side of the roof a point lies on follows from the coefficients, so both are found in
    turns, from each split of the points by their number of tokens.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("a step time needs at least one measured step")
    sizes = sorted({p.batch * (p.k + 1) for p in points})
    best, least = StepTime(), float("inf")
    for most in (float("inf"), *sizes[:-1]):
        computing = [p.batch * (p.k + 1) > most for p in points]
        for _ in range(_ROUNDS):
            model = _fit_sides(points, computing)
            error = sum(
                (model.seconds(p.batch, p.context, p.k) / p.seconds - 1) ** 2 for p in points
            )
            if error < least:
                best, least = model, error
            again = [
                model.token * p.batch * (p.k + 1)
                > model.weights + model.context * p.batch * p.context
                for p in points
            ]
            if again == computing:
                break
            computing = again
    return best


def cross_validated_errors(points: Sequence[StepPoint], folds: int = 5) -> list[float]:
    """Relative errors of the points, each predicted by a fit to those of the other folds; in the
    order of the points. Too few points for that (at most as many as folds): empty."""
    if len(points) <= folds:
        return []
    errors = [0.0] * len(points)
    for fold in range(folds):
        model = fit_step_time([p for i, p in enumerate(points) if i % folds != fold])
        for i in range(fold, len(points), folds):
            p = points[i]
            errors[i] = abs(model.seconds(p.batch, p.context, p.k) / p.seconds - 1)
    return errors


def median_error(model: StepTime, points: Iterable[StepPoint]) -> float:
    """Of the model's relative errors on ``points`` the median."""
    return median(abs(model.seconds(p.batch, p.context, p.k) / p.seconds - 1) for p in points)


def _fit_sides(points: Sequence[StepPoint], computing: Sequence[bool]) -> StepTime:
    roofed = any(computing)
    rows, ones = list[list[float]](), [1.0] * len(points)
    for p, compute in zip(points, computing, strict=True):
        row = [
            1.0,
            # Without a point beyond the roof nothing tells the weights from the constant.
            1.0 if roofed and not compute else 0.0,
            0.0 if compute else p.batch * p.context,
            float(p.batch),
            float(p.batch * (p.k + 1)) if compute else 0.0,
            float(p.k),
            float(p.k * p.batch),
            float(p.k > 0),
            float(p.batch if p.k > 0 else 0),
        ]
        rows.append([value / p.seconds for value in row])
    return StepTime(*nonnegative_least_squares(rows, ones))
