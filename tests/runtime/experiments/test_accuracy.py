"""What a confidence is worth, measured on recorded branches, and told with results."""

from pathlib import Path
from random import Random

import orjson
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.experiments.accuracy import (
    Seen,
    calibration_error,
    fit_accuracy,
    seen_races,
)
from frontrunner.runtime.racing.accuracy_map import AccuracyMap, AccuracyStep
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.simulation.cells import StrategySpec
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion
from frontrunner.strategies.protocol import ProbeAnswer

from ..race_harness import WatchedEngine, forced_says, says, stalls

MAJORITY = StrategySpec("majority")


def questions(right: float, count: int = 40, branches: int = 16) -> list[RecordedQuestion]:
    """Branches that agree on one answer with a share that differs from question to question; the
    answer is right in a share ``right`` of the questions, however much they agree."""
    random = Random(7)
    made: list[RecordedQuestion] = []
    for number in range(count):
        agreed = random.uniform(0.4, 1.0)
        ends = [
            RecordedBranch(
                tokens=random.randint(40, 90),
                answer="a" if random.random() < agreed else random.choice("bcd"),
                probes=(ProbeAnswer(20, random.choice("abcd")),),
            )
            for _ in range(branches)
        ]
        gold = "a" if number < right * count else "z"
        made.append(RecordedQuestion(f"q{number}", gold, tuple(ends), frozenset([gold])))
    return made


def test_a_model_that_agrees_with_itself_and_is_wrong_is_found_out() -> None:
    seen = seen_races(questions(right=0.3), MAJORITY, 8, draws=10, seed=0)
    assert {race.forced for of_question in seen for race in of_question} == {False, True}
    known = fit_accuracy(seen, MAJORITY, 8)
    sure = known.estimate(0.99, forced=False)
    assert sure is not None
    assert sure < 0.6
    plain, fitted = calibration_error(seen, None), calibration_error(seen, known)
    assert plain is not None
    assert fitted is not None
    assert fitted < 0.05 < 0.3 < plain


def test_accuracy_rises_with_confidence_and_few_races_prove_nothing() -> None:
    races = [Seen(0.5, False, False)] * 3 + [Seen(0.9, False, True)] * 8 + [Seen(0.7, False, True)]
    known = fit_accuracy([races], MAJORITY, 4)
    assert [step.accuracy for step in known.finished] == sorted(s.accuracy for s in known.finished)
    assert known.estimate(0.5, forced=False) == pytest.approx(1 / 5)
    assert known.estimate(0.95, forced=False) == pytest.approx(10 / 11)
    assert known.estimate(0.1, forced=False) == pytest.approx(1 / 5)
    assert known.estimate(0.9, forced=True) is None


def test_a_file_is_read_as_it_was_written_and_others_are_refused(tmp_path: Path) -> None:
    known = AccuracyMap((AccuracyStep(0.5, 0.25, 8),), (), "majority", 16, 40)
    path = tmp_path / "accuracy.json"
    path.write_bytes(known.json())
    assert AccuracyMap.read(path) == known
    path.write_bytes(orjson.dumps({"finished": []}))
    with pytest.raises(ConfigError, match=r"race\.calibration.*frontrunner calibrate --accuracy"):
        AccuracyMap.read(path)
    with pytest.raises(ConfigError, match=r"race\.calibration.*cannot be read"):
        AccuracyMap.read(tmp_path / "none.json")


def test_the_file_is_looked_for_beside_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[race]\ncalibration = "accuracy.json"\n')
    settings = Settings.from_toml(config)
    assert settings.race.calibration == str((tmp_path / "accuracy.json").resolve())


async def test_results_say_how_likely_they_are_right(tmp_path: Path) -> None:
    steps = (AccuracyStep(0.5, 0.2, 30), AccuracyStep(0.8, 0.6, 30))
    path = tmp_path / "accuracy.json"
    path.write_bytes(AccuracyMap(steps, (AccuracyStep(0.5, 0.1, 9),), "majority", 3, 40).json())
    data = {"race": {"calibration": str(path)}, "answers": {"workers": 0}}
    engine = WatchedEngine([says("7", 1)])
    async with Runtime(engine, Settings.from_dict(data)) as runtime:
        assert (await runtime.solve("?", branches=3)).accuracy_estimate == 0.6
        assert (await runtime.solve("?", branches=1)).accuracy_estimate == 0.2
    silent = WatchedEngine([says(None, 1)])
    async with Runtime(silent, Settings.from_dict(data)) as runtime:
        assert (await runtime.solve("?", branches=3)).accuracy_estimate is None
    forced = WatchedEngine([stalls("x ")], [forced_says("7")])
    async with Runtime(forced, Settings.from_dict(data)) as runtime:
        assert (await runtime.solve("?", branches=3, deadline=2)).accuracy_estimate == 0.1
    async with Runtime(engine, Settings.from_dict({"answers": {"workers": 0}})) as runtime:
        assert (await runtime.solve("?", branches=3)).accuracy_estimate is None
