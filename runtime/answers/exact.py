"""Answers that are the same if their keys are: no algebra, no worker."""

from collections.abc import Callable
from typing import Protocol


class Clusters(Protocol):
    """The classes of equal answers of one race; ``AnswerClusters`` is the other one."""

    async def assign(self, answer: str) -> str:
        """The representative of an answer's class."""
        ...

    def assign_now(self, answer: str) -> str:
        """The same, without waiting for anything."""
        ...


class ExactClusters:
    """Classes of answers with equal keys; the first answer of each class represents it."""

    def __init__(self, key: Callable[[str], str]) -> None:
        self._key = key
        self._first: dict[str, str] = {}

    async def assign(self, answer: str) -> str:
        return self.assign_now(answer)

    def assign_now(self, answer: str) -> str:
        try:
            key = self._key(answer)
        except Exception:  # noqa: BLE001 - a user's key may fail: the spelling is left
            key = answer
        return self._first.setdefault(key, answer)
