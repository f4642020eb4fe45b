"""Strategies, stop rules, weights, extractors, reward models and trace readers of a user's own: a
package outside the repository, live, in replay and in plan."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

import frontrunner
from frontrunner import BadRequest, ConfigError, Settings
from frontrunner.answers import Extractor, extractor_names, register_extractor
from frontrunner.experiments import register_trace_reader, replay_draws, trace_reader_names
from frontrunner.rewards import register_reward
from frontrunner.runtime.answers.registry import EXTRACTOR_PLUGINS
from frontrunner.runtime.cli import main as frontrunner_command
from frontrunner.runtime.cli.common.command_races import RaceOptions
from frontrunner.runtime.config.rewards import REWARD_PLUGINS
from frontrunner.runtime.cost_model.acceptance import NOTHING_ACCEPTED
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.experiments import replay as replaying
from frontrunner.runtime.experiments.replay import Job, Replay
from frontrunner.runtime.planning.engine_model import EngineModel, Linear
from frontrunner.runtime.planning.estimating import Candidate, Conditions, Estimator
from frontrunner.runtime.planning.plan import stops_of
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.simulation.cells import Cell, StrategySpec
from frontrunner.runtime.traces.recordings import (
    RecordedBranch,
    RecordedQuestion,
    TraceError,
)
from frontrunner.runtime.traces.trace_files import READER_PLUGINS, read_traces
from frontrunner.strategies import (
    BranchView,
    Command,
    Decide,
    Launch,
    Needs,
    Observation,
    Poll,
    RaceView,
    StopReason,
    create_strategy,
    register_stop_rule,
    register_strategy,
    register_weight,
    stop_rule_names,
    strategy_names,
    strategy_parameters,
    weight_names,
)
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.own_weights import WEIGHT_PLUGINS
from frontrunner.strategies.registry import STRATEGY_PLUGINS, load_plugins, merge_parameters
from frontrunner.strategies.stop_rules import STOP_PLUGINS
from frontrunner.testing import BranchScript, Piece, run_race

pytestmark = pytest.mark.slow  # it starts processes of its own

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ENTRY_POINTS = """\
[frontrunner.strategies]
agreement = votekit.own_strategy:Agreement
broken = votekit.missing:Agreement
number = votekit:NUMBER
[frontrunner.stop_rules]
unanimous = votekit.own_stop_rule:Unanimous
broken = votekit.missing:Rule
[frontrunner.weights]
concise = votekit.own_weight:Concise
broken = votekit.missing:Weight
[frontrunner.extractors]
verdict = votekit.own_extractor:verdict
broken = votekit.missing:find
[frontrunner.rewards]
holds = votekit.own_reward:holds
broken = votekit.missing:score
[frontrunner.trace_readers]
broken = votekit.missing:read
rows = votekit.own_reader:rows
"""
CSV = "question,gold,answer,tokens\n6 * 7?,42,42,3\n6 * 7?,42,48,9\n6 * 7?,42,,12\n"
ANSWERS = [("41", 1.0), ("42", 2.0), ("42", 3.0), ("41", 9.0)]
SCRIPT = [BranchScript.answering(answer, seconds=seconds) for answer, seconds in ANSWERS]


def install(folder: Path, package: str, entry_points: str) -> None:
    """What pip leaves of a package, as far as it is asked about."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    of_strategies = (STRATEGY_PLUGINS, STOP_PLUGINS, WEIGHT_PLUGINS)
    for plugins in (*of_strategies, EXTRACTOR_PLUGINS, REWARD_PLUGINS, READER_PLUGINS):
        for kept in ("registered", "_imported", "_not_carried"):
            monkeypatch.setattr(plugins, kept, {})


