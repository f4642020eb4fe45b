from collections.abc import Sequence

import pytest

from frontrunner.strategies import registry
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    Command,
    Decide,
    Launch,
    Observation,
    RaceView,
    StopReason,
)
from frontrunner.strategies.registry import (
    create_strategy,
    merge_parameters,
    parameter_names,
    register_strategy,
    strategy_names,
)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.STRATEGY_PLUGINS, "registered", {})


class FirstAnswer:
    """A strategy that is no dataclass."""

    def __init__(self, branches: int) -> None:
        self.branches = branches

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return []

    def conclude(self, view: RaceView) -> Decide:
        return Decide(None, None, StopReason.DEADLINE, 0.0)


def test_majority_is_known_with_its_parameters() -> None:
    assert "majority" in strategy_names()
    assert set(parameter_names("majority")) == {
        "branches",
        "stop",
        "weight",
        "min_votes",
        "max_flip_risk",
        "threshold",
        "top",
        "lead",
        "window",
        "alpha",
        "beta",
        "alternative",
        "logprobs",
        "group",
        "sharpness",
        "force_answers",
    }


def test_all_strategies_are_known_by_their_names() -> None:
    assert set(strategy_names()) == {
        "single",
        "budget_forcing",
        "majority",
        "first_to_m",
        "confidence",
        "weighted",
        "best_of_n",
        "prune",
        "beam",
        "dvts",
        "particle",
        "probe",
    }


def test_a_change_of_rule_drops_what_then_means_nothing() -> None:
    config = {"max_flip_risk": 0.05, "min_votes": 4}
    assert merge_parameters("majority", config, {"stop": "none"}) == {"stop": "none"}
    merged = merge_parameters("majority", config, {"stop": "lead", "lead": 2})
    assert create_strategy("majority", merged) == Majority(stop="lead", lead=2, min_votes=4)


def test_a_change_itself_is_never_dropped() -> None:
    changes = {"stop": "none", "max_flip_risk": 0.1}
    assert merge_parameters("majority", {}, changes) == changes
    with pytest.raises(ValueError, match="max_flip_risk has no meaning"):
        create_strategy("majority", merge_parameters("majority", {}, changes))


def test_parameters_of_strategies_without_such_choices_are_merged_as_they_are() -> None:
    register_strategy("first_answer", FirstAnswer)
    merged = merge_parameters("first_answer", {"branches": 2, "more": 1}, {"branches": 3})
    assert merged == {"branches": 3, "more": 1}
    assert merge_parameters("nobody", {"a": 1}, {"b": 2}) == {"a": 1, "b": 2}


def test_a_strategy_is_made_from_its_name_and_parameters() -> None:
    made = create_strategy("majority", {"branches": 5, "stop": "clinch"})
    assert made == Majority(branches=5, stop="clinch")


def test_every_race_gets_a_strategy_of_its_own() -> None:
    assert create_strategy("majority", {}) is not create_strategy("majority", {})


def test_an_unknown_strategy_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match=r"unknown strategy 'magic'.*majority"):
        create_strategy("magic", {})


def test_an_unknown_parameter_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match=r"majority has no parameter 'brunches'.*branches"):
        create_strategy("majority", {"brunches": 5})


def test_private_state_is_no_parameter() -> None:
    with pytest.raises(ValueError, match="no parameter '_called'"):
        create_strategy("majority", {"_called": True})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("branches", -1),
        ("stop", "sometimes"),
        ("min_votes", 0),
        ("max_flip_risk", -0.1),
        ("max_flip_risk", 1.0),
        ("max_flip_risk", float("nan")),
        ("weight", "heavy"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        create_strategy("majority", {parameter: value})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", "3"),
        ("branches", 3.0),
        ("branches", True),
        ("branches", None),
        ("max_flip_risk", "0.2"),
        ("max_flip_risk", True),
        ("force_answers", "no"),
        ("force_answers", 1),
        ("stop", 3),
        ("stop", ["none"]),
    ],
)
def test_a_parameter_of_a_wrong_type_is_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        create_strategy("majority", {parameter: value})


def test_a_whole_number_is_a_number() -> None:
    assert create_strategy("majority", {"max_flip_risk": 0}) == Majority(max_flip_risk=0)


def test_a_registered_strategy_can_be_made() -> None:
    register_strategy("first_answer", FirstAnswer)
    assert "first_answer" in strategy_names()
    made = create_strategy("first_answer", {"branches": 3})
    assert isinstance(made, FirstAnswer)
    assert made.branches == 3
    assert parameter_names("first_answer") == ("branches",)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'majority' is registered already"):
        register_strategy("majority", FirstAnswer)


@pytest.mark.parametrize("value", ["0.5", True])
def test_an_optional_number_must_be_a_number_too(value: object) -> None:
    with pytest.raises(ValueError, match="threshold must be a number"):
        create_strategy("best_of_n", {"threshold": value})
    create_strategy("best_of_n", {"threshold": None})
    create_strategy("best_of_n", {"threshold": 1})
