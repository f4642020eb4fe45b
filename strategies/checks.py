"""Checks of parameters that many strategies have in common."""


def at_least_one(**values: int) -> None:
    """Refuse a count below 1.

    Args:
        values: counts, by the name of the parameter.

    Raises:
        ValueError: naming the first that is too small.
    """
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1")