@pytest.fixture
def votekit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a user's, made of the documentation's examples."""
    folder = tmp_path / "site"
    install(folder, "votekit", ENTRY_POINTS)
    (folder / "votekit").mkdir()
    (folder / "votekit" / "__init__.py").write_text("NUMBER = 7\n")
    for example in EXAMPLES.glob("own_*.py"):
        shutil.copy(example, folder / "votekit")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "votekit"]:
        del sys.modules[name]


def question(seed: int) -> RecordedQuestion:
    rng = Random(seed)
    branches = tuple(RecordedBranch(rng.randint(20, 200), rng.choice("778")) for _ in range(6))
    return RecordedQuestion(f"question {seed}", "7", branches, frozenset("7"))


def replay(*strategies: str, processes: int, branches: int = 4) -> list[list[float]]:
    """How long the races of each strategy took, in tokens."""
    cells = [Cell(StrategySpec.parse(text), branches) for text in strategies]
    job = Job([question(seed) for seed in range(3)], cells, draws=4)
    running = Replay(job, processes)
    assert sum(running.run()) == running.races
    return [list(figures.latency) for figures in running.result().cells]


@dataclass
class Patient:
    """Waits for nobody; of a module that other processes can import, unlike a local class."""

    branches: int
    patience: float = 1.0
    mode: str | None = None

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return []

    def conclude(self, view: RaceView) -> Decide:
        return Decide(None, None, StopReason.DEADLINE, 0.0)


class Plain:
    """No dataclass."""

    def __init__(self, branches: int, *, depth: int = 2) -> None:
        self.branches, self.depth = branches, depth

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return []

    def conclude(self, view: RaceView) -> Decide:
        return Decide(None, None, StopReason.DEADLINE, 0.0)


@dataclass(frozen=True)
class Threshold:
    """A rule with a parameter that a rule which is built in has as well."""

    threshold: float = 0.5

    def settled(self, poll: Poll) -> bool:
        return max(poll.weights.values(), default=0) >= self.threshold * poll.count


@dataclass(frozen=True)
class Scored:
    """The score, doubled; a weight with a parameter that rules have as well."""

    threshold: float = 0.0
    needs = Needs(rewards=True)

    def weight(self, branch: BranchView) -> float | None:
        score = branch.score
        return None if score is None or score < self.threshold else 2 * score


# ── live ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["agreement", "votekit.own_strategy:Agreement"])
@pytest.mark.usefixtures("votekit")
def test_a_strategy_is_found_live(name: str) -> None:
    race = {"strategy": name, "parameters": {"agree": 2}}
    result = run_race(SCRIPT, settings={"race": race}, deadline=10.0)
    assert (result.answer, result.elapsed) == ("42", pytest.approx(3.0, abs=0.1))
    asked = run_race(SCRIPT, settings={"race": race}, deadline=10.0, parameters={"agree": 3})
    assert asked.elapsed > 8.0


@pytest.mark.usefixtures("votekit")
def test_an_entry_point_may_be_asked_for_by_a_request() -> None:
    result = run_race(SCRIPT, deadline=10.0, strategy="agreement", parameters={"agree": 1})
    assert (result.answer, result.elapsed) == ("41", pytest.approx(1.0, abs=0.1))


@pytest.mark.parametrize("stop", ["unanimous", "votekit.own_stop_rule:Unanimous"])
@pytest.mark.usefixtures("votekit")
def test_a_stop_rule_is_found_live_with_its_parameters(stop: str) -> None:
    script = [BranchScript.answering("42", seconds=s) for s in (1.0, 2.0, 3.0, 4.0, 5.0, 9.0)]
    race = {"parameters": {"stop": stop, "votes": 2}}
    result = run_race(script, settings={"race": race}, deadline=10.0)
    assert (result.elapsed, result.stop_reason) == (
        pytest.approx(2.0, abs=0.1),
        StopReason.CONFIDENT_MAJORITY,
    )
    # Another rule leaves the parameters of this one without a meaning.
    other = {"stop": "clinch"}
    assert run_race(
        script, settings={"race": race}, deadline=10.0, parameters=other
    ).elapsed == pytest.approx(4.0, abs=0.1)


#: The answer of most branches, which wrote much, comes last.
LENGTHS = [
    BranchScript((Piece(seconds, f"\\boxed{{{answer}}}", tokens),))
    for answer, seconds, tokens in (("42", 1.0, 5), ("41", 2.0, 80), ("41", 3.0, 90))
]


@pytest.mark.parametrize("weight", ["concise", "votekit.own_weight:Concise"])
@pytest.mark.usefixtures("votekit")
def test_a_weight_is_found_live_with_its_parameters(weight: str) -> None:
    race = {"branches": 3, "parameters": {"stop": "none", "weight": weight, "power": 1}}

    def won(**parameters: Any) -> str | None:
        settings = {"race": race}
        return run_race(LENGTHS, settings=settings, deadline=9.0, parameters=parameters).answer

    assert (won(), won(power=0)) == ("42", "41")
    # Another weight leaves the parameters of this one without a meaning.
    assert won(weight="none") == "41"


@pytest.mark.usefixtures("votekit")
def test_a_rule_and_a_weight_of_ones_own_go_together() -> None:
    parameters = {"weight": "concise", "power": 2.0, "stop": "unanimous", "votes": 2}
    made = create_strategy("weighted", parameters)
    assert isinstance(made, Majority)
    assert [getattr(made.weight, "power", None), getattr(made.stop, "votes", None)] == [2.0, 2]
    settings = {"race": {"branches": 3, "parameters": parameters}}
    script = [BranchScript.answering("42", seconds=s) for s in (1.0, 2.0, 9.0)]
    result = run_race(script, settings=settings, deadline=10.0)
    assert result.elapsed == pytest.approx(2.0, abs=0.1)


def test_a_weight_may_need_scores() -> None:
    async def length(question: str, text: str) -> float:
        return len(text)

    register_weight("scored", Scored)
    register_reward("length", length)
    settings = {
        "race": {"branches": 3, "parameters": {"weight": "scored", "stop": "none"}},
        "rewards": {"kind": "own", "name": "length"},
    }
    script = [
        BranchScript.answering(answer, seconds=1.0, closing=why + "\\boxed{{{answer}}}")
        for answer, why in (("7", ""), ("7", ""), ("8", "for a very good reason " * 9))
    ]
    assert run_race(script, settings=settings, deadline=9.0).answer == "8"


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_number_costs_no_answer(weight: float) -> None:
    class Wrong:
        def weight(self, branch: BranchView) -> float:
            return weight

    register_weight("wrong", Wrong)
    parameters = {"weight": "wrong", "stop": "none"}
    result = run_race(LENGTHS, branches=3, deadline=9.0, parameters=parameters)
    assert result.answer == "41"


@pytest.mark.parametrize("kind", ["verdict", "votekit.own_extractor:verdict"])
@pytest.mark.usefixtures("votekit")
def test_an_extractor_is_found_live(kind: str) -> None:
    closing = "Verdict: {answer}."
    script = [BranchScript.answering("guilty", seconds=s, closing=closing) for s in (1.0, 2.0)]
    result = run_race(
        script, settings={"answers": {"kind": kind}}, deadline=10.0, parameters={"weight": "none"}
    )
    assert result.votes == {"guilty": 2}


@pytest.mark.parametrize("name", ["holds", "votekit.own_reward:holds"])
@pytest.mark.usefixtures("votekit")
def test_a_reward_model_is_found_live(name: str) -> None:
    script = [
        BranchScript.answering(answer, seconds=1.0, closing="1 + 1 = {answer} \\boxed{{{answer}}}")
        for answer in ("3", "2", "3")
    ]
    settings = {
        "race": {"strategy": "best_of_n"},
        "rewards": {"kind": "own", "name": name, "parameters": {"concurrency": 2}},
    }
    assert run_race(script, settings=settings, deadline=10.0).answer == "2"


def test_registered_parts_are_found_live() -> None:
    async def length(question: str, text: str) -> float:
        return len(text)

    register_strategy("patient", Patient)
    register_stop_rule("threshold", Threshold)
    register_extractor("last_word", lambda text: text.split()[-1] if text else None)
    register_reward("length", length)
    assert run_race(SCRIPT, deadline=4.0, strategy="patient").elapsed == pytest.approx(4, abs=0.1)
    settings = {
        "race": {"strategy": "weighted", "parameters": {"stop": "threshold", "threshold": 0.1}},
        "answers": {"kind": "last_word"},
        "rewards": {"kind": "own", "name": "length"},
    }
    result = run_race(SCRIPT, settings=settings, deadline=10.0)
    assert (result.answer, result.elapsed) == ("\\boxed{41}", pytest.approx(1.0, abs=0.1))


def test_a_rule_may_be_passed_as_it_is() -> None:
    assert Majority(branches=4, stop=Threshold(0.2)).stop == Threshold(0.2)
    with pytest.raises(ValueError, match="max_flip_risk has no meaning"):
        Majority(stop=Threshold(), max_flip_risk=0.1)


def test_an_extractor_says_itself_whether_it_can_be_forced() -> None:
    found = Extractor(lambda text: None, lambda text: None, str, forcible=False)
    EXTRACTOR_PLUGINS.register("unforced", found)
    result = run_race(SCRIPT, settings={"answers": {"kind": "unforced"}}, deadline=0.9)
    assert result.answer is None
    assert not any(branch.forced for branch in result.branches)


# ── what a request may not do ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"strategy": "votekit.own_strategy:Agreement"}, id="strategy"),
        pytest.param({"parameters": {"stop": "votekit.own_stop_rule:Unanimous"}}, id="stop"),
        pytest.param({"parameters": {"weight": "votekit.own_weight:Concise"}}, id="weight"),
        pytest.param({"answers": "votekit.own_extractor:verdict"}, id="answers"),
        pytest.param({"answers": {"kind": "votekit.own_extractor:verdict"}}, id="kind"),
    ],
)
@pytest.mark.usefixtures("votekit")
def test_a_request_imports_nothing_that_it_names(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        run_race(SCRIPT, deadline=10.0, **options)
    assert not [name for name in sys.modules if name.startswith("votekit")]


@pytest.mark.usefixtures("votekit")
def test_a_request_may_name_what_the_config_has_named() -> None:
    name = "votekit.own_strategy:Agreement"
    Settings.from_dict({"race": {"strategy": name}})
    assert run_race(SCRIPT, deadline=10.0, strategy=name).answer == "42"


@pytest.mark.usefixtures("votekit")
def test_the_command_line_may_name_modules() -> None:
    options = RaceOptions(
        strategy="votekit.own_strategy:Agreement", parameters={"agree": 2}, branches=4
    )
    options.check(Settings())
    assert options.strategy in strategy_names()


# ── in replay ─────────────────────────────────────────────────────────────────────────────────

NAMED = (
    "agreement:agree=1",
    "votekit.own_strategy:Agreement:agree=1",
    "majority:stop=unanimous,votes=2",
    "majority:stop=votekit.own_stop_rule:Unanimous,votes=2",
    "majority:stop=clinch,weight=concise,power=3.0",
    "majority:stop=clinch,weight=votekit.own_weight:Concise,power=3.0",
    "majority:stop=clinch,weight=none",
)


@pytest.mark.usefixtures("votekit")
def test_parts_are_found_in_the_processes_of_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    here = replay(*NAMED, "first_to_m:m=1", processes=1)
    assert here[0] == here[1] == here[-1]
    assert here[2] == here[3]
    assert here[4] == here[5] != here[6]
    monkeypatch.setattr(replaying, "_WORTH_PROCESSES", 1)
    assert replay(*NAMED, "first_to_m:m=1", processes=2) == here


#: A program of a user's, which registers what is in a module and what is in the program itself.
PROGRAM = """\
import sys
from dataclasses import dataclass

