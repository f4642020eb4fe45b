"""Who may race now: the engine's slots, shared among races.

The engine runs ``capacity`` requests at a time. A race wants a number of branches and can do with a
minimum. It is admitted with what is free, if that is no fewer than its minimum and nobody with an
earlier deadline waits; else it waits in a bounded queue, the earliest deadline first. Nobody
overtakes: a race that can do with less would else keep one that needs more waiting for ever. So
each waits for races with earlier deadlines only, and no longer than until its own.

Slots come back one by one, as branches end, and go on to those who wait in the same moment (see
``racing.slots`` for what counts). ``branches_to_grant`` alone says how many a race gets of what is
free.

Refused with ``Overloaded`` is a race for which the queue has no place, and one whose wait would not
end in time by what slots have taken to come back of late; at once, both. One that waited in vain
is refused when too little time is left for it to say anything.

A race joins others that wait only if it is expected to begin while it has time to think as well:
well before half of the time is over in which it could begin when it came; and only if none of those
behind it must then wait for longer. Otherwise overload would turn all races into such that have
time for forced answers only, and refuse the others at the end of their waits.
"""

from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Self

import anyio

from ..common.loop_clock import loop_time
from ..errors import EngineClosed, Overloaded

#: Slots given back sooner (seconds) were never used: the race launched fewer branches.
_UNUSED = 0.001
#: Slots given back lately whose mean holding time is what is expected of the next.
_LATELY = 256
#: Of the time in which a race could begin, the part that it should wait for at most.
_WAIT_SHARE = 0.5
#: Of that part, what it is expected to wait for at most when it joins them: waits vary.
_JOINING = 0.7
#: Nobody is told to come back sooner (seconds).
_SOONEST = 0.1
#: When to come back if nobody knows (seconds).
_UNKNOWN = 5.0


