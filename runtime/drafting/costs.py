"""What verifying draft tokens costs on this engine, and how many of them pay: measured as it runs.

A step with ``n`` draft tokens takes longer than one without, by how much depends on the model, the
vocabulary (logits and the verifying sampler work on ``n`` rows of its size), the hardware and the
number of branches. ``StepCosts`` learns it from the steps themselves, apart for each batch size:
some steps without drafts and some with are taken on purpose until both are known, and rarely
afterwards. Then a step verifies the number of draft tokens that gives the most tokens a second,

    n* = argmax_n (branches + a·(p_1 + … + p_n)) / seconds(n),

with p_i the chance that the i-th likeliest draft token is accepted together with those before it
in its branch, and ``a`` what was accepted over what these chances promised. That is 0 wherever
drafts do not pay. The same choice of a batch's draft tokens by their chances and the measured cost
of a step is made by vLLM's adaptive verification (``v1/worker/gpu/spec_decode``) and by TurboSpec
(Liu et al., arXiv 2406.14066).
"""

import time
from collections import deque
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, Final

import numpy as np

#: Steps of each kind that are remembered.
_REMEMBERED: Final = 48
#: Steps of each kind before what they say is used.
_ENOUGH: Final = 5
#: In so many steps at least one is of the kind that is not chosen, in fewer while few are known,
#: unless that costs more than one step in a hundred.
_PLAIN_EVERY: Final = 64
_DRAFTED_EVERY: Final = 96
#: Drafts are verified only if they give this much more: less is noise.
_GAIN: Final = 1.02
#: So many steps say how fast the machine is at present.
_PRESENT: Final = 7
#: So many steps on end that take this many times longer, or shorter, than known ones: the machine
#: has changed, and the older steps are forgotten.
_SURPRISES: Final = 9
_SURPRISE: Final = 1.25
#: Draft tokens a branch in the first steps.
_TRIED: Final = (0.25, 1.0, 0.5)
#: Steps between two fits of a batch size.
_REFIT: Final = 16
#: Weight of "as promised" in what was accepted, in tokens; and the tokens that are remembered.
_PRIOR: Final = 8.0
_PROMISED: Final = 512.0


def batch_group(branches: int) -> int:
    """Batch sizes whose steps are taken together: 1, 2, 3, 4, 5–6, 7–8, 9–12, 13–16, 17–24, …"""
    if branches <= 4:
        return branches
    octave = (branches - 1).bit_length()
    return 2 * octave + (branches > 3 << (octave - 2))


@dataclass(slots=True)
class _Group:
    """The steps of a group of batch sizes, in seconds at the machine's usual speed."""

    plain: deque[float] = field(default_factory=lambda: deque[float](maxlen=_REMEMBERED))
    drafted: deque[tuple[int, float]] = field(
        default_factory=lambda: deque[tuple[int, float]](maxlen=_REMEMBERED)
    )
    surprises: dict[bool, int] = field(default_factory=dict[bool, int])
    steps: int = 0
    last_plain: int = 0
    last_drafted: int = 0
    # Seconds without drafts, with drafts at all, and for each draft token.
    line: tuple[float, float, float] | None = None
    # Draft tokens up to which the line was drawn through steps.
    reach: float = 0.0

    def seconds(self, tokens: int) -> float | None:
        if self.line is None:
            return None
        base, at_all, per_token = self.line
        return at_all + per_token * tokens if tokens else base

    def add(self, tokens: int, seconds: float) -> None:
        known = self.seconds(tokens)
        drafted = tokens > 0
        if drafted:
            self.drafted.append((tokens, seconds))
        else:
            self.plain.append(seconds)
        if known is None or known / _SURPRISE < seconds < known * _SURPRISE:
            self.surprises[drafted] = 0
            return
        self.surprises[drafted] = self.surprises.get(drafted, 0) + 1
        if self.surprises[drafted] >= _SURPRISES:
            steps = self.drafted if drafted else self.plain
            while len(steps) > _SURPRISES:
                steps.popleft()
            self.surprises[drafted] = 0
            self.fit()

    def fit(self) -> None:
        """Medians: a step that something else interrupted says nothing."""
        if min(len(self.plain), len(self.drafted)) < _ENOUGH:
            return
        base = float(np.median(self.plain))
        tokens, seconds = np.array(self.drafted).T
        few, many = np.quantile(tokens, (0.25, 0.75))
        fewer, more = tokens <= few, tokens >= many
        at_all, per_token = 0.0, 0.0
        if many > few:
            span = float(tokens[more].mean() - tokens[fewer].mean())
            per_token = float(np.median(seconds[more]) - np.median(seconds[fewer])) / span
            at_all = float(np.median(seconds - per_token * tokens))
        if at_all < base:  # also where all were as long: then each token costs its share
            at_all = base
            per_token = float(np.median((seconds - base) / tokens))
        per_token = max(0.0, per_token)
        self.line, self.reach = (base, at_all, per_token), float(many)


