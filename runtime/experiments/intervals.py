"""Intervals over questions drawn anew.

Questions are what varies: intervals are the 2.5 and 97.5 percentiles of a figure over questions
drawn anew (bootstrap), each question with all its races. The draws are the same for all figures,
so differences pair.
"""

from typing import TYPE_CHECKING, Any

from ..errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Bootstrap samples; the ends of an interval then vary by about a fiftieth of its width.
_RESAMPLES = 10_000
#: Those for quantiles, each of which sorts all values.
_FEWER = 1_000

Interval = tuple[float, float]


def numpy() -> Any:
    """The module.

    Raises:
        BadRequest: it is not installed.
    """
    try:
        import numpy as np
    except ImportError as error:
        raise BadRequest(
            "this needs numpy, which is not installed: pip install 'frontrunner[experiments]'"
        ) from error
    return np


class Bootstrap:
    """Intervals of figures that have a value for each of so many questions."""

    def __init__(self, questions: int) -> None:
        np = numpy()
        rng = np.random.default_rng(0)
        counts = rng.multinomial(questions, [1 / questions] * questions, size=_RESAMPLES)
        self._weights: Array = counts / questions  # (resamples, questions), each row sums to 1

    def mean(self, values: "Array") -> Interval:
        """Of the mean of ``values``, shape (questions,)."""
        low, high = self._interval(self._weights @ values)
        return max(low, float(values.min())), min(high, float(values.max()))  # but for rounding

    def ratio(self, over: "Array", under: "Array") -> Interval:
        """Of the ratio of two means, each of shape (questions,); infinite where the second may be
        0."""
        np = numpy()
        below = self._weights @ under
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(below == 0.0, np.inf, (self._weights @ over) / below)
        low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
        return float(low), float(high)

    def quantile(self, values: "Array", q: float) -> Interval:
        """Of a quantile of ``values``, shape (questions, races of each)."""
        np = numpy()
        order = np.argsort(values, axis=None)
        of_question = np.repeat(np.arange(values.shape[0]), values.shape[1])[order]
        mass = np.cumsum(self._weights[:_FEWER, of_question], axis=1)
        place = np.argmax(mass >= q * mass[:, -1:] - 1e-12, axis=1)
        return self._interval(values.ravel()[order][place])

    def _interval(self, resampled: "Array") -> Interval:
        low, high = numpy().quantile(resampled, [0.025, 0.975])
        return float(low), float(high)
