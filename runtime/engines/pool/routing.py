"""Which member of a pool gets a request. It decides only; nothing is awaited here.

A race has a home: the member that was least loaded when its first request came, by what a token
takes there as it was measured, not by the number of requests. All its requests go there, since its
prefix is cached there. Only a home that is full sends a new branch elsewhere; what continues a
branch (its forced answer, a probe, a fork) goes to the member that has the branch, full or not.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from zlib import crc32

import anyio

from ..protocol import Generation
from .member import Member

#: Seconds for which a race without a request in an engine is remembered: its next one may come.
_REMEMBERED = 60.0
#: Seconds within which a session that has brought a token is well.
_JUST_NOW = 0.3
#: What a token is taken to need before any was measured, in seconds; it only compares members.
_UNKNOWN = 0.02


@dataclass(slots=True)
class _Race:
    home: Member
    branches: dict[int, Member] = field(default_factory=dict[int, Member])
    used: float = 0.0  # when it had its last request (anyio clock)
    live: int = 0  # requests that run
    session: str = ""  # under which its home's router sends it to a replica; empty: its own name
    left: set[str] = field(default_factory=set[str])  # sessions that were lost


class Router:
    """Sends each request to a member."""

    def __init__(self) -> None:
        self._races: OrderedDict[str, _Race] = OrderedDict()  # the one used last comes last

    @property
    def races(self) -> int:
        """Races that are remembered."""
        return len(self._races)

    def place(
        self,
        request: Generation,
        members: Sequence[Member],
        without: Sequence[Member] = (),
    ) -> Member | None:
        """The member that is to run ``request``, which counts as begun there; None: none can.

        Args:
            members: of the pool.
            without: members that have lost the request already.
        """
        usable = [m for m in members if m.serves and m not in without]
        if not usable:
            # One that has stalled may yet go on; what refuses is certain to.
            usable = [m for m in members if m.may_serve and m not in without]
        if not usable:
            return None
        if not request.race:
            return least_loaded(_taking_new(usable), members)
        race = self._races.get(request.race)
        if race is None:
            self._forget_old()
            race = self._races[request.race] = _Race(least_loaded(_taking_new(usable), members))
        chosen = self._choose(request, race, usable, members)
        race.branches[request.branch] = chosen
        race.used = anyio.current_time()
        race.live += 1
        self._races.move_to_end(request.race)
        return chosen

    def ended(self, request: Generation) -> None:
        """A request that was placed runs no more."""
        race = self._races.get(request.race)
        if race is not None:
            race.live -= 1
            race.used = anyio.current_time()
            self._races.move_to_end(request.race)

    def session(self, request: Generation) -> str:
        """Under which name a request is sent to a member of several replicas; empty: its race's."""
        race = self._races.get(request.race)
        return race.session if race is not None else ""

    def lost(self, request: Generation, session: str, heard: Mapping[str, float]) -> None:
        """What ran under a session is lost: the race goes on under another one, best that of a race
        which is just getting tokens, since its replica serves. Its branches do not leave a replica
        one by one.

        Args:
            heard: when each session of its member brought its last token (anyio clock).
        """
        race = self._races.get(request.race)
        if race is None or race.session != session:
            return
        race.left.add(session or request.race)
        since = anyio.current_time() - _JUST_NOW
        well = sorted(name for name, at in heard.items() if at >= since and name not in race.left)
        # Not all that is lost at once goes to the same place.
        chosen = well[crc32(request.race.encode()) % len(well)] if well else ""
        race.session = chosen or f"{request.race}-{len(race.left)}"

    def moved(self, request: Generation, member: Member) -> None:
        """A request that was placed runs on ``member`` after all."""
        if (race := self._races.get(request.race)) is not None:
            race.branches[request.branch] = member

    def left(self, member: Member) -> None:
        """``member`` belongs to the pool no more."""
        for name, race in list(self._races.items()):
            race.branches = {b: m for b, m in race.branches.items() if m is not member}
            if race.home is member and not race.branches and not race.live:
                del self._races[name]

    def _choose(
        self,
        request: Generation,
        race: _Race,
        usable: Sequence[Member],
        members: Sequence[Member],
    ) -> Member:
        own = race.branches.get(request.branch)
        if own is not None and own in usable:
            return own
        if race.home not in usable:
            # All its branches move to the same place, whichever comes first.
            race.home = least_loaded(_taking_new(usable), members)
        parent = race.branches.get(request.parent) if request.parent is not None else None
        for known in (parent, race.home):
            if known is not None and known in usable and known.free > 0:
                return known
        spare = [m for m in _taking_new(usable) if m.free > 0]
        return least_loaded(spare, members) if spare else race.home

    def _forget_old(self) -> None:
        now = anyio.current_time()
        for name, race in list(self._races.items()):
            if now - race.used < _REMEMBERED:
                return  # and so were all that follow
            if not race.live:
                del self._races[name]


def _taking_new(usable: Sequence[Member]) -> Sequence[Member]:
    """Of the members, those that take new races; all, if there is no other way."""
    return [m for m in usable if m.takes_new] or usable


def least_loaded(usable: Sequence[Member], members: Sequence[Member]) -> Member:
    """Where a branch gets its tokens soonest.

    A token's measured time says how loaded a member is, whatever it is loaded with; the share of
    its slots that are taken says what the requests sent in this moment will add, which no
    measurement shows yet. A member without a free slot comes last.
    """
    usual = usual_pace(members)

    def cost(member: Member) -> tuple[bool, float]:
        expected = member.pace.expected(usual, member.silence)
        return member.free <= 0, expected * (1 + len(member.live) / member.slots)

    return min(usable, key=cost)


def usual_pace(members: Sequence[Member]) -> float:
    """Seconds for a token on a member of which nothing is known."""
    known = [m.pace.seconds for m in members if m.pace.seconds is not None]
    return median(known) if known else _UNKNOWN
