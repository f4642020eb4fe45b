import random
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.cost_model.step_time import (
    StepPoint,
    StepTime,
    cross_validated_errors,
    fit_step_time,
    median_error,
)

times = st.floats(0, 1e-2, allow_subnormal=False)
models = st.builds(
    StepTime, times, times, st.floats(0, 1e-6), st.floats(0, 1e-4), st.floats(0, 1e-4), times
)
#: A GPU of sorts, with both sides of the roof within reach.
GPU = StepTime(0.0015, 0.002, 1e-8, 2e-5, 1.5e-5, 6e-4, 1e-6)
#: A CPU of sorts: no roof, much overhead for each branch.
CPU = StepTime(constant=0.0035, context=1e-8, row=1e-4, draft=0.0008, draft_token=2e-5)


def grid(model: StepTime, *, noise: float = 0.0, seed: int = 0) -> list[StepPoint]:
    rng = random.Random(seed)
    return [
        StepPoint(b, c, k, model.seconds(b, c, k) * max(0.5, rng.gauss(1.0, noise)))
        for b in (1, 2, 4, 8, 16, 32, 64, 128)
        for c in (128, 1024, 4096)
        for k in (0, 1, 3, 5)
    ]


@given(models, st.integers(1, 256), st.floats(0, 1e5), st.integers(0, 8))
@settings(max_examples=examples(10_000))
def test_more_of_anything_never_makes_a_step_shorter(
    model: StepTime, batch: int, context: float, k: int
) -> None:
    base = model.seconds(batch, context, k)
    assert base >= 0.0
    assert model.seconds(batch + 1, context, k) >= base
    assert model.seconds(batch, context + 1, k) >= base
    assert model.seconds(batch, context, k + 1) >= base
    assert model.seconds(batch, context, k, 100) >= base


@given(models, st.floats(0, 1e4), st.integers(0, 5))
@settings(max_examples=examples(2_000))
def test_the_knee_is_the_first_batch_of_twice_the_time(
    model: StepTime, context: float, k: int
) -> None:
    knee, twice = model.knee(context, k, most=512), 2 * model.seconds(1, context, k)
    if knee is None:
        assert model.seconds(512, context, k) < twice
    elif twice > 0.0:
        assert model.seconds(knee, context, k) >= twice
        assert knee == 2 or model.seconds(knee - 1, context, k) < twice


@pytest.mark.parametrize("model", [GPU, CPU], ids=["gpu", "cpu"])
def test_a_model_is_found_in_its_own_steps(model: StepTime) -> None:
    assert median_error(fit_step_time(grid(model)), grid(model)) < 0.005


@pytest.mark.parametrize("model", [GPU, CPU], ids=["gpu", "cpu"])
@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_carry_over(model: StepTime, seed: int) -> None:
    points = grid(model, noise=0.05, seed=seed)
    assert median_error(fit_step_time(points), grid(model)) < 0.025
    errors = sorted(cross_validated_errors(points))
    # On points that were not fitted the noise itself remains: a normal's median is 0.67 sigma.
    assert 0.02 < errors[len(errors) // 2] < 0.05


def test_the_roof_is_found() -> None:
    found = fit_step_time(grid(GPU, noise=0.02))
    assert found.token == pytest.approx(GPU.token, rel=0.15)
    assert found.context == pytest.approx(GPU.context, rel=0.15)
    assert found.knee(1024) == pytest.approx(GPU.knee(1024), rel=0.1)


@given(
    st.lists(
        st.builds(
            StepPoint,
            st.integers(1, 64),
            st.floats(1, 1e4),
            st.integers(0, 5),
            st.floats(1e-4, 1.0),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=examples(200))
def test_coefficients_are_never_negative(points: list[StepPoint]) -> None:
    assert all(value >= 0.0 for value in astuple(fit_step_time(points)))


def test_scaling_scales_every_step() -> None:
    for p in grid(GPU)[::7]:
        slower = GPU.scaled(1.5).seconds(p.batch, p.context, p.k)
        assert slower == pytest.approx(1.5 * p.seconds)


def test_a_step_time_needs_points() -> None:
    with pytest.raises(ValueError, match="at least one measured step"):
        fit_step_time([])
    assert cross_validated_errors(grid(GPU)[:5]) == []
