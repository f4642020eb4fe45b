"""Options that take several numbers, as in ``8,16``."""

from math import isfinite

from ...errors import BadRequest


def numbers(option: str, text: str, *, whole: bool = False) -> list[float]:
    """The positive numbers in ``text``, each once.

    Args:
        whole: whether they must be whole.

    Raises:
        BadRequest: one is none, or is not above 0.
    """
    values: list[float] = []
    for part in text.split(","):
        try:
            value = float(int(part)) if whole else float(part)
        except ValueError:
            value = 0.0
        if not (isfinite(value) and value > 0):
            kind, example = ("whole numbers", "8,16") if whole else ("numbers", "0.5,2")
            raise BadRequest(
                f"{option}: {kind} above 0 are expected, as in {example}, not {part.strip()!r}"
            )
        values.append(value)
    return list(dict.fromkeys(values))
