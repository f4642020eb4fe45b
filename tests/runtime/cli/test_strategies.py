"""``frontrunner strategies``."""

from frontrunner.strategies import (
    stop_rule_names,
    strategy_names,
    strategy_parameters,
    weight_names,
)

from .conftest import RunCli


def test_all_are_listed_with_parameters_defaults_and_sources(run_cli: RunCli) -> None:
    lines = run_cli("strategies", "--json").lines()
    named = [(line["kind"], line["name"]) for line in lines]
    assert named == [
        *(("strategy", name) for name in strategy_names()),
        *(("stop rule", name) for name in stop_rule_names()),
        *(("weight", name) for name in weight_names() if name != "auto"),  # one of the others
    ]
    for line in lines:
        assert line["summary"]
        assert all(parameter["meaning"] for parameter in line["parameters"])
        if line["kind"] == "strategy":
            told = [parameter["name"] for parameter in line["parameters"]]
            assert told == [p.name for p in strategy_parameters(line["name"])]
    (first,) = [line for line in lines if line["name"] == "first_to_m"]
    assert first["source"] == "arXiv 2505.17813"
    assert {p["name"]: p["default"] for p in first["parameters"]}["m"] == 3
    (majority,) = [line for line in lines if line["name"] == "majority"]
    assert {p["name"]: p["default"] for p in majority["parameters"]}["beta"] == 0.949976


def test_as_a_table_each_has_its_line(run_cli: RunCli) -> None:
    done = run_cli("strategies")
    assert done.status == 0
    assert all(name in done.out for name in (*strategy_names(), *stop_rule_names()))


def test_one_is_told_in_full(run_cli: RunCli) -> None:
    done = run_cli("strategies", "majority", "flip_risk")
    assert "max_flip_risk=0.02: probability" in done.out
    assert "stop=flip_risk" in done.out


def test_one_of_a_users_own(run_cli: RunCli) -> None:
    done = run_cli("strategies", "examples.own_strategy:Agreement")
    assert "agree=2: branches that must give the same answer" in done.out
    rule = run_cli("strategies", "examples.own_stop_rule:Unanimous", "--json").lines()
    assert (rule[0]["kind"], rule[0]["parameters"][0]["name"]) == ("stop rule", "votes")
    weight = run_cli("strategies", "examples.own_weight:Concise", "--json").lines()
    assert (weight[0]["kind"], weight[0]["parameters"][0]["name"]) == ("weight", "power")


def test_what_there_is_not(run_cli: RunCli) -> None:
    done = run_cli("strategies", "majorty")
    assert (done.status, "did you mean 'majority'?" in done.err) == (2, True)
    done = run_cli("strategies", "no_such.module:Thing")
    assert (done.status, "there is no module" in done.err) == (2, True)