def branches_to_grant(wanted: int, minimum: int, free: int, waiting: int) -> int:
    """How many branches the race that is first in the queue is granted now; 0: it must wait.

    With nobody behind it, all it wants of the free slots. With others, its share of them, the free
    slots evenly divided among all that wait, but never fewer than its minimum.

    Args:
        wanted: branches asked for.
        minimum: the fewest that it can do with, at least 1 and at most ``wanted``.
        free: slots that nobody holds.
        waiting: races that wait behind it.
    """
    if free < minimum:
        return 0
    return min(wanted, max(minimum, free // (waiting + 1)))


def expected_wait(
    needed: int, holding: float | None, holders: Sequence[tuple[float, int]]
) -> float:
    """Seconds until ``needed`` slots have been given back.

    By Little's law, ``held`` slots of a mean holding time T come free at the rate held / T. And a
    race ends by its deadline, so the wait is never longer than until those with the earliest
    deadlines, ``needed`` slots together, are over.

    Args:
        needed: slots; none are waited for if it is not positive.
        holding: T, seconds; None: not known, then no place comes back before its race's deadline.
        holders: seconds until the deadline, and slots, of each race that holds any.
    """
    if needed <= 0:
        return 0.0
    held, over = 0, inf
    for left, slots in sorted(holders):
        held += slots
        if held >= needed:
            over = min(over, max(0.0, left))
    if held == 0:
        return inf
    if holding is None:
        holding = max(0.0, *(left for left, _ in holders))
    return min(over, needed * holding / held)


@dataclass(frozen=True, slots=True)
class AdmissionLoad:
    """A snapshot of who holds slots and who waits."""

    capacity: int = 0  # slots
    free: int = 0  # of these, held by nobody
    racing: int = 0  # races admitted and not over
    waiting: int = 0  # races

    @property
    def granted(self) -> int:
        """Slots that races hold."""
        return self.capacity - self.free


class Admission:
    """Shares the slots of one engine. All in one event loop."""

    def __init__(self, capacity: int, queue: int) -> None:
        """
        Args:
            capacity: requests that the engine runs at a time.
            queue: races that may wait.
        """
        self._capacity = self._free = capacity
        self._queue = queue
        self._waiting: list[_Waiting] = []  # in the order in which they are served
        self._arrivals = 0
        self._leases: set[Lease] = set()
        self._holding: deque[float] = deque(maxlen=_LATELY)  # seconds
        self._closed = False

    async def admit(
        self,
        wanted: int,
        minimum: int,
        *,
        deadline: float,
        latest: float | None = None,
        name: str = "",
    ) -> "Lease":
        """Wait for at least ``minimum`` and at most ``wanted`` slots; close what is returned.

        Args:
            deadline: of the race, which is its order in the queue (anyio clock, seconds).
            latest: when it is too late to begin (likewise); by default ``deadline``. A race that
                need not wait is admitted whatever it says.
            name: for ``shorten_deadline``.

        Raises:
            Overloaded: it would wait in vain, or did; or the queue is full.
            EngineClosed: ``close`` was called.

        Cancelling it leaves nothing behind.
        """
        began = loop_time()
        waiting = _Waiting(
            (deadline, self._arrivals),
            wanted,
            minimum,
            deadline if latest is None else latest,
            name,
        )
        waiting.fair = began + _WAIT_SHARE * (waiting.latest - began)
        self._arrivals += 1
        lease = None
        insort(self._waiting, waiting, key=_by_deadline)
        try:
            lease = self._grant(waiting)
            if lease is None and not self._closed:
                self._refuse_if_vain(waiting)
                waiting.patience.deadline = waiting.latest
                with waiting.patience:
                    while lease is None and not self._closed:
                        await waiting.woken.wait()
                        waiting.woken = anyio.Event()
                        lease = self._grant(waiting)
        finally:
            if lease is None:
                self._waiting.remove(waiting)
            self._wake_first()  # whose turn it may be now
        if lease is not None:
            lease.waited = loop_time() - began
            return lease
        if self._closed:
            raise EngineClosed("the runtime was closed before the race could begin")
        raise self._overloaded(waiting, "no branches became free in time")

    def shorten_deadline(self, name: str, deadline: float) -> None:
        """Bring forward the deadline (anyio clock, seconds) of a race that waits, if there is one
        of that name: it waits less long, and begins with that deadline."""
        for waiting in self._waiting:
            earlier = waiting.order[0] - deadline
            if waiting.name == name and earlier > 0:
                waiting.order = (deadline, waiting.order[1])
                waiting.latest -= earlier
                waiting.fair = min(waiting.fair, waiting.latest)
                waiting.patience.deadline = waiting.latest
        self._waiting.sort(key=_by_deadline)
        self._wake_first()

    def resize(self, capacity: int) -> None:
        """The engine runs ``capacity`` requests at a time from now on. Races that hold more than
        there are keep them; others begin once enough came back."""
        self._free += capacity - self._capacity
        self._capacity = capacity
        self._wake_first()

    def load(self) -> AdmissionLoad:
        return AdmissionLoad(
            self._capacity, max(0, self._free), len(self._leases), len(self._waiting)
        )

    def close(self) -> None:
        """Admit nobody any more; those who wait are told so. Races admitted go on."""
        self._closed = True
        for waiting in self._waiting:
            waiting.woken.set()

    def _grant(self, waiting: "_Waiting") -> "Lease | None":
        """Admit ``waiting``, if it is its turn and there are slots enough."""
        if self._closed or self._waiting[0] is not waiting:
            return None
        behind = len(self._waiting) - 1
        count = branches_to_grant(waiting.wanted, waiting.minimum, self._free, behind)
        if count == 0:
            return None
        del self._waiting[0]
        lease = Lease(self, count, waiting.order[0])
        self._leases.add(lease)
        return lease

    def _wake_first(self) -> None:
        """Let the head of the queue look whether it can be admitted. It takes its slots only when
        its task runs: then it finds all that came back in the same moment, and a cancellation
        cannot come between."""
        if self._waiting and self._free >= self._waiting[0].minimum:
            self._waiting[0].woken.set()

    # ── what a lease asks ─────────────────────────────────────────────────────────────────────

    def take(self, count: int) -> None:
        """For a lease: ``count`` of the free slots."""
        assert 0 <= count <= self._free
        self._free -= count

    def spare(self) -> int:
        """For a lease: the free slots that nobody waits for."""
        return 0 if self._waiting else max(0, self._free)

    def put_back(self, since: Sequence[float]) -> None:
        """For a lease: give back slots, by when they were taken."""
        now = loop_time()
        self._holding.extend(now - taken for taken in since if now - taken >= _UNUSED)
        self._free += len(since)
        self._wake_first()

    def end(self, lease: "Lease") -> None:
        """For a lease: it is over."""
        self._leases.discard(lease)

    # ── what is expected ──────────────────────────────────────────────────────────────────────

    def _refuse_if_vain(self, waiting: "_Waiting") -> None:
        """
        Raises:
            Overloaded: the queue is full, or will not get to ``waiting`` in time.
        """
        if len(self._waiting) > self._queue:
            raise self._overloaded(waiting, f"{self._queue} races wait already")
        now = loop_time()
        left = waiting.latest - now
        place = self._waiting.index(waiting)
        # How long races really take must be known: most are called long before their deadlines.
        vain = False
        if self._holding:
            wait = self._wait_behind(self._waiting[:place], waiting)
            vain = wait > (left if place == 0 else _JOINING * (waiting.fair - now))
            vain = vain or self._delays_others(place, now)
        if left <= 0 or vain:
            raise self._overloaded(waiting, "no branches are expected to become free in time")

    def _delays_others(self, place: int, now: float) -> bool:
        """Whether, because of the race at ``place``, one behind it would have to wait too long that
        would not have to without it."""
        held = sum(lease.held for lease in self._leases)
        seconds = (self._mean_holding() or 0.0) / held if held else 0.0  # between two slots
        added = self._waiting[place].minimum
        needed = sum(w.minimum for w in self._waiting[: place + 1]) - self._free
        for other in self._waiting[place + 1 :]:
            needed += other.minimum
            left = other.fair - now
            if (needed - added) * seconds <= left < needed * seconds:
                return True
        return False

    def _wait_behind(self, others: "Sequence[_Waiting]", waiting: "_Waiting") -> float:
        """Seconds until ``others`` and then ``waiting`` have the fewest slots they can do with."""
        now = loop_time()
        needed = sum(w.minimum for w in others) + waiting.minimum - self._free
        holders = [(x.deadline - now, x.held) for x in self._leases if x.held]
        return expected_wait(needed, self._mean_holding(), holders)

    def _overloaded(self, waiting: "_Waiting", why: str) -> Overloaded:
        others = [w for w in self._waiting if w is not waiting]
        # By then, at the latest, all who wait now will have been served or refused.
        emptied = max((w.latest for w in others), default=inf) - loop_time()
        wait = min(self._wait_behind(others, waiting), emptied)
        if not isfinite(wait):
            # Nobody holds what is missing: a part of the engine is lost, who knows for how long.
            asked = f"at least {waiting.minimum} are asked for"
            return Overloaded(f"{why}: it runs {self._capacity} now, and {asked}", _UNKNOWN)
        return Overloaded(why, max(_SOONEST, wait))

    def _mean_holding(self) -> float | None:
        return sum(self._holding) / len(self._holding) if self._holding else None


class Lease:
    """The slots of one race, from its admission to its end; satisfies ``Slots``.

    Use it in a ``with`` block, which gives back what is left.
    """

    def __init__(self, admission: Admission, granted: int, deadline: float) -> None:
        self.granted = granted  # branches that the race may run at a time
        self.deadline = deadline  # on the anyio clock, seconds
        self.waited = 0.0  # seconds, for these slots
        self._admission = admission
        self._since: list[float] = []  # (held,) when each of the slots held was taken
        self._closed = False
        self._take(granted)

    @property
    def held(self) -> int:
        """Slots held now."""
        return len(self._since)

    def acquire_up_to(self, total: int) -> int:
        if not self._closed:
            self._take(max(0, min(total - self.held, self._admission.spare())))
        return self.held

    def release_down_to(self, total: int) -> None:
        back = self._since[: max(0, self.held - total)]  # those held for longest
        if back:
            del self._since[: len(back)]
            self._admission.put_back(back)

    def close(self) -> None:
        """Give back all slots for good. Idempotent."""
        if not self._closed:
            self._closed = True
            self._admission.end(self)
            self.release_down_to(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _take(self, count: int) -> None:
        self._admission.take(count)
        self._since += [loop_time()] * count


@dataclass(slots=True, eq=False)
class _Waiting:
    """A race in the queue."""

    order: tuple[float, int]  # deadline, arrival
    wanted: int
    minimum: int
    latest: float
    name: str
    fair: float = inf  # when it should have begun, to have time to think
    woken: anyio.Event = field(default_factory=anyio.Event)
    patience: anyio.CancelScope = field(default_factory=anyio.CancelScope)


def _by_deadline(waiting: _Waiting) -> tuple[float, int]:
    return waiting.order