from frontrunner import BadRequest
from frontrunner.runtime.experiments import replay as replaying
from frontrunner.runtime.experiments.replay import Job, Replay
from frontrunner.runtime.simulation.cells import Cell, StrategySpec
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion
from frontrunner.strategies import register_stop_rule, register_strategy, register_weight
from votekit.own_stop_rule import Unanimous
from votekit.own_strategy import Agreement
from votekit.own_weight import Concise


class Mine(Agreement):
    pass


def replayed(*strategies):
    branches = tuple(RecordedBranch(10 * n, "7") for n in range(1, 5))
    question = RecordedQuestion("a question", "7", branches, frozenset("7"))
    job = Job([question], [Cell(StrategySpec.parse(text), 4) for text in strategies], draws=4)
    replay = Replay(job, 2)
    sum(replay.run())
    print("replayed", len(replay.result().cells))


if __name__ == "__main__":
    replaying._WORTH_PROCESSES = 1
    register_strategy("of_a_module", Agreement)
    register_strategy("of_the_program", Mine)
    register_stop_rule("a_rule", Unanimous)
    register_weight("a_weight", Concise)
    ruled = "majority:stop=a_rule,votes=2,weight=a_weight,power=2"
    replayed("of_a_module:agree=2", "of_the_program", ruled)

    @dataclass
    class Local(Agreement):
        pass

    register_strategy("local", lambda **parameters: Local(**parameters))
    replayed("of_a_module")  # what it does not ask for does not matter
    try:
        replayed("local:agree=2")
    except BadRequest as error:
        print("refused", error)
