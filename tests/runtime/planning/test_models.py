"""B at run time."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrunner.runtime.planning.engine_model import EngineModel, Linear
from frontrunner.runtime.planning.models import (
    AccuracyModel,
    Load,
    RuntimeModels,
    plan_branches,
    reached_tokens,
    step_correction,
)
from frontrunner.runtime.planning.profile import ProfileError
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.strategies.acceptance import Acceptance
from frontrunner.strategies.lengths import LengthModel

from .simulating import STEP

COUNTS = (1, 2, 4, 8, 16, 32, 64)
TOKENS = (50, 100, 200, 400, 800)
#: More branches are better, given the tokens; and tokens help as far as 400.
ACCURACY = AccuracyModel(
    COUNTS,
    TOKENS,
    tuple(tuple((0.3 + 0.08 * n) * min(1.0, t / 400) for t in TOKENS) for n in range(len(COUNTS))),
)
MODELS = RuntimeModels(
    EngineModel(
        "draft_model",
        (0, 3),
        STEP,
        Acceptance((0,), (0.6,)),
        Linear(STEP.seconds(1, 100), STEP.row, 1e-5),
        Linear(0.01, 0.0005),
        0.001,
        1.3,
        0.03,
    ),
    KSchedule(((1, 3), (32, 0))),
    ACCURACY,
    LengthModel.from_quantiles(200, 400),
    prompt=100,
    return_margin=0.03,
)
loads = st.builds(Load, st.integers(0, 16), st.integers(0, 64), st.none() | st.floats(1e-4, 0.5))


@given(st.floats(0, 100), loads, st.integers(1, 64), st.none() | st.integers(1, 5_000))
@settings(max_examples=300)
def test_a_number_of_branches_comes_out_of_anything(
    left: float, load: Load, most: int, prompt: int | None
) -> None:
    chosen = plan_branches(MODELS, left, load, most=most, prompt=prompt)
    assert 1 <= chosen <= most


@given(st.floats(0, 20), loads, st.sampled_from(COUNTS))
@settings(max_examples=300)
def test_more_time_reaches_more_tokens_and_more_branches_fewer(
    left: float, load: Load, branches: int
) -> None:
    reached = reached_tokens(MODELS, branches, left, load)
    assert reached >= 0.0
    assert reached_tokens(MODELS, branches, left + 1.0, load) >= reached
    assert reached_tokens(MODELS, branches, left, load, factor=2.0) <= reached + 1e-9


def test_little_time_makes_for_few_branches_and_much_for_many() -> None:
    free = Load()
    planned = [plan_branches(MODELS, left, free, most=64) for left in (0.5, 1.0, 2.0, 10.0)]
    assert planned == sorted(planned)
    assert planned[0] < planned[-1] == 64
    assert plan_branches(MODELS, 10.0, free, most=20) == 16


def test_a_loaded_engine_is_shared() -> None:
    beside = [plan_branches(MODELS, 2.0, Load(races=n, running=n), most=64) for n in (0, 1, 3, 7)]
    assert beside == sorted(beside, reverse=True)
    assert beside[-1] <= beside[0] / 4


def test_measured_steps_correct_the_profile() -> None:
    usual = 1.3 * STEP.seconds(10, 200, 3)
    assert step_correction(MODELS, Load(running=10, step_seconds=usual)) == pytest.approx(1.0)
    assert step_correction(MODELS, Load(running=10, step_seconds=2 * usual)) == pytest.approx(2.0)
    assert step_correction(MODELS, Load(running=10, step_seconds=1e6)) == 4.0
    assert step_correction(MODELS, Load(running=0, step_seconds=1e6)) == 1.0
    assert step_correction(MODELS, Load(running=10)) == 1.0
    slow = Load(races=1, running=10, step_seconds=3 * usual)
    fast = replace(slow, step_seconds=usual)
    slowed, usual_ones = (plan_branches(MODELS, 4.0, load, most=64) for load in (slow, fast))
    assert slowed < usual_ones


@given(st.integers(1, 200), st.floats(0, 2_000))
def test_accuracy_is_interpolated(branches: int, tokens: float) -> None:
    found = ACCURACY.at(branches, tokens)
    assert 0.0 <= found <= 1.0
    assert ACCURACY.at(branches, tokens + 10) >= found - 1e-12
    assert ACCURACY.at(64, 10_000) == ACCURACY.accuracy[-1][-1]
    assert ACCURACY.at(9, 150) == pytest.approx((ACCURACY.at(8, 100) + ACCURACY.at(8, 200)) / 2)


def test_models_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    MODELS.write(path)
    assert RuntimeModels.read(path) == MODELS
    path.write_text("{}")
    with pytest.raises(ProfileError, match="not the models of a plan"):
        RuntimeModels.read(path)
