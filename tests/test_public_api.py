"""What is promised to users: the names, that they say what they are, and that a user's program
which holds to them passes a strict type checker."""

import inspect
import json
import os
import runpy
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import frontrunner
from frontrunner import Settings
from frontrunner.strategies import StopReason
from frontrunner.testing import BranchScript, Piece, Script, ScriptedEngine, run_race, run_virtual

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("own_*.py"))

#: A name that is missing here is not promised; one that goes from here breaks users' programs, and
#: stands in CHANGELOG.md for one release before.
PROMISED = {
    "frontrunner": """
        AnswerOptions BadRequest BranchReport ConfigError EngineError FrontrunnerError Note
        Overloaded RaceOptions RaceStream RawPrompt Result Runtime Settings __version__ asgi
        create_app
    """,
    "frontrunner.agents": """
        Act Acted Agent AgentEngine AgentTask Outcome Tool ToolError ToolFailed Verify
        calculator command_agent mcp_tools tool
    """,
    "frontrunner.answers": "BOXED Extractor extractor_names register_extractor",
    "frontrunner.engines": """
        ChatSupport Chunk Engine EngineInfo EngineLoad FinishReason Generation MemberReport Message
        PoolEngine Sampling make_engine
    """,
    "frontrunner.errors": """
        BadBranches BadDeadline BadRequest ConfigError DeadlineTooShort EmptyQuestion EngineClosed
        EngineDead EngineError EngineRestarting EngineStartError FrontrunnerError NotInTime
        Overloaded PromptTooLong
    """,
    "frontrunner.events": """
        BranchEnded BranchEvent BranchExtended BranchForcing BranchProbed BranchProgressed
        BranchScored BranchStarted BranchStatus CallTimeReached Event Observer RaceDecided RaceSpec
        RaceStarted RaceWatcher StopReason ToolCalled ToolReturned VoteChanged
    """,
    "frontrunner.experiments": """
        Draw RecordedBranch RecordedQuestion Row register_trace_reader replay replay_draws
        trace_reader_names
    """,
    "frontrunner.rewards": """
        FunctionReward RewardModel Scoring ScoringBudget SupportsComparison register_reward
        reward_names
    """,
    "frontrunner.strategies": """
        BranchFailed BranchFinished BranchForced BranchLimitLowered BranchProbed BranchProgressed
        BranchScored BranchStarted BranchStatus BranchStepped BranchView CallTimeReached Cancel
        Closing Command Decide Extend Force Fork Launch LengthModel Needs Observation Parameter Poll
        Probe ProbeAnswer RaceView Score Standing StopReason StopRule Strategy SupportsStanding
        Tally VoteWeight create_strategy decide_by_votes decide_for force_unanswered shed_branches
        over register_stop_rule register_strategy register_weight stop_rule_names strategy_names
        strategy_parameters tally unanswered weight_names
    """,
    "frontrunner.testing": """
        BranchScript Piece Script ScriptedEngine VirtualLoop run_race run_virtual
    """,
}


def promised() -> list[Any]:
    return [
        pytest.param(module, name, id=f"{module}.{name}")
        for module, names in PROMISED.items()
        for name in names.split()
    ]


@pytest.mark.parametrize("module", PROMISED)
def test_a_module_exports_exactly_what_is_promised(module: str) -> None:
    exported = import_module(module).__all__
    assert sorted(exported) == sorted(PROMISED[module].split())
    assert len(set(exported)) == len(exported)


