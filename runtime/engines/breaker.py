"""Whether an engine that failed may be asked again: a circuit breaker."""

import anyio

from ..errors import EngineError

#: Failures in a row, without an answer between them, after which nothing is sent any more.
_FAILURES = 3


class Breaker:
    """Lets everything through until several requests in a row failed, and then nothing but one
    trial after a pause, whose outcome decides; the pauses double as long as trials fail."""

    def __init__(self, pause: float = 0.5, longest: float = 8.0) -> None:
        """
        Args:
            pause: seconds until the first trial.
            longest: seconds between two trials, at most.
        """
        self._first, self._longest = pause, longest
        self._pause = pause
        self.failures = 0  # in a row
        self._trial_at: float | None = None  # anyio clock; None: it is closed
        self._error: EngineError | None = None
        self.trips = 0  # times that it opened

    @property
    def failure(self) -> EngineError | None:
        """Why nothing is sent; None: all is let through."""
        return self._error if self._trial_at is not None else None

    @property
    def closed(self) -> bool:
        """Whether all is let through."""
        return self._trial_at is None

    @property
    def trial_due(self) -> bool:
        """Whether it is open, and time to try again."""
        return self._trial_at is not None and anyio.current_time() >= self._trial_at

    def begin_trial(self) -> None:
        """Somebody tries: nobody else does before the next pause is over."""
        self._trial_at = anyio.current_time() + self._pause
        self._pause = min(2 * self._pause, self._longest)

    def succeeded(self) -> None:
        """There was an answer."""
        self.failures, self._error, self._trial_at = 0, None, None
        self._pause = self._first

    def failed(self, error: EngineError) -> None:
        """A request failed."""
        self.failures += 1
        self._error = error
        if self._trial_at is None and self.failures >= _FAILURES:
            self.trip(error)

    def trip(self, error: EngineError) -> None:
        """It is certain already that the next request would fail."""
        self._error = error
        if self._trial_at is None:
            self.trips += 1
            self.begin_trial()
