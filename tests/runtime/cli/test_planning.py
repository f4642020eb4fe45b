"""``profile``, ``pilot`` and ``plan``, one after another, on engines that are simulated."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.cost_model.acceptance import Acceptance
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.engines.workloads import SampledWorkload
from frontrunner.runtime.planning.profile import Profile
from frontrunner.runtime.planning.runtime_models import RuntimeModels
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.lengths import LengthModel

from .conftest import RunCli
from .test_bad_input import assert_one_sentence

#: Quick steps: these tests run on the real clock, and look at no time.
STEP = StepTime(constant=2e-4, row=2e-6, draft=1e-5)
DRAFT = "speculation.method=draft_model,speculation.model=demo-draft,speculation.tokens=1|3"


def simulated(settings: Settings) -> Runtime:
    speculation = settings.engine.speculation
    k = 0 if speculation.method == "none" else speculation.tokens
    hardware = SimulatedHardware(STEP, Acceptance((0,), (0.6,)), constant_k(k), 16, 1024, 512)
    workload = SampledWorkload(LengthModel.from_quantiles(60, 90), {"7": 0.7, "8": 0.3})
    return Runtime(SimulatedEngine(hardware, workload), settings)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "engine.toml"
    path.write_text(
        '[engine]\nmodel = "some/model"\nmax_branches = 16\n[sampling]\nmax_tokens = 200\n'
        "[answers]\nworkers = 0\n"
    )
    return str(path)


@pytest.fixture
def questions(tmp_path: Path) -> str:
    path = tmp_path / "questions.jsonl"
    lines = [{"question": f"number {n}: what is 3 + 4?", "answer": "7"} for n in range(4)]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return str(path)


def profiled(
    run_cli: RunCli, config: str, out: Path, *more: str, make: Callable[[Settings], Runtime]
) -> dict[str, Any]:
    arguments = ("--config", config, "--quick", "--out", str(out), "--no-plot", "--json")
    done = run_cli("profile", *arguments, *more, make_runtime=make)
    assert done.status == 0, done.err
    (found,) = done.lines()
    return found


@pytest.mark.slow
def test_profile_pilot_and_plan(
    run_cli: RunCli, config: str, questions: str, tmp_path: Path
) -> None:
    profile, pilot = tmp_path / "profile.json", tmp_path / "pilot.ndjson"
    found = profiled(run_cli, config, profile, "--engine-args", DRAFT, make=simulated)
    assert set(found["methods"]) == {"none", "draft_model"}
    assert found["methods"]["draft_model"]["draft_tokens"] == [0, 1, 3]
    kept = Profile.read(profile)
    assert (kept.model, kept.engine, kept.max_branches) == ("some/model", "simulated", 16)
    assert [v.k for v in kept.variants] == [0, 1, 3]
    assert kept.complete
    assert "frontrunner" in kept.versions

    arguments = ("--file", questions, "--config", config, "--branches", "8", "--out", str(pilot))
    done = run_cli("pilot", *arguments, "--probe-every", "16", make_runtime=simulated)
    assert done.status == 0, done.err
    assert "4 races, 32 of 32 branches to their end" in done.err
    assert len(pilot.read_bytes().splitlines()) == 4
    again = run_cli("pilot", *arguments, make_runtime=simulated)
    assert (again.status, again.err) == (0, f"4 questions are in {pilot}\n")
    assert len(pilot.read_bytes().splitlines()) == 4

    out = tmp_path / "planned.toml"
    inputs = ("--profile", str(profile), "--pilot", str(pilot), "--config", config)
    arguments = ("--deadline", "0.3,2", "--draws", "30", "--out", str(out), "--json")
    done = run_cli("plan", *inputs, *arguments)
    assert done.status == 0, done.err
    (plan,) = done.lines()
    assert plan["deadline"] == 0.3
    assert plan["branches"] in (1, 2, 4, 8)
    assert plan["speculation"]["method"] in ("none", "draft_model")
    assert set(plan["expected"]) >= {"accuracy", "accuracy_error", "p50", "p95", "tokens"}
    assert plan["expected"]["p95"] <= 0.3
    assert [p["deadline"] for p in plan["curve"]] == [0.3, 2.0]
    assert len(plan["looked_at"]) >= 4 * 3

    # What it wrote is a config that starts a runtime, and the models for one.
    settings = Settings.from_toml(out)
    assert (settings.race.branches, settings.race.deadline) == (plan["branches"], 0.3)
    assert settings.engine.speculation.method == plan["speculation"]["method"]
    assert tomllib.loads(out.read_text())["answers"] == {"workers": 0}
    assert RuntimeModels.read(out.with_suffix(".json")).accuracy.branches == (1, 2, 4, 8)
    solved = run_cli("solve", "what?", "--config", str(out), "--quiet", make_runtime=simulated)
    assert (solved.status, solved.out) in [(0, "7\n"), (0, "8\n")]

    said = run_cli("plan", "--deadline", "2", *inputs, "--search", "greedy", "--load", "4")
    assert (said.status, said.err) == (0, "")
    for words in ("some/model", "branches, because", "forced answers", "a single branch"):
        assert words in said.out
    other = run_cli("plan", "--deadline", "2", *inputs, "--set", "engine.model='other/model'")
    assert "the profile is of some/model, and the config's engine has other/model" in other.err


def test_a_pilot_that_was_killed_goes_on(run_cli: RunCli, config: str, tmp_path: Path) -> None:
    questions, pilot = tmp_path / "gsm8k.jsonl", tmp_path / "pilot.ndjson"
    lines = [{"question": f"{n}?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"} for n in range(3)]
    questions.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))

    def scripted(settings: Settings) -> Runtime:
        return Runtime(
            ScriptedEngine(Script((BranchScript.answering("7", seconds=0.0),))), settings
        )

    arguments = ("--file", str(questions), "--config", config, "--branches", "2", "-o", str(pilot))
    done = run_cli("pilot", *arguments, "--probe-every", "0", make_runtime=scripted)
    assert "3 races right" in done.err  # by what stands behind the ####
    content = pilot.read_bytes()
    for broken, left in ((content[:-30], 2), (content[:-1], 3), (content + b'{"fron', 3)):
        pilot.write_bytes(broken)
        again = run_cli("pilot", *arguments, "--probe-every", "0", make_runtime=scripted)
        assert again.status == 0, again.err
        assert f"{left} questions are in" in again.err
        races = [orjson.loads(line) for line in pilot.read_bytes().splitlines()[:3]]
        assert [race["question"] for race in races] == ["0?", "1?", "2?"]


def test_a_trace_is_added_to_in_a_line_of_its_own(run_cli: RunCli, tmp_path: Path) -> None:
    trace = tmp_path / "trace.ndjson"
    arguments = ("solve", "q", "--quiet", "--branches", "2", "--trace", str(trace))
    assert run_cli(*arguments).status == 0
    (first,) = trace.read_bytes().splitlines(keepends=True)
    for before, kept in ((first + first[:50], first), (first[:-1], first), (b"mine", b"mine\n")):
        trace.write_bytes(before)
        assert run_cli(*arguments).status == 0
        content = trace.read_bytes()
        assert content.startswith(kept)
        (added,) = content.removeprefix(kept).splitlines()
        assert orjson.loads(added)["question"] == "q"


@pytest.mark.parametrize("every", ["0", "4"])
def test_a_pilot_records_likelihoods(
    run_cli: RunCli, config: str, questions: str, tmp_path: Path, every: str
) -> None:
    scripts = [
        BranchScript.answering(answer, seconds=0.01, logprob=logprob)
        for answer, logprob in (("8", -0.9), ("7", -0.1), ("8", -0.8))
    ]
    forced = [BranchScript((Piece(0.0, "7}", 2),))]

    def scripted(settings: Settings) -> Runtime:
        engine = ScriptedEngine(Script(scripts, forced), max_branches=16, logprobs=True)
        return Runtime(engine, settings)

    pilot = tmp_path / "pilot.ndjson"
    arguments = ("--file", questions, "--config", config, "--branches", "3", "--out", str(pilot))
    more = ("--probe-every", every, "--logprobs")
    done = run_cli("pilot", *arguments, *more, make_runtime=scripted)
    assert done.status == 0, done.err
    rules = ("-s", "majority:stop=none,weight=likelihood", "-s", "majority:stop=none,weight=none")
    done = run_cli("replay", str(pilot), "-b", "3", "-n", "4", "--processes", "1", *rules, "--json")
    assert done.status == 0, done.err
    right = {line["strategy"]: line["accuracy"] for line in done.lines()}
    assert right["majority:stop=none,weight=likelihood"] == 1.0
    assert right["majority:stop=none,weight=none"] == 0.0


def test_a_profile_is_added_to_and_begun_anew(run_cli: RunCli, config: str, tmp_path: Path) -> None:
    out, started = tmp_path / "profile.json", list[str]()

    def make(settings: Settings) -> Runtime:
        started.append(settings.engine.speculation.method)
        return simulated(settings)

    profiled(run_cli, config, out, make=make)
    first = Profile.read(out).variants[0].paces
    profiled(run_cli, config, out, "--engine-args", "speculation.method=ngram", make=make)
    assert started == ["none", "ngram"]
    assert Profile.read(out).variants[0].paces == first
    profiled(run_cli, config, out, "--fresh", make=make)
    assert started == ["none", "ngram", "none"]
    assert len(Profile.read(out).variants) == 1
    done = run_cli("profile", "--config", config, "--out", str(out), "--no-plot", make_runtime=make)
    assert done.status == 2
    assert_one_sentence(done.err, "another engine or another extent")


def test_variants_in_turns_are_measured_together(
    run_cli: RunCli, config: str, tmp_path: Path
) -> None:
    out = tmp_path / "profile.json"
    seen: list[tuple[str, int]] = []

    def make(settings: Settings) -> Runtime:
        # As each engine starts: what has been measured of the others.
        done = [len(v.done) for v in Profile.read(out).variants] if out.exists() else []
        seen.append((settings.engine.speculation.method, sum(done)))
        return simulated(settings)

    found = profiled(run_cli, config, out, "--engine-args", DRAFT, "--in-turns", make=make)
    assert seen == [("none", 0), ("draft_model", 0), ("draft_model", 0)]
    assert set(found["methods"]) == {"none", "draft_model"}
    assert Profile.read(out).complete
    profiled(run_cli, config, out, "--engine-args", DRAFT, "--in-turns", make=make)
    assert len(seen) == 3  # nothing was lacking


def test_data_sheets_need_no_engine(run_cli: RunCli, tmp_path: Path) -> None:
    out = tmp_path / "32b.json"
    arguments = ("--simulate", "qwen2.5-32b:h200", "--draft", "qwen2.5-0.5b", "--out", str(out))
    done = run_cli("profile", *arguments)
    assert done.status == 0, done.err
    assert "no measurement" in done.out
    assert Profile.read(out).modelled
    assert (tmp_path / "32b.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("profile", "--no-plot", "--engine-args", "speculation"), "--engine-args takes keys"),
        (("profile", "--no-plot", "--engine-args", "speculation.method=magic"), "--engine-args: "),
        (("profile", "--no-plot", "--simulate", "gpt:h100"), "no model 'gpt' is known"),
        (("profile", "--no-plot", "--draft", "qwen2.5-0.5b"), "--draft is for --simulate"),
        (("pilot", "--branches", "64"), "probes run beside the branches"),
        (("pilot", "--file", "QUESTIONS"), 'have no "answer"'),
        (("plan", "--deadline", "soon"), "--deadline takes seconds"),
        (("plan", "--deadline", "0"), "--deadline takes seconds"),
        (("plan", "--deadline", "1", "--search", "luck"), "--search takes"),
        (("plan", "--deadline", "1", "--load", "-1"), "--load must be"),
        (
            ("plan", "--deadline", "1", "--profile", "none.json"),
            "frontrunner profile --out none.json makes it",
        ),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    run_cli: RunCli, tmp_path: Path, arguments: tuple[str, ...], match: str
) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("What is 3 + 4?\n")
    done = run_cli(*(str(path) if part == "QUESTIONS" else part for part in arguments))
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)


@pytest.mark.parametrize("command", ["profile", "pilot", "plan"])
def test_help_teaches(run_cli: RunCli, command: str) -> None:
    done = run_cli(command, "--help")
    assert (done.status, done.err) == (0, "")
    for words in ("Examples", f"frontrunner {command}", "Exit status"):
        assert words in done.out
