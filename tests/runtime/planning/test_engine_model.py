"""What is made of a profile's points."""

import pytest

from frontrunner.runtime.cost_model.acceptance import NOTHING_ACCEPTED, AcceptanceCount
from frontrunner.runtime.planning.engine_model import engine_models, step_points
from frontrunner.runtime.planning.profile import PacePoint, Profile, Variant


def pace(batch: int, context: float, seconds: float, aimed: int | None) -> PacePoint:
    return PacePoint(batch, context, 16.0, seconds, 32.0, 32.0, aimed)


def test_of_repeats_counts_the_median() -> None:
    disturbed = [pace(4, 100.0, 1.0, 0), pace(4, 110.0, 9.0, 0), pace(4, 120.0, 1.5, 0)]
    others = [pace(8, 100.0, 2.0, 0), pace(4, 500.0, 3.0, 480)]
    points = step_points(
        [Variant("none", "none", 0, {}, paces=disturbed + others)], NOTHING_ACCEPTED
    )
    assert sorted((p.batch, p.context, p.seconds) for p in points) == [
        (4, 110.0, 1.5),
        (4, 500.0, 3.0),
        (8, 100.0, 2.0),
    ]


def test_points_of_no_measurement_stand_for_themselves() -> None:
    paces = [pace(4, 100.0, 1.0, None), pace(4, 100.0, 2.0, None)]
    points = step_points([Variant("none", "none", 0, {}, paces=paces)], NOTHING_ACCEPTED)
    assert sorted(p.seconds for p in points) == pytest.approx([1.0, 2.0])


def test_a_proposer_that_drafts_less_in_a_large_batch_yields_less_there() -> None:
    plain = [pace(batch, 100.0, 0.01, 0) for batch in (1, 8, 32)]
    drafting = [
        PacePoint(batch, 100.0, 16.0, 0.02 / yielded, 32.0 * yielded, 32.0, 0)
        for batch, yielded in ((1, 2.0), (8, 2.0), (32, 1.5))
    ]
    # Several questions in one: less is accepted there than of any that is asked.
    drafting.append(PacePoint(8, 500.0, 16.0, 0.02 / 1.2, 38.4, 32.0, 480))
    counts = [AcceptanceCount(4, 0, 100, 200)]
    model = engine_models(
        Profile(
            engine="vllm",
            model="m",
            hardware="h",
            settings={},
            quick=False,
            prompt_tokens=100,
            max_branches=32,
            max_context_tokens=1024,
            variants=[
                Variant("none", "none", 0, {}, paces=plain),
                Variant("own", "cross_branch", 4, {}, paces=drafting, accepted=counts),
            ],
        )
    )["cross_branch"]
    yielded = {b: model.acceptance.tokens_per_step(4, 16, b) for b in (1, 8, 20, 32)}
    assert yielded == pytest.approx({1: 2.0, 8: 2.0, 20: 1.75, 32: 1.5}, rel=1e-3)
    assert model.tokens_per_second(32, 100.0, 4, 16) == pytest.approx(1.5 / 0.02, rel=0.05)
