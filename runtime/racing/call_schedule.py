"""When the races of a runtime are called: first for their forced answers, then for good.

One task keeps the time of all of them. So it costs a race neither a task nor timers of its own,
and it is known which calls would come together: to call a race, and to take in what comes of it,
occupies the event loop for a while, and where many deadlines fall together the last race would be
late by all that while. Those are called one after the other, the earliest deadline first, each so
early that those behind it are in time; never before half of a race's time is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

import anyio
import anyio.lowlevel

from ..engines.clock import loop_clock
from .deadline import Deadline

#: How often the call time is worked out anew while it draws near, in seconds.
_STEP = 0.02
#: Seconds before a call time that are waited for no more. The reserve gets less while an engine
#: rests, so a call time may recede as fast as it is approached.
_AT_ONCE = 0.0005
#: What it costs the event loop to call a branch and take in its forced answer, and to end it and
#: hand the result back, in times of what it costs to launch one.
_CALL_COST, _STOP_COST = 7.0, 5.0
#: How the estimate of both grows with a race that was late though it was called earlier, and
#: shrinks with one that was early by far; and its limits.
_GROWTH, _DECAY, _LEAST_FACTOR, _MOST_FACTOR = 1.02, 0.998, 0.5, 4.0
#: Seconds that a launch is taken to cost at most: one long pause of the machine says nothing.
_MOST_COST = 0.0002
#: Of the time until a race's deadline, the share in which races are called and ended; launches and
#: tokens need the rest.
_SHARE = 0.8
#: How far the estimate moves towards a new measurement.
_WEIGHT = 0.1
#: Looks at races that are over which may be kept.
_KEPT = 256
#: Seconds of the event loop for calls that have come together, before others have their turn.
_TURN = 0.005


@dataclass(slots=True, eq=False)
class CallTimes:
    """The call times of one race.

    Attributes:
        reserve: seconds before the deadline at which it must be called, as it stands.
        branches: those that would have to be forced, as it stands.
        call: told that it is time for forced answers, and the seconds that are left.
        stop: told that the race must be called with whatever there is, and since when (anyio clock,
            seconds). None of these may raise.
    """

    deadline: Deadline
    reserve: Callable[[], float]
    branches: Callable[[], int]
    call: Callable[[float], None]
    stop: Callable[[float], None]
    began: float = 0.0
    called: bool = False
    stopped: bool = False  # at its hard stop, not before
    over: bool = False
    call_at: float = inf  # as it was worked out last, were it alone
    early: float = 0.0  # seconds that it is called before that, for others
    cost: float = 0.0  # seconds of the event loop that it will take
    stop_early: float = 0.0  # seconds that it is stopped before its time, for others
    look_at: float = inf  # when something is to be done about it next


@dataclass(slots=True)
class CallSchedule:
    """Keeps the time of races.

    Args:
        on_lag: told how late (seconds) the event loop woke it, and when (anyio clock, seconds).
    """

    on_lag: Callable[[float, float], None] = lambda seconds, now: None
    launch_seconds: float = 0.0  # of the event loop for each branch, an estimate
    factor: float = 1.0  # of what calls cost over what is expected from that
    _looks: list[tuple[float, int, CallTimes]] = field(
        default_factory=list[tuple[float, int, CallTimes]]
    )
    _numbers: "count[int]" = field(default_factory=count)
    _launches: int = 0
    _waiting: anyio.CancelScope | None = None
    _clock: Callable[[], float] = anyio.current_time
    _plan_at: float = 0.0  # when calls are put in order next
    _running: dict[CallTimes, None] = field(default_factory=dict[CallTimes, None])

    def add(self, times: CallTimes) -> None:
        """Keep the time of a race that begins now."""
        self._clock = loop_clock()
        times.began = self._clock()
        self._running[times] = None
        self._plan_at = min(self._plan_at, times.began + _STEP)
        if not self._look(times, times.began):
            self._push(times, times.began)

    def drop(self, times: CallTimes) -> None:
        """The race is over."""
        if times.over:
            return
        times.over = True
        # It stays among the looks until its time: it must not hold the race for as long.
        times.reserve, times.branches = _no_seconds, _no_branches
        times.call = times.stop = _nothing
        self._running.pop(times, None)
        if len(self._looks) > _KEPT + 2 * len(self._running):
            self._looks = [look for look in self._looks if not look[2].over]
            heapify(self._looks)

    def ended(self, times: CallTimes) -> None:
        """The result of a race is ready: learn from it whether it was called early enough."""
        if times.stopped and times.early + times.stop_early > 0:
            left = times.deadline.hard_stop - self._clock()
            if left < 0:
                self.factor = min(_MOST_FACTOR, self.factor * _GROWTH)
            elif left > (times.early + times.stop_early) / 2:
                self.factor = max(_LEAST_FACTOR, self.factor * _DECAY)

    def look_again(self, times: CallTimes) -> None:
        """The deadline of a race is earlier than it was."""
        if times.look_at < inf and not times.over:  # else it has not begun, or is over
            self._push(times, self._clock())

    def launched(self, branches: int, seconds: float) -> None:
        """To launch so many branches took so many seconds of the event loop."""
        if branches:
            self._launches += 1
            weight = max(_WEIGHT, 1 / self._launches)
            cost = min(seconds / branches, _MOST_COST)
            self.launch_seconds += weight * (cost - self.launch_seconds)

    def room_for(self, branches: int, seconds: float) -> bool:
        """Whether the event loop can call, and end, races of so many branches together within so
        many seconds."""
        work = (_CALL_COST + _STOP_COST) * self.factor * self.launch_seconds * branches
        return work <= _SHARE * seconds

    async def run(self) -> None:
        """Call races until cancelled."""
        self._clock = clock = loop_clock()
        while True:
            now = clock()
            if len(self._running) > 1 and now >= self._plan_at:
                self._put_in_order(now)
            await self._call_due(now)
            until = self._looks[0][0] if self._looks else inf
            if len(self._running) > 1:
                until = min(until, self._plan_at)
            with anyio.move_on_at(until) as self._waiting:
                await anyio.sleep_forever()
            self._waiting = None

    async def _call_due(self, now: float) -> None:
        """Do what is due, the earliest first; what is late only because of that is no lag."""
        turn = now
        while self._looks and self._looks[0][0] <= self._clock():
            at, _, times = heappop(self._looks)
            if times.over or at != times.look_at:
                continue
            if at <= now:
                self.on_lag(now - at, now)
            self._act(times)
            if self._clock() - turn > _TURN:
                await anyio.lowlevel.checkpoint()
                turn = self._clock()

    def _act(self, times: CallTimes) -> None:
        """Call a race if its time has come; else look again later."""
        now = self._clock()
        if times.called:
            stop = times.deadline.hard_stop
            if stop - times.stop_early > now:
                self._push(times, stop - times.stop_early)
            else:
                tell, times.stopped = times.stop, True
                self.drop(times)
                tell(stop)
            return
        if not times.called and self._look(times, now):
            return
        times.called = True
        times.call(times.deadline.at - now)
        if not times.over:
            self._push(times, times.deadline.hard_stop - times.stop_early)

    def _look(self, times: CallTimes, now: float) -> bool:
        """Work out when a race is to be called; whether that is later than ``now``."""
        times.call_at = times.deadline.at - times.reserve()
        times.cost = self.factor * self.launch_seconds * times.branches()
        if len(self._running) < 2:
            times.early = times.stop_early = 0.0
        left = times.call_at - times.early - now
        if left <= _AT_ONCE:
            return False
        self._push(times, now + min(left, max(_STEP, left / 2)))
        return True

    def _put_in_order(self, now: float) -> None:
        """See which races must be called or stopped earlier, as others come behind them."""
        due = [(times.deadline.hard_stop, times, True) for times in self._running]
        due += [(times.call_at, times, False) for times in self._running if not times.called]
        behind = first = inf  # when those behind must begin at the latest
        for at, times, stops in sorted(due, key=lambda entry: -entry[0]):
            half = times.began + (times.deadline.at - times.began) / 2
            behind = min(behind, at)
            planned = min(at, max(behind, half))
            behind -= times.cost * (_STOP_COST if stops else _CALL_COST)
            if stops:
                times.stop_early = at - planned
            else:
                times.early = at - planned
            if stops is times.called:
                first = min(first, planned)
                if planned < times.look_at:
                    self._push(times, max(now, planned))
        self._plan_at = now + max(_STEP, (first - now) / 2)

    def _push(self, times: CallTimes, at: float) -> None:
        times.look_at = at
        heappush(self._looks, (at, next(self._numbers), times))
        if self._waiting is not None and at < self._waiting.deadline:
            self._waiting.deadline = at


def _no_seconds() -> float:
    return 0.0


def _no_branches() -> int:
    return 0


def _nothing(_: float) -> None:
    pass
