"""How fast a member of a pool is, as its own streams show."""

from math import exp

import anyio

#: How far an estimate moves towards the next measurement.
_WEIGHT = 0.1
#: The same for a first token that came sooner than the estimate; a later one is believed at once.
_FALL = 0.2
#: Seconds after which a measurement counts for a third of what it did: nothing that was slow once
#: is avoided for ever.
_MEMORY = 10.0
#: A member that gives no token for so many of its own token times has stalled.
_STALL_TOKENS = 12.0
#: Likewise of the slowest first tokens of late: they come after the prompt is read.
_STALL_FIRST = 4.0
#: What is not known yet is a little better than what is: it is worth knowing.
_CURIOSITY = 0.9
#: Tokens of a prompt that is read within the longest time that a member may be silent.
_ORDINARY_PROMPT = 2048
#: No member is given up sooner, in seconds: an event loop, a garbage collection may pause as long.
_MIN_STALL = 0.5


class Pace:
    """Seconds that a branch takes for a token, and for its first one."""

    def __init__(self) -> None:
        self._token: float | None = None
        self._at = 0.0
        self._first: float | None = None
        self._read = 0  # tokens of the longest prompt that was answered

    def took(self, seconds: float, tokens: int) -> None:
        """A branch got so many tokens, so long after its last ones."""
        each = seconds / tokens
        if self._token is None:
            self._token = each
        else:
            self._token += _WEIGHT * (each - self._token)
        self._at = anyio.current_time()

    def began(self, seconds: float, prompt: int) -> None:
        """A request with a prompt of so many tokens got its first token after ``seconds``."""
        self._read = max(self._read, prompt)
        if self._first is None or seconds > self._first:
            self._first = seconds
        else:
            self._first += _FALL * (seconds - self._first)

    @property
    def seconds(self) -> float | None:
        """For a token, as it was measured last; None: it was not."""
        return self._token

    def expected(self, usual: float, silence: float) -> float:
        """Seconds for the next token.

        Args:
            usual: what other members take, which an old measurement falls back to.
            silence: seconds for which its branches have waited for a token already.
        """
        if self._token is None:
            return max(_CURIOSITY * usual, silence)
        known = exp(-max(0.0, anyio.current_time() - self._at) / _MEMORY)
        return max(known * self._token + (1 - known) * usual, silence)

    def stall_limit(self, longest: float, prompt: int) -> float:
        """Seconds without a token, with work, after which it has stalled.

        Args:
            longest: what it is where nothing was measured yet, for an ordinary prompt.
            prompt: tokens of the longest prompt that it may be reading; 0: none.
        """
        if self._token is None or self._first is None or prompt > 2 * self._read:
            return longest * max(1.0, prompt / _ORDINARY_PROMPT)
        limit = max(_MIN_STALL, _STALL_TOKENS * self._token, _STALL_FIRST * self._first)
        return min(longest, limit)
