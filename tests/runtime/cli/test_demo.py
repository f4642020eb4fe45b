"""The demo: problems with known answers, the same ones each time."""

import textwrap

import pytest

from frontrunner.runtime.cli.display import displays
from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines import BranchScript, Generation, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

from .conftest import RunCli, scripted


def test_it_races_the_problems_and_sums_up(run_cli: RunCli) -> None:
    # Right in the first race, wrong in the second.
    first, second = (problem.answer for problem in hard_problems("select", 2, seed=4))

    def make(settings: Settings) -> Runtime:
        def choose(request: Generation) -> BranchScript:
            races = sum(r.branch == 0 for r in engine.requests)
            answer = first if races == 1 else second + 1
            return BranchScript.answering(str(answer), seconds=0.02)

        engine = ScriptedEngine(Script((), chooser=choose))
        return Runtime(engine, settings)

    done = run_cli("demo", "--count", "2", "--seed", "4", "--deadline", "5", make_runtime=make)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"1/2 ✓ {first} ")
    assert lines[1].startswith(f"2/2 ✗ {second + 1} (right: {second})")
    assert "2 of 2 in time, 1 right" in done.out
    assert "frontrunner solve" in done.out
    snippet = done.out.partition("in a file of its own:\n\n")[2]
    compile(textwrap.dedent(snippet), "snippet", "exec")
    assert f'from_config("{demo_config_path()}")' in done.out
    assert "\x1b" not in done.out


def test_the_same_seed_gives_the_same_problems(run_cli: RunCli) -> None:
    def answers(seed: str) -> list[str]:
        out = run_cli("demo", "--count", "3", "--seed", seed).out
        return [line.partition("right: ")[2].partition(")")[0] for line in out.splitlines()[:3]]

    assert answers("5") == answers("5") != answers("6")


def test_a_late_race_is_status_1(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays.Outcome, "in_time", property(lambda outcome: False))
    done = run_cli("demo", "--count", "1", make_runtime=scripted())
    assert done.status == 1


def test_what_to_do_next_works_as_it_is_printed(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/frontrunner", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    out = run_cli("demo", "--count", "1", "--deadline", "5").out
    assert "  .venv/bin/frontrunner solve" in out
    monkeypatch.setattr("sys.argv", ["/usr/bin/pytest"])
    assert "  frontrunner solve" in run_cli("demo", "--count", "1", "--deadline", "5").out