def test_there_are_no_other_public_modules() -> None:
    folder = Path(frontrunner.__file__).parent
    modules = {f"frontrunner.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert modules | {"frontrunner", "frontrunner.strategies"} == set(PROMISED)


@pytest.mark.parametrize(("module", "name"), promised())
def test_what_is_promised_says_what_it_is(module: str, name: str) -> None:
    assert import_module(module).__doc__
    thing = getattr(import_module(module), name)
    if not isinstance(thing, type) and not inspect.isfunction(thing):
        return  # a version, a union of types, a constant: described where they are defined
    text = thing.__doc__
    # A dataclass without a docstring gets its signature for one.
    assert text
    assert not text.startswith(f"{name}(")
    undocumented = [
        method
        for method, value in vars(thing).items()
        if inspect.isfunction(value)
        and not method.startswith("_")
        and not inspect.getdoc(getattr(thing, method))
    ]
    assert set(undocumented) <= _DOCUMENTED_BY_ITS_PROTOCOL.get(name, set())


#: What these do stands at the protocol that they are of.
_ENGINE = {"abort", "aclose", "encode", "encode_chat", "generate", "load", "start"}
_DOCUMENTED_BY_ITS_PROTOCOL = {
    "ScriptedEngine": _ENGINE,
    "AgentEngine": _ENGINE,
    "PoolEngine": _ENGINE | {"prompt_end", "reasoning_marks", "take_thinking", "tool_turn"},
    "FunctionReward": {"score"},
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_ones_own_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    runpy.run_path(str(path), run_name="__main__")
    assert " after 3.0 s" in capsys.readouterr().out


#: A program that uses every promised module, as a user writes it.
PROGRAM = """
from collections.abc import Iterator, Sequence
from pathlib import Path

from frontrunner import BadRequest, Overloaded, Result, Runtime, Settings
from frontrunner.answers import register_extractor
from frontrunner.engines import Chunk, Engine, FinishReason, PoolEngine, make_engine
from frontrunner.errors import EngineClosed
from frontrunner.events import BranchEnded, Event, RaceDecided
from frontrunner.experiments import RecordedBranch, RecordedQuestion, register_trace_reader
from frontrunner.rewards import FunctionReward, Scoring, register_reward
from frontrunner.strategies import Poll, Strategy, create_strategy
from frontrunner.strategies import BranchView, register_stop_rule, register_strategy
from frontrunner.strategies import register_weight
from frontrunner.testing import BranchScript, Script, ScriptedEngine, run_race, run_virtual


class Unanimous:
    def settled(self, poll: Poll) -> bool:
        return poll.count > 2 and len(poll.weights) == 1


class Heavy:
    def weight(self, branch: BranchView) -> float:
        return branch.tokens


def lines(path: Path, content: bytes) -> Iterator[RecordedQuestion] | None:
    if path.suffix != ".mine":
        return None
    return (RecordedQuestion(line, line, (RecordedBranch(9, "42"),)) for line in str(content))


class Brief:
    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        return [1 / (1 + len(item.text)) for item in items]


async def length(question: str, text: str) -> float:
    return float(len(text))


def mine(branches: int, stop: str = "none") -> Strategy:
    return create_strategy("majority", {"branches": branches, "stop": stop})


register_stop_rule("unanimous", Unanimous)
register_weight("heavy", Heavy)
register_trace_reader("lines", lines)
register_extractor("word", lambda text: text.split()[-1])
register_reward("length", length)
register_reward("brief", Brief)
register_strategy("mine", mine)
chunk = Chunk("text", (1, 2), FinishReason.STOP)
engine: Engine = ScriptedEngine(Script([BranchScript.answering("42", seconds=1.0)]))
pool: Engine = PoolEngine({"first": engine, "second": make_engine(Settings().engine)})


def told(event: Event) -> str | None:
    match event:
        case RaceDecided(result=result):
            return result.answer
        case BranchEnded(answer=answer):
            return answer
        case _:
            return None


async def main() -> str | None:
    settings = Settings.from_dict({"answers": {"workers": 0}})
    async with Runtime(engine, settings, rewards=FunctionReward(length)) as runtime:
        try:
            result: Result = await runtime.solve("?", deadline=5.0, strategy="mine")
        except (BadRequest, Overloaded, EngineClosed):
            return None
        async with runtime.stream("?", deadline=5.0, branches=1) as events:
            answers = [told(event) async for event in events]
    return answers[-1] if result.answer is None else result.answer


assert run_virtual(main) == "42"
assert run_race([BranchScript.answering("42", seconds=1.0)], deadline=2.0).votes == {"42": 1}
"""


@pytest.mark.slow
def test_a_program_that_holds_to_the_promise_passes_a_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([sys.executable, str(program)], env=_environment(), timeout=120)
    assert done.returncode == 0
    for example in EXAMPLES:
        shutil.copy(example, tmp_path)
    project = tmp_path / "pyrightconfig.json"
    config = {
        "include": ["*.py"],
        "typeCheckingMode": "strict",
        "extraPaths": [str(Path(frontrunner.__file__).parents[1])],
        "pythonVersion": "3.11",
    }
    project.write_text(json.dumps(config))
    command = ["-m", "pyright", "--project", str(project), "--pythonpath", sys.executable]
    checked = subprocess.run(
        [sys.executable, *command, "--outputjson"], capture_output=True, text=True, timeout=280
    )
    report = json.loads(checked.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == 1 + len(EXAMPLES)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(frontrunner.__file__).parents[1])}


# ── the scripted engine as users have it ──────────────────────────────────────────────────────


def test_a_race_of_an_hour_takes_no_time_and_is_exact() -> None:
    script = [BranchScript.answering("42", seconds=3000.0), BranchScript(stall=True)]
    result = run_race(script, deadline=3600.0, parameters={"stop": "none"})
    assert result.answer == "42"
    assert result.stop_reason is StopReason.DEADLINE
    assert 3000 < result.elapsed <= 3600


def test_settings_and_options_say_what_the_race_is() -> None:
    script = Script([BranchScript((Piece(1.0, "It is 7."),))])
    settings = {"answers": {"kind": "last_number"}, "race": {"branches": 3}}
    result = run_race(script, settings=settings, deadline=5.0)
    assert result.answer == "7"
    assert len(result.branches) == 3
    assert len(run_race(script, settings=settings, deadline=5.0, branches=1).branches) == 1


def test_what_is_wrong_is_raised_as_it_is() -> None:
    with pytest.raises(frontrunner.BadRequest, match="unknown strategy 'none'"):
        run_race([BranchScript()], strategy="none")
    with pytest.raises(frontrunner.ConfigError, match="race"):
        run_race([BranchScript()], settings={"race": {"strategy": "none"}})


def test_any_coroutine_function_runs_in_virtual_time() -> None:
    async def main() -> float:
        engine = ScriptedEngine(Script([BranchScript.answering("1", seconds=100.0)]))
        settings = Settings.from_dict({"answers": {"workers": 0}})
        async with frontrunner.Runtime(engine, settings) as runtime:
            result = await runtime.solve("?", deadline=200.0, branches=1)
        return result.elapsed

    assert run_virtual(main) == pytest.approx(100.0)
