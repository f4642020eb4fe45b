"""Least squares with coefficients that cannot be negative, for times that cannot be."""

from collections.abc import Iterable, Sequence
from operator import mul

#: Added to the diagonal, relative to it: columns that say the same share what they explain.
_RIDGE = 1e-10
#: A coefficient enters only if it takes this share of the squared target off.
_TOLERANCE = 1e-12

Matrix = Sequence[Sequence[float]]


def nonnegative_least_squares(rows: Matrix, targets: Sequence[float]) -> list[float]:
    """``x >= 0`` that minimises the squared length of ``rows @ x - targets``.

    Lawson and Hanson's active set (Solving Least Squares Problems, 1974, chapter 23) on the normal
    equations, as Bro and de Jong do it (J. Chemometrics 11, 1997). For a handful of columns.

    Args:
        rows: (num_points, num_columns).
        targets: (num_points,).

    Raises:
        ValueError: there are no rows, or they do not match the targets.
    """
    if not rows or len(rows) != len(targets):
        raise ValueError("least squares need as many rows as targets, and at least one")
    width = len(rows[0])
    gram, right, scales = _normal_equations([*zip(*rows, strict=True)], targets)
    enough = _TOLERANCE * (sum(t * t for t in targets) or 1.0)
    x = [0.0] * width
    passive: list[int] = []
    for _ in range(3 * width + 3):
        slopes = [
            right[i] - sum(g * v for g, v in zip(gram[i], x, strict=True)) for i in range(width)
        ]
        idle = [i for i in range(width) if i not in passive and slopes[i] * slopes[i] > enough]
        idle = [i for i in idle if slopes[i] > 0.0]
        if not idle:
            break
        passive.append(max(idle, key=slopes.__getitem__))
        while passive:
            solved = _solve(
                [[gram[i][j] for j in passive] for i in passive], [right[i] for i in passive]
            )
            if min(solved) > 0.0:
                x = [0.0] * width
                for i, value in zip(passive, solved, strict=True):
                    x[i] = value
                break
            # Go towards the solution until the first coefficient is zero, and let that one go.
            step = min(
                x[i] / (x[i] - value)
                for i, value in zip(passive, solved, strict=True)
                if value <= 0.0
            )
            for i, value in zip(passive, solved, strict=True):
                x[i] += step * (value - x[i])
            kept = [i for i in passive if x[i] > 1e-15]
            for i in set(passive) - set(kept):
                x[i] = 0.0
            passive = kept
    return [value / scale for value, scale in zip(x, scales, strict=True)]


def _normal_equations(
    columns: Sequence[Sequence[float]], targets: Sequence[float]
) -> tuple[Matrix, list[float], list[float]]:
    """Both sides of them, each column divided by its scale, and the scales.

    Columns of very different units would make them worthless. Fits of step times, hundreds a plan,
    spend most of their time here.
    """
    width = len(columns)
    scales = [_dot(column, column) ** 0.5 or 1.0 for column in columns]
    gram = [[0.0] * width for _ in range(width)]
    for i in range(width):
        for j in range(i + 1):
            gram[i][j] = gram[j][i] = _dot(columns[i], columns[j]) / (scales[i] * scales[j])
        gram[i][i] += _RIDGE
    right = [_dot(column, targets) / scale for column, scale in zip(columns, scales, strict=True)]
    return gram, right, scales


def _dot(a: Iterable[float], b: Iterable[float]) -> float:
    return sum(map(mul, a, b))


def _solve(matrix: Matrix, right: Sequence[float]) -> list[float]:
    """Gauss's elimination with pivots; the matrix is positive definite, thanks to the ridge."""
    size = len(right)
    work = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(work[r][i]))
        work[i], work[pivot] = work[pivot], work[i]
        for r in range(i + 1, size):
            factor = work[r][i] / work[i][i]
            for c in range(i, size + 1):
                work[r][c] -= factor * work[i][c]
    solution = [0.0] * size
    for i in reversed(range(size)):
        rest = sum(work[i][j] * solution[j] for j in range(i + 1, size))
        solution[i] = (work[i][size] - rest) / work[i][i]
    return solution
