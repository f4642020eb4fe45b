"""What a plan leaves behind for the run time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.planning.profile import ProfileError
from frontrunner.runtime.planning.runtime_models import RuntimeModels

from .simulating import ACCURACY, MODELS


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
