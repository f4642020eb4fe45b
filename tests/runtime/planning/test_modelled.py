"""Hardware that is not at hand, by its data sheets: a model, not a measurement."""

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.planning.datasheet_profile import modelled_profile
from frontrunner.runtime.planning.engine_model import engine_models
from frontrunner.runtime.planning.estimating import Candidate, Conditions, Estimator
from frontrunner.runtime.planning.hardware import (
    H100,
    H200,
    QWEN_3B,
    QWEN_32B,
    cache_tokens,
    modelled_step_time,
)
from frontrunner.runtime.planning.plan import stops_of
from frontrunner.runtime.planning.planner import Space, Speculation, best_of, exhaustive
from frontrunner.runtime.planning.schedule import KSchedule, constants

from .simulating import small_pilot

#: As long as MATH-500's are for models of this kind, roughly; a made-up pilot.
MEDIAN, P95 = 600, 1_800


def test_figures_follow_from_the_published_shapes() -> None:
    assert QWEN_3B.kv_bytes == 36_864  # 2 x 36 layers x 2 heads x 128 x 2 bytes
    assert QWEN_32B.kv_bytes == 262_144  # 2 x 64 layers x 8 heads x 128 x 2 bytes
    small, large = modelled_step_time(QWEN_3B, H200), modelled_step_time(QWEN_32B, H200)
    # 65.6 GB of weights at three quarters of 4.8 TB/s.
    assert large.seconds(1, 0) == pytest.approx(0.0015 + 65.6e9 / 3.6e12, rel=0.01)
    assert small.seconds(1, 0) < large.seconds(1, 0) / 5
    # 72 GB less the weights leaves room for few contexts on an H100.
    assert 20_000 < cache_tokens(QWEN_32B, H100) < 30_000
    assert cache_tokens(QWEN_32B, H200) > 200_000


@pytest.mark.parametrize("hardware", ["h100", "h200"])
def test_the_knee_comes_sooner_with_longer_contexts_and_more_draft_tokens(hardware: str) -> None:
    for name in ("qwen2.5-3b", "qwen2.5-32b"):
        model = engine_models(modelled_profile(f"{name}:{hardware}", "qwen2.5-0.5b", 0.7))
        step = model["draft_model"].step
        knees = [step.knee(context) or 10**9 for context in (200, 2_000, 8_000)]
        assert knees == sorted(knees, reverse=True)
        assert knees[-1] < knees[0]
        assert (step.knee(200, 5) or 10**9) < (step.knee(200) or 10**9)


def test_where_the_knee_lies() -> None:
    """Short contexts: arithmetic, some hundred tokens a step. Long ones: the KV cache."""
    three = engine_models(modelled_profile("qwen2.5-3b:h100", None, 0.7))["none"].step
    large = engine_models(modelled_profile("qwen2.5-32b:h200", None, 0.7))["none"].step
    assert 130 <= (three.knee(1_000) or 0) <= 200
    assert 25 <= (three.knee(8_000) or 0) <= 45
    assert 200 <= (large.knee(1_000) or 0) <= 320
    assert 25 <= (large.knee(8_000) or 0) <= 45


def planned(target: str, deadline: float) -> Candidate:
    models = engine_models(modelled_profile(target, "qwen2.5-0.5b", 0.7))
    pilot = small_pilot(6, 32, median=MEDIAN, p95=P95)
    estimator = Estimator(models, pilot, Conditions(prompt=150), draws=3)
    speculations = [Speculation("none", KSchedule())]
    speculations += [Speculation("draft_model", s) for s in constants((1, 3, 5))]
    stops = stops_of(Settings())[:1]
    space = Space((1, 2, 4, 8, 16, 32), tuple(speculations), tuple(stops))
    choice = exhaustive(space, lambda c: estimator.estimate(c, deadline))
    assert choice.best.p95 <= deadline
    assert choice.best is best_of([e for e in choice.seen if e.candidate.strategy == stops[0]])
    return choice.best.candidate


def test_what_fits_ten_seconds_and_a_minute() -> None:
    three = planned("qwen2.5-3b:h100", 10.0)
    assert three.branches >= 8  # far below the knee: branches are nearly free
    ten, minute = (planned("qwen2.5-32b:h200", deadline) for deadline in (10.0, 60.0))
    # In ten seconds a 32B model writes some hundred tokens: it needs draft tokens for that.
    assert ten.schedule.most >= 3
    assert minute.branches >= 8


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("qwen9:h100", "no model 'qwen9' is known"),
        ("qwen2.5-3b", "no GPU '' is known"),
        ("qwen2.5-3b:abacus", "no GPU 'abacus'"),
    ],
)
def test_unknown_names_are_refused(target: str, match: str) -> None:
    with pytest.raises(BadRequest, match=match):
        modelled_profile(target, None, 0.7)
