"""The example of agents, as it is run."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_first_whose_tests_pass_wins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    runpy.run_path(str(ROOT / "examples/agents.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "min(max(x, low), high) reward_threshold Outcome(" in said
    assert "cost=0.2" in said
    assert "0 I have 30 s for: Write clamp" in said
