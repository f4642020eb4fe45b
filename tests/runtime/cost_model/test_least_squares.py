import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.cost_model.least_squares import nonnegative_least_squares

numbers = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))
problems = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.tuples(st.lists(numbers, min_size=width, max_size=width), numbers),
        min_size=1,
        max_size=8,
    )
)


def distance(rows: list[list[float]], targets: list[float], x: list[float]) -> float:
    return sum(
        (sum(a * b for a, b in zip(row, x, strict=True)) - t) ** 2
        for row, t in zip(rows, targets, strict=True)
    )


@given(problems)
@settings(max_examples=examples(1_000))
def test_nothing_nearby_is_better(points: list[tuple[list[float], float]]) -> None:
    rows, targets = [row for row, _ in points], [target for _, target in points]
    x = nonnegative_least_squares(rows, targets)
    assert all(value >= 0.0 for value in x)
    found = distance(rows, targets, x)
    scale = sum(t * t for t in targets) or 1.0
    for i in range(len(x)):
        for change in (1e-3, -1e-3, 0.1, -0.1, 1.0, -x[i]):
            other = [*x]
            other[i] = max(0.0, x[i] + change)
            # The ridge that keeps it solvable costs a little, where columns say the same.
            assert found <= distance(rows, targets, other) + 1e-6 * scale


def test_units_do_not_matter() -> None:
    rows = [[1.0, 1e-9 * n, 1e6 * n * n] for n in range(1, 9)]
    truth = [0.5, 3e7, 2e-8]
    targets = [sum(a * b for a, b in zip(row, truth, strict=True)) for row in rows]
    assert nonnegative_least_squares(rows, targets) == pytest.approx(truth, rel=1e-4)


def test_what_would_be_negative_is_zero() -> None:
    rows = [[1.0, float(n)] for n in range(5)]
    slope = nonnegative_least_squares(rows, [5.0 - n for n in range(5)])
    assert slope == pytest.approx([3.0, 0.0])


@pytest.mark.parametrize(("rows", "targets"), [([], []), ([[1.0]], [1.0, 2.0])])
def test_rows_and_targets_must_match(rows: list[list[float]], targets: list[float]) -> None:
    with pytest.raises(ValueError, match="as many rows as targets"):
        nonnegative_least_squares(rows, targets)
