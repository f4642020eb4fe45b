"""A model of an engine with one method of speculation, fitted to a profile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ..cost_model.acceptance import Acceptance, fit_acceptance
from ..cost_model.least_squares import nonnegative_least_squares
from ..cost_model.step_time import StepPoint, StepTime, cross_validated_errors, fit_step_time
from ..errors import BadRequest
from .profile import PacePoint, Profile, Variant

#: A slow step over the mean one where it was not measured.
_SLOW_STEP = 1.5
#: Tokens a step, over those expected, from which on steps must have been joined.
_JOINED = 1.25
#: Where the bins of positions begin, in tokens.
_EDGES = (0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True, slots=True)
class Linear:
    """``constant + branch·branches + token·tokens`` seconds."""

    constant: float = 0.0
    branch: float = 0.0
    token: float = 0.0

    def seconds(self, branches: float, tokens: float = 0) -> float:
        return self.constant + self.branch * branches + self.token * tokens


@dataclass(frozen=True, slots=True)
class EngineModel:
    """How fast an engine is, with one method of speculation."""

    method: str
    ks: tuple[int, ...]
    """Draft tokens that were measured; 0 first."""
    step: StepTime
    acceptance: Acceptance
    launch: Linear
    """From the launch of branches on a prompt of so many tokens to their first tokens."""
    forced: Linear
    """A round of forced answers of so many branches."""
    abort: float
    """Seconds that aborting takes."""
    slow_step: float
    """A slow step (95th percentile) over the mean one."""
    error: float | None
    """Median relative error of the step time on held-out points; None: too few points."""

    def tokens_per_second(self, batch: int, context: float, k: int, position: float = 0) -> float:
        """Of one branch among ``batch``."""
        yielded = self.acceptance.tokens_per_step(k, position, batch)
        return yielded / self.step.seconds(batch, context, k)

    def best_k(self, batch: int, context: float, position: float = 0) -> int:
        """The measured number of draft tokens that is fastest at this batch."""
        return max(self.ks, key=lambda k: self.tokens_per_second(batch, context, k, position))


def engine_models(profile: Profile) -> dict[str, EngineModel]:
    """A model for each method, fitted to its variants and to those without speculation.

    Raises:
        BadRequest: the profile holds no step without speculation, from which all others are told.
    """
    plain = [v for v in profile.variants if v.k == 0 and v.paces]
    methods = dict.fromkeys(v.method for v in profile.variants if v.k and v.paces)
    if not plain:
        raise BadRequest("the profile holds no measured step without speculation")
    models = {"none": _fitted("none", plain, plain)}
    for method in methods:
        own = [v for v in profile.variants if v.method == method and v.k and v.paces]
        models[method] = _fitted(method, [*plain, *own], own)
    return models


def step_points(variants: Sequence[Variant], acceptance: Acceptance) -> list[StepPoint]:
    """Steps out of paces: of repeats the median, as one of them may have met something else that
    the machine did. Where steps could not be told apart, one is taken to yield as many tokens of a
    branch as the acceptance says."""
    found: list[StepPoint] = []
    for v in variants:
        repeats: dict[object, list[StepPoint]] = {}
        for number, p in enumerate(v.paces):
            seconds = p.seconds * _tokens_per_step(v, p, acceptance)
            key = (p.batch, p.aimed) if p.aimed is not None else number
            repeats.setdefault(key, []).append(StepPoint(p.batch, p.context, v.k, seconds))
        found += [_middle(points) for points in repeats.values()]
    return found


def _middle(repeats: Sequence[StepPoint]) -> StepPoint:
    first = repeats[0]
    context = median(p.context for p in repeats)
    return StepPoint(first.batch, context, first.k, median(p.seconds for p in repeats))


def _tokens_per_step(variant: Variant, point: PacePoint, acceptance: Acceptance) -> float:
    if variant.k == 0:
        return 1.0
    seen = _seen_per_step(variant, point, acceptance)
    if seen is not None:
        return seen
    return acceptance.tokens_per_step(variant.k, point.position, point.batch)


def _seen_per_step(variant: Variant, point: PacePoint, acceptance: Acceptance) -> float | None:
    if not point.steps:
        return None
    seen = point.tokens / point.steps
    # So many tokens a step are not chance: a slow reader has been given steps joined.
    expected = acceptance.tokens_per_step(variant.k, point.position, point.batch)
    return seen if seen < _JOINED * expected else None


def _with_shares(acceptance: Acceptance, own: Sequence[Variant]) -> Acceptance:
    """With what was accepted at each size of the batch, of branches on a question as it is asked:
    longer contexts are made of several, and what is written there is harder to guess."""
    found: dict[int, list[tuple[float, float]]] = {}
    for v in own:
        for p in v.paces:
            seen = _seen_per_step(v, p, acceptance)
            expected = acceptance.tokens_per_step(v.k, p.position)
            if seen is not None and expected > 1.0 and not p.aimed:
                found.setdefault(p.batch, []).append((seen - 1.0, expected - 1.0))
    shares = {b: sum(s for s, _ in pairs) / sum(e for _, e in pairs) for b, pairs in found.items()}
    batches = tuple(sorted(shares))
    return replace(acceptance, batches=batches, shares=tuple(shares[b] for b in batches))


def _fitted(method: str, variants: Sequence[Variant], own: Sequence[Variant]) -> EngineModel:
    """``own`` are those that speculate by ``method``; steps without speculation add to what is
    known of its steps."""
    counts = [c for v in variants for c in v.accepted]
    farthest = max((c.position for c in counts), default=0)
    acceptance = fit_acceptance(counts, [e for e in _EDGES if e <= farthest])
    acceptance = _with_shares(acceptance, own)
    points = step_points(variants, acceptance)
    errors = cross_validated_errors(points)
    slow = [v.slow_step for v in variants if v.slow_step is not None]
    freed = [p.freed for v in own for p in v.aborts]
    return EngineModel(
        method=method,
        ks=tuple(sorted({v.k for v in variants})),
        step=fit_step_time(points),
        acceptance=acceptance,
        launch=_linear([(p.batch, p.prompt, p.seconds) for v in own for p in v.launches]),
        forced=_linear([(p.batch, 0, p.seconds) for v in own for p in v.forced]),
        abort=max(0.0, median(freed)) if freed else 0.0,
        slow_step=median(slow) if slow else _SLOW_STEP,
        error=median(errors) if errors else None,
    )


def _linear(points: Sequence[tuple[float, float, float]]) -> Linear:
    """The line through (branches, tokens, seconds), by relative error."""
    usable = [(b, t, s) for b, t, s in points if s > 0]
    if not usable:
        return Linear()
    rows = [[1 / s, b / s, t / s] for b, t, s in usable]
    return Linear(*nonnegative_least_squares(rows, [1.0] * len(rows)))
