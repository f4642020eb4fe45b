"""matplotlib, for those who draw: an extra, and for files only."""

from typing import Any

from ..errors import BadRequest


def pyplot() -> Any:
    """The module ``matplotlib.pyplot``, whatever display there is.

    Raises:
        BadRequest: it is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BadRequest(
            "plots need matplotlib, which is not installed: pip install 'frontrunner[experiments]'"
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt
