"""Files that are there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from tempfile import NamedTemporaryFile

from ..errors import BadRequest


class StagedFile:
    """A file beside the one that it is to become; beside none for what is no file."""

    def __init__(self, target: Path, path: Path) -> None:
        self.target = target
        self.path = path
        """Where it is until then, in the same folder."""

    def write(self, *content: str | bytes) -> None:
        """Replace what the file holds so far by pieces of ``content``; text is written as UTF-8.

        Raises:
            BadRequest: it cannot be written.
        """
        try:
            with open(self.path, "wb") as file:
                file.writelines(
                    piece.encode() if isinstance(piece, str) else piece for piece in content
                )
        except OSError as error:
            raise _unwritable(self.target, error) from error

    def publish(self) -> None:
        """Put the file in the target's place, in one step; where a link points to, and into what is
        no file (a pipe, ``/dev/stdout``), which must stay what it is.

        Raises:
            BadRequest: that cannot be done.
        """
        try:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
                if _takes_a_stream(self.target):
                    with open(self.target, "wb") as stream:
                        copyfileobj(file, stream)
                    return
            os.replace(self.path, self.target.resolve())
        except OSError as error:
            raise _unwritable(self.target, error) from error


@contextmanager
def staged(target: Path) -> Iterator[StagedFile]:
    """A file to fill; unless it is published, nothing of it is left behind.

    Raises:
        BadRequest: there is no such folder, or nothing can be written there.
    """
    try:
        folder = None if _takes_a_stream(target) else target.resolve().parent
        with NamedTemporaryFile(
            dir=folder, prefix=f".{target.name}.", suffix=".part", delete=False
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


def write_whole(target: Path, *content: str | bytes) -> None:
    """Replace a file at once: a reader never finds half of it.

    Raises:
        BadRequest: it cannot be written.
    """
    with staged(target) as file:
        file.write(*content)
        file.publish()


def _takes_a_stream(target: Path) -> bool:
    return target.exists() and not (target.is_file() or target.is_dir())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(target: Path, error: OSError) -> BadRequest:
    return BadRequest(f"cannot write {target} ({error.strerror or type(error).__name__})")
