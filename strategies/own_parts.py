"""Parts of a strategy that a user's own class can be: found by name, made with their parameters."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from frontrunner._plugins import Plugins, accept_callable

from .parameters import make, parameters_of

Part = TypeVar("Part")


class OwnParts(Plugins[Callable[..., Part]]):
    """Classes or functions that make parts of one kind."""

    def __init__(self, what: str, group: str, built_in: Collection[str], method: str) -> None:
        """
        Args:
            what: the kind, in error messages: ``stop rule``.
            group: of the entry points.
            built_in: names that cannot be taken.
            method: what each part must have.
        """
        accept = accept_callable(f"a class or a function that makes {what}s")
        super().__init__(what, group, built_in, accept)
        self._method = method

    def parameters(self, name: str) -> frozenset[str]:
        """Names of the parameters that a part has; empty for one that takes any.

        Raises:
            ValueError: there is none of this name, or it cannot be imported.
        """
        return frozenset(parameters_of(self.find(name)) or {})

    def make(self, name: str, parameters: Mapping[str, Any]) -> Part:
        """A part.

        Raises:
            ValueError: there is none of this name, it cannot be imported, or a parameter is not one
                of its own, of another type or out of range.
        """
        made = make(f"{self.what} {name}", self.find(name), parameters)
        if not callable(getattr(made, self._method, None)):
            raise ValueError(f"{name} is no {self.what}: it has no method {self._method}")
        return made
