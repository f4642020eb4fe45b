"""Paths as configs name them, whatever they are."""

from pathlib import Path


def expanded(path: str) -> Path:
    """With ``~`` in its place; as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def exists(path: Path) -> bool:
    """Whether there is such a file; there is none whose name is too long, or that is forbidden."""
    try:
        return path.exists()
    except OSError:
        return False
