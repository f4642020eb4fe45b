"""Files that are there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from ...errors import BadRequest


class StagedFile:
    """A file beside the one that it is to become."""

    def __init__(self, target: Path, path: Path) -> None:
        self.target = target
        self.path = path
        """Where it is until then, in the same folder."""

    def write(self, text: str) -> None:
        """Replace what the file holds so far.

        Raises:
            BadRequest: it cannot be written.
        """
        try:
            self.path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise _unwritable(self.target, error) from error

    def publish(self) -> None:
        """Put the file in the target's place, in one step.

        Raises:
            BadRequest: that cannot be done.
        """
        try:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
            os.replace(self.path, self.target)
        except OSError as error:
            raise _unwritable(self.target, error) from error


@contextmanager
def staged(target: Path) -> Iterator[StagedFile]:
    """A file to fill; unless it is published, nothing of it is left behind.

    Raises:
        BadRequest: there is no such folder, or nothing can be written there.
    """
    try:
        with NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
        ) as made:
            path = Path(made.name)
        path.chmod(0o666 & ~_umask())
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield StagedFile(target, path)
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(target: Path, error: OSError) -> BadRequest:
    return BadRequest(f"cannot write {target} ({error.strerror or type(error).__name__})")
