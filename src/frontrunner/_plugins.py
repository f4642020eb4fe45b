"""Strategies, stop rules, extractors and reward models of a user's own, found by name.

A name stands for what was registered under it, for what an installed package offers under it in an
entry point, or is a reference, ``package.module:attribute``. Entry points are imported when they
are first asked for, so that one which cannot be imported harms nobody else. A reference is
imported by ``Plugins.load`` alone, which is for names that the config or the command line gives:
the name in a request must never make a server import a module.
"""

import re
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ._suggestions import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_REFERENCE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
#: How a package offers something of its own, and how a name refers to it without that.
_FORM: Final = "package.module:attribute"


def is_reference(name: str) -> bool:
    """Whether ``name`` is of the form ``package.module:attribute``."""
    return _REFERENCE.fullmatch(name) is not None


def accept_callable(expected: str) -> Callable[[Any], Any]:
    """What ``Plugins`` accept where all that is known beforehand is that it can be called.

    Args:
        expected: what it should be, in the error: ``a class or a function that makes strategies``.
    """

    def accept(part: Any) -> Any:
        if not callable(part):
            raise TypeError(f"{expected} is expected, not {part!r}")
        return part

    return accept


class Plugins(Generic[T]):
    """What users have added of one kind; it does not hold what is built in."""

    def __init__(
        self,
        what: str,
        group: str,
        built_in: Collection[str],
        accept: Callable[[Any], T],
        *,
        key: str | None = None,
    ) -> None:
        """
        Args:
            what: the kind, in error messages: ``strategy``.
            group: of the entry points: ``frontrunner.strategies``.
            built_in: names that cannot be taken.
            accept: makes one of the kind of what was registered or imported; raises ``TypeError``
                with what it should have been.
            key: what the name is the value of, in error messages; None: ``what``.
        """
        self.registered: dict[str, T] = {}
        self.what, self._group, self._built_in = what, group, built_in
        self._accept = accept
        self._key = key or what
        self._imported: dict[tuple[str, str], T] = {}
        self._not_carried: dict[str, str] = {}

    def names(self) -> tuple[str, ...]:
        """All names that can be given, those that are built in first; nothing is imported."""
        return tuple(dict.fromkeys([*self._built_in, *self.registered, *self._offers()]))

    def register(self, name: str, part: Any) -> None:
        """Make ``part`` available under ``name`` in this process.

        Raises:
            ValueError: if the name is taken.
            TypeError: if it is nothing of this kind.
        """
        if name in self.names():
            raise ValueError(f"{self.what} {name!r} is registered already")
        self.registered[name] = self._accept(part)

    def load(self, name: str) -> None:
        """Import what ``name`` refers to if it is a reference; from then on it is known by it.

        Call it with a name that the config or the command line gives, never with a request's.

        Raises:
            ValueError: it cannot be imported, or is nothing of this kind.
        """
        if name in self.registered or not is_reference(name):
            return
        self.registered[name] = self._imported_from(name, f"{self.what} {name!r}")

    def find(self, name: str) -> T:
        """
        Raises:
            ValueError: there is none of this name, or the package that offers it is broken.
        """
        if name in self.registered:
            return self.registered[name]
        if name in self._not_carried:
            raise ValueError(self._not_carried[name])
        offers = self._offers().get(name)
        if offers is None:
            raise ValueError(self._unknown(name))
        if len({offer.value for offer in offers}) > 1:
            packages = ", ".join(sorted(f"{_package(o)} ({o.value})" for o in offers))
            raise ValueError(
                f"{self.what} {name!r} is offered by several packages: {packages}; name the one "
                f"that is meant in the form {_FORM}"
            )
        offer = offers[0]
        key = (offer.name, offer.value)
        if key not in self._imported:
            told = f"{self.what} {name!r} of the package {_package(offer)}"
            self._imported[key] = self._imported_from(offer.value, told)
        return self._imported[key]

    # ── another process ───────────────────────────────────────────────────────────────────────

    def carried(self, needed: Collection[str]) -> dict[str, bytes]:
        """What was registered, for ``receive`` in a process that has not seen the registrations.

        Args:
            needed: names that this process is going to ask for.

        Raises:
            ValueError: one of those cannot be sent.
        """
        import pickle  # few programs have another process

        sent: dict[str, bytes] = {}
        for name, part in self.registered.items():
            try:
                sent[name] = pickle.dumps(part)
            except Exception as error:  # pickle raises what it likes
                if name in needed:
                    raise ValueError(self._cannot_send(name, error)) from error
        return sent

    def receive(self, sent: Mapping[str, bytes]) -> None:
        """Register what another process has ``carried``. What cannot be read here is an error only
        when it is asked for."""
        import pickle

        for name, pickled in sent.items():
            if name in self.registered:
                continue
            try:
                self.registered[name] = pickle.loads(pickled)
            except Exception as error:  # noqa: BLE001 - as above
                self._not_carried[name] = self._cannot_send(name, error)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _imported_from(self, reference: str, told: str) -> T:
        module, _, path = reference.partition(":")
        try:
            part: Any = import_module(module)
            for attribute in path.split("."):
                part = getattr(part, attribute)
        except Exception as error:  # a user's module may raise anything
            raise ValueError(f"{told} cannot be imported: {_why(error, module)}") from error
        try:
            return self._accept(part)
        except TypeError as error:
            raise ValueError(f"{told}: {error}") from error

    def _offers(self) -> Mapping[str, list["EntryPoint"]]:
        return _offered(self._group, tuple(self._built_in), tuple(sys.path))

    def _unknown(self, name: str) -> str:
        known = f"known: {', '.join(self.names())}"
        if not is_reference(name):
            slip = did_you_mean(name, self.names())
            return f"unknown {self._key} {name!r}; {known}{slip}"
        return (
            f"unknown {self._key} {name!r}: a name of the form {_FORM} is imported where the "
            "config or the command line gives it, not where a request does; name it there, or "
            f"register it in your program; {known}"
        )

    def _cannot_send(self, name: str, error: Exception) -> str:
        return (
            f"{self.what} {name!r} is registered with something that another process cannot "
            f"import ({type(error).__name__}: {error}): register a class or a function of a "
            f"module, name it in the form {_FORM}, or use one process alone"
        )


@lru_cache(maxsize=64)
def _offered(
    group: str, built_in: tuple[str, ...], path: tuple[str, ...]
) -> Mapping[str, list["EntryPoint"]]:
    """The entry points of installed packages by name. Reading the metadata of all packages takes
    some 50 ms; ``path`` is what it depends on."""
    from importlib.metadata import entry_points  # it takes its time as well

    offers: dict[str, list[EntryPoint]] = {}
    for offer in entry_points(group=group):
        if offer.name in built_in:
            warnings.warn(
                f"the package {_package(offer)} offers {offer.name!r} in {group}, which is built "
                f"in: only {offer.value} names it",
                RuntimeWarning,
                stacklevel=2,
            )
        else:
            offers.setdefault(offer.name, []).append(offer)
    return offers


def _package(offer: "EntryPoint") -> str:
    return offer.dist.name if offer.dist is not None else "?"


def _why(error: Exception, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return (
            f"there is no module {error.name!r}; install its package, or put its folder on "
            "PYTHONPATH"
        )
    return f"{type(error).__name__}: {error}"