"""


def test_what_a_program_registers_is_carried_to_the_processes_or_refused(
    votekit: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = [str(Path(frontrunner.__file__).parents[1]), str(votekit)]
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (first, second) == ("replayed 3", "replayed 1")
    assert third.startswith("refused strategy 'local' is registered with something that another")
    assert "--processes 1" in third


# ── in plan ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "race",
    [
        pytest.param(
            {"strategy": "agreement", "parameters": {"agree": 1}},
            id="entry point",
        ),
        pytest.param(
            {"strategy": "votekit.own_strategy:Agreement", "parameters": {"agree": 1}},
            id="reference",
        ),
        pytest.param({"parameters": {"stop": "unanimous", "votes": 2}}, id="stop rule"),
        pytest.param(
            {
                "parameters": {
                    "weight": "votekit.own_weight:Concise",
                    "power": 2.0,
                    "stop": "lead",
                    "lead": 1,
                }
            },
            id="weight",
        ),
    ],
)
@pytest.mark.usefixtures("votekit")
def test_parts_are_found_in_plan(race: dict[str, Any]) -> None:
    (strategy,) = stops_of(Settings.from_dict({"race": race}))
    step = StepTime(constant=2e-4, row=2e-6, draft=1e-5)
    launch = Linear(step.seconds(1, 20), step.row)
    model = EngineModel(
        "none", (0,), step, NOTHING_ACCEPTED, launch, launch, 0.0, slow_step=1.2, error=None
    )
    questions = [question(seed) for seed in range(3)]
    estimator = Estimator({"none": model}, questions, Conditions(prompt=4), draws=4)
    one = Candidate("none", KSchedule(), 4, strategy)
    all_of_them = Candidate("none", KSchedule(), 4, StrategySpec.parse("majority:stop=none"))
    assert estimator.estimate(one, 5.0).p50 < estimator.estimate(all_of_them, 5.0).p50


# ── recordings of a form of one's own ─────────────────────────────────────────────────────────


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "branches.csv"
    file.write_text(CSV)
    return file


@pytest.mark.parametrize("reader", [None, "rows", "votekit.own_reader:rows"])
@pytest.mark.usefixtures("votekit")
def test_a_trace_reader_is_found(table: Path, reader: str | None) -> None:
    draws = replay_draws(table, "first_to_m:m=1", branches=3, draws=2, reader=reader)
    assert {draw.latency for draw in draws if draw.strategy == "first_to_m:m=1"} == {3.0}


@pytest.mark.usefixtures("votekit")
def test_a_registered_reader_is_asked_about_what_no_other_reads(tmp_path: Path) -> None:
    register_trace_reader(
        "mine", lambda path, content: [question(1)] if b"mine" in content else None
    )
    file = tmp_path / "file"
    for others in ("mine", '[{"question": "mine"}]'):
        file.write_text(others)
        assert [found.name for found in read_traces([file])] == ["question 1"]
    file.write_text('{"answers": ["mine"], "lengths": [3], "gold": "mine"}')
    assert [found.gold for found in read_traces([file])] == ["mine"]  # a form that is built in
    assert [found.gold for found in read_traces([file], "mine")] == ["7"]  # unless it is named
    file.write_text("nobody's")
    with pytest.raises(TraceError, match=r"no known format.*'broken' of the package votekit"):
        read_traces([file])
    with pytest.raises(TraceError, match="not of the form that the trace reader 'mine' reads"):
        read_traces([file], "mine")


@pytest.mark.usefixtures("votekit")
def test_the_command_line_names_a_reader(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frontrunner_command(["convert", str(table), "--reader", "votekit.own_reader:rows"]) == 0
    assert '"lengths":[3,9,12]' in capsys.readouterr().out.replace(" ", "")


def _no_text(path: Path, content: bytes) -> list[RecordedQuestion]:
    raise ValueError("line 3 has no answer")


def _failing(path: Path, content: bytes) -> list[RecordedQuestion]:
    raise KeyError("answer")


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (_no_text, "branches.csv: line 3 has no answer"),
        (_failing, "the trace reader 'mine' failed: KeyError: 'answer'"),
        (lambda path, content: [7], "gave 7 in place of a RecordedQuestion"),
        (
            lambda path, content: [RecordedQuestion("one", "7", (RecordedBranch(0, "7"),))],
            "one: the trace reader 'mine' gave a branch of less than one token",
        ),
    ],
    ids=["what is wrong with the file", "a bug", "something else", "no tokens"],
)
def test_what_a_reader_does_wrong_is_named(table: Path, reader: Any, says: str) -> None:
    register_trace_reader("mine", reader)
    with pytest.raises(TraceError, match=says):
        read_traces([table], "mine")
    with pytest.raises(BadRequest, match="unknown trace reader 'mein'; known: mine; did you"):
        read_traces([table], "mein")


# ── what is wrong is said ─────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("votekit")
def test_names_are_listed_without_importing_anything() -> None:
    assert {"agreement", "broken"} <= set(strategy_names())
    assert {"unanimous", "broken"} <= set(stop_rule_names())
    assert {"concise", "broken"} <= set(weight_names())
    assert {"rows", "broken"} <= set(trace_reader_names())
    assert {"verdict", "broken"} <= set(extractor_names())
    assert not [name for name in sys.modules if name.startswith("votekit")]


@pytest.mark.parametrize(
    ("settings", "path", "says"),
    [
        ({"race": {"strategy": "broken"}}, "race", "strategy 'broken' of the package votekit"),
        ({"race": {"strategy": "number"}}, "race", "a class or a function .* not 7"),
        ({"race": {"strategy": "nowhere:X"}}, "race", "there is no module 'nowhere'"),
        ({"race": {"strategy": "votekit:X"}}, "race", "has no attribute 'X'"),
        ({"race": {"strategy": "agreement", "parameters": {"agre": 1}}}, "race", "known: branches"),
        (
            {"race": {"strategy": "agreement", "parameters": {"agree": "2"}}},
            "race",
            "agreement: agree must be a whole number, not '2'",
        ),
        (
            {"race": {"strategy": "agreement", "parameters": {"agree": 0}}},
            "race",
            "agree must be at least 1",
        ),
        ({"race": {"parameters": {"stop": "broken"}}}, "race", "of the package votekit"),
        (
            {"race": {"parameters": {"stop": "unanimous", "vots": 3}}},
            "race",
            "neither majority nor its stop rule unanimous has a parameter 'vots'; known: .*votes",
        ),
        (
            {"race": {"parameters": {"stop": "unanimous", "max_flip_risk": 0.1}}},
            "race",
            "max_flip_risk has no meaning with stop=unanimous",
        ),
        (
            {"race": {"parameters": {"stop": "unanimous", "votes": 2.5}}},
            "race",
            "stop rule unanimous: votes must be a whole number",
        ),
        ({"race": {"parameters": {"weight": "broken"}}}, "race", "of the package votekit"),
        (
            {"race": {"parameters": {"weight": "concis"}}},
            "race",
            "weight must be one of auto, .*; did you mean 'concise'",
        ),
        (
            {"race": {"parameters": {"weight": "concise", "powr": 3}}},
            "race",
            "neither majority nor its weight concise has a parameter 'powr'; known: .*power",
        ),
        (
            {"race": {"parameters": {"weight": "concise", "power": -1}}},
            "race",
            "power must be at least 0",
        ),
        (
            {"race": {"parameters": {"weight": "concise", "stop": "certified"}}},
            "race",
            "stop=certified needs weights that depend on their own branch only",
        ),
        ({"answers": {"kind": "broken"}}, "answers.kind", "of the package votekit"),
        ({"answers": {"kind": "verdct"}}, "answers.kind", "unknown kind 'verdct'; known: boxed"),
        ({"rewards": {"kind": "own", "name": "broken"}}, "rewards.name", "the package votekit"),
        ({"rewards": {"kind": "own", "name": "none"}}, "rewards.name", "unknown reward model"),
    ],
    ids=[
        "broken package",
        "not a class",
        "no module",
        "no attribute",
        "no parameter",
        "wrong type",
        "out of range",
        "broken rule",
        "no parameter of the rule",
        "parameter of another rule",
        "wrong type of the rule",
        "broken weight",
        "no weight",
        "no parameter of the weight",
        "out of range of the weight",
        "weight without a bound",
        "broken extractor",
        "no extractor",
        "broken reward",
        "no reward",
    ],
)
@pytest.mark.usefixtures("votekit")
def test_what_is_wrong_is_named(settings: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Settings.from_dict(settings)
    assert caught.value.path == path


@pytest.mark.usefixtures("votekit")
def test_parameters_of_a_reward_model_are_checked_as_it_is_made() -> None:
    rewards = {"kind": "own", "name": "holds", "parameters": {"timeot": 3}}
    with pytest.raises(ConfigError, match="holds has no parameter 'timeot'") as caught:
        run_race(SCRIPT, settings={"rewards": rewards})
    assert caught.value.path == "rewards.parameters"


def test_one_name_of_two_packages_is_refused_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("one", "other"):
        folder = tmp_path / package
        install(folder, package, f"[frontrunner.strategies]\nboth = {package}:X\n")
        monkeypatch.syspath_prepend(str(folder))
    assert strategy_names().count("both") == 1
    with pytest.raises(ValueError, match=r"several packages: one \(one:X\), other \(other:X\)"):
        create_strategy("both", {})


def test_a_name_that_is_built_in_stays_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "greedy", "[frontrunner.strategies]\nmajority = greedy:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(RuntimeWarning, match="the package greedy offers 'majority'"):
        assert strategy_names().count("majority") == 1
    assert isinstance(create_strategy("majority", {}), Majority)


def test_what_is_registered_is_checked() -> None:
    with pytest.raises(TypeError, match="a class or a function that makes strategies"):
        register_strategy("mine", 7)  # pyright: ignore[reportArgumentType]
    register_stop_rule("mine", Threshold)
    with pytest.raises(ValueError, match="registered already"):
        register_stop_rule("mine", Threshold)
    with pytest.raises(ValueError, match="registered already"):
        register_stop_rule("clinch", Threshold)
    register_strategy("nothing", lambda branches: branches)  # pyright: ignore
    with pytest.raises(ValueError, match="nothing is no strategy: it has no method start"):
        create_strategy("nothing", {"branches": 2})
    register_strategy("few", lambda depth: Patient(depth))
    with pytest.raises(ValueError, match="few needs a parameter branches"):
        create_strategy("few", {"branches": 2, "depth": 1})


def test_parameters_of_a_class_that_is_no_dataclass_are_checked_too() -> None:
    register_strategy("plain", Plain)
    assert [p.name for p in strategy_parameters("plain")] == ["branches", "depth"]
    with pytest.raises(ValueError, match="plain: depth must be a whole number, not 'x'"):
        create_strategy("plain", {"branches": 2, "depth": "x"})
    with pytest.raises(ValueError, match="plain needs the parameter 'branches'"):
        create_strategy("plain", {})


def test_what_a_factory_raises_is_said_with_its_name() -> None:
    def failing(branches: int) -> Patient:
        raise KeyError("no")

    register_strategy("failing", failing)
    with pytest.raises(ValueError, match="failing cannot be made: KeyError: 'no'"):
        create_strategy("failing", {"branches": 1})


def test_a_parameter_that_a_rule_shares_with_another_is_its_own() -> None:
    register_stop_rule("mine", Threshold)
    made = create_strategy("majority", {"stop": "mine", "branches": 3})
    assert isinstance(made, Majority)
    assert made.stop == Threshold(0.5)
    made = create_strategy("majority", {"stop": "mine", "threshold": 0.7, "branches": 3})
    assert isinstance(made, Majority)
    assert made.stop == Threshold(0.7)


def test_a_change_of_rule_drops_the_parameters_of_the_rule_that_was() -> None:
    register_stop_rule("mine", Threshold)
    given = {"stop": "mine", "threshold": 0.7}
    assert merge_parameters("majority", given, {"stop": "none"}) == {"stop": "none"}
    assert merge_parameters("majority", {"max_flip_risk": 0.1}, given) == given


@pytest.mark.usefixtures("votekit")
def test_references_in_parameters_that_are_no_rule_are_left_alone() -> None:
    load_plugins("agreement", {"stop": 3, "other": "votekit.own_stop_rule:Unanimous"})
    assert not STOP_PLUGINS.registered


def test_a_strategy_is_named_with_its_parameters_in_replay() -> None:
    spec = StrategySpec.parse("a.b:C:x=1,y=two")
    assert (spec.name, spec.parameters) == ("a.b:C", (("x", 1), ("y", "two")))
    assert StrategySpec.parse(spec.label) == spec
    assert StrategySpec.parse("a.b:C") == StrategySpec("a.b:C")
    with pytest.raises(BadRequest, match="there is no module 'a'"):
        spec.create(4, forced=True)