class StepCosts:
    """Measures steps and says how many draft tokens to verify."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._groups: dict[int, _Group] = {}
        self._accepted = self._promised = _PRIOR
        # What steps take over what they usually take. What else a machine does changes from minute
        # to minute, and the two kinds of steps are measured at different times.
        self._recent: deque[float] = deque(maxlen=_PRESENT)
        self._slowness = 1.0

    def observe(self, branches: int, tokens: int, seconds: float) -> None:
        """A step of ``branches`` branches that verified ``tokens`` draft tokens took ``seconds``.

        Only of steps that did nothing else: no prompt was read, no branch came or went.
        """
        group = self._group(branches)
        usual = group.seconds(tokens)
        if usual is not None and tokens <= group.reach:
            self._recent.append(seconds / usual)
            self._slowness = float(np.median(self._recent))
        group.add(tokens, seconds / self._slowness)
        known = group.line is not None
        if not known or group.steps % _REFIT == 0:
            group.fit()
        if not known and group.line is not None:
            base, at_all, per_token = (1e3 * seconds for seconds in group.line)
            self._log.info(
                "a step of %d branches takes %.2f ms, with draft tokens %.2f ms and %.3f ms for "
                "each: one pays if it is accepted with a probability above %.2f",
                branches, base, at_all, per_token, branches * per_token / base,
            )  # fmt: skip

    def accepted(self, promised: float, accepted: int) -> None:
        """``accepted`` draft tokens were right where their chances summed up to ``promised``."""
        self._promised += promised
        self._accepted += accepted
        if self._promised > _PROMISED:
            self._promised *= 0.5
            self._accepted *= 0.5

    def seconds(self, branches: int, tokens: int) -> float | None:
        """What such a step takes at present, or None while too few have been seen."""
        usual = self._group(branches).seconds(tokens)
        return None if usual is None else usual * self._slowness

    def choose(self, branches: int, chances: Any) -> int:
        """How many draft tokens to verify in this step.

        Args:
            branches: those that run.
            chances: (candidates,) falling probabilities that a token is accepted together with
                all before it in its branch.
        """
        group = self._group(branches)
        group.steps += 1
        candidates = len(chances)
        if not candidates:
            group.last_plain = group.steps
            return 0
        line = group.line or self._nearest(branches)
        number, plain = len(group.drafted), len(group.plain)
        if line is None:
            # In turns until both kinds are known; with few tokens, as many may cost many steps.
            if number > plain:
                return 0
            return min(candidates, max(1, int(_TRIED[number % len(_TRIED)] * branches)))
        base, at_all, per_token = line
        rate = min(1.0, self._accepted / self._promised)
        # A line says little of what lies far beyond the steps that it was drawn through.
        furthest = max(branches, int(2.0 * group.reach) + 1)
        counts = np.arange(1, min(candidates, furthest) + 1)
        rates = (branches + rate * np.cumsum(chances[: len(counts)])) / (
            at_all + per_token * counts
        )
        best = int(np.argmax(rates)) + 1
        pays = rates[best - 1] * base / branches  # times as many tokens a second
        if pays > _GAIN:
            drafts = group.steps - group.last_plain < min(_PLAIN_EVERY, 8 + 2 * plain)
        else:
            lost = (at_all + per_token * best) / base * (1.0 - pays)  # steps' worth of tokens
            every = max(min(_DRAFTED_EVERY, 8 + 4 * number), 100.0 * lost)
            drafts = group.steps - group.last_drafted >= every
        if drafts:
            group.last_drafted = group.steps
            return best
        group.last_plain = group.steps
        return 0

    def _group(self, branches: int) -> _Group:
        return self._groups.setdefault(batch_group(branches), _Group())

    def _nearest(self, branches: int) -> tuple[float, float, float] | None:
        """What is known of the nearest batch sizes that have been seen, if any."""
        here = batch_group(branches)
        known = {n: group.line for n, group in self._groups.items() if group.line is not None}
        nearest = min(known, key=lambda number: abs(number - here), default=None)
        return None if nearest is None else known[nearest]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that is under way."""

    began: float  # seconds
    lengths: bytes  # of each row before it
    tokens: int  # draft tokens that it verifies
    promised: float  # of which so many are expected to be accepted


class StepMeter:
    """Tells ``StepCosts`` of the steps between two calls of the proposer."""

    def __init__(self, log: Logger) -> None:
        self.costs = StepCosts(log)
        self._step: _Step | None = None

    def step_begins(self, lengths: Any, tokens: int, promised: float) -> None:
        """The next step verifies so many draft tokens, of which ``promised`` are expected to be
        accepted; ``lengths``: (rows,) tokens of each row."""
        self._step = _Step(time.perf_counter(), lengths.tobytes(), tokens, promised)

    def step_ended(self, at: float, lengths: Any, new: Any) -> None:
        """A step has ended which brought each row ``new`` tokens.

        It counts if all rows were in the one before and no other was: then nothing else was done.

        Args:
            at: seconds, on the clock of ``time.perf_counter``.
            lengths: (rows,) tokens of each row before the step.
            new: (rows,).
        """
        step, self._step = self._step, None
        if step is not None and step.lengths == lengths.tobytes() and new.all():
            rows = len(new)
            self.costs.observe(rows, step.tokens, at - step.began)
            if step.tokens:
                self.costs.accepted(step.promised, int(new.sum()) - rows)
