"""How far a trial is, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, SpinnerColumn, TimeElapsedColumn

from .console import progress_bar
from .trial import Told


@contextmanager
def trial_progress() -> Iterator[Told]:
    """Show a bar for each race while the block runs; nothing where there is no terminal."""
    columns = (SpinnerColumn(), "{task.description}", BarColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("", total=1.0)

        def told(title: str, share: float) -> None:
            bar.update(task, description=title, completed=share)

        yield told
