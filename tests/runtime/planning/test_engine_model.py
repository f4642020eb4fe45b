"""What is made of a profile's points."""

import pytest

from frontrunner.runtime.planning.engine_model import step_points
from frontrunner.runtime.planning.profile import PacePoint, Variant
from frontrunner.strategies.acceptance import NOTHING_ACCEPTED


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
