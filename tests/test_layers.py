"""Imports run one way: the contracts in ``pyproject.toml`` hold (``lint-imports`` checks them), and
importing the package alone loads nothing heavy."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("importlinter") is None, reason="needs pip install 'frontrunner[dev]'"
)

ROOT = Path(__file__).parent.parent
#: What ``import frontrunner`` must not load.
HEAVY = {"aiohttp", "anyio", "numpy", "pydantic", "rich", "structlog", "sympy", "torch", "vllm"}


def checked(root: Path) -> tuple[int, str]:
    """The status and the report of the contracts on the tree at ``root``."""
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from importlinter.cli import lint_imports_command as run; run()",
            ),
            *("--no-cache", "--no-logo", str(ROOT / "pyproject.toml")),
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code, to be spoiled: folders instead of links, sources alone."""
    package = tmp_path / "src" / "frontrunner"
    package.mkdir(parents=True)
    for module in (ROOT / "src/frontrunner").glob("*.py"):
        shutil.copy(module, package)
    for folder in ("runtime", "strategies"):
        shutil.copytree(
            ROOT / folder,
            package / folder,
            ignore=lambda where, names: [
                name for name in names if Path(name).suffix not in ("", ".py")
            ],
        )
    return tmp_path


def test_the_contracts_hold() -> None:
    status, report = checked(ROOT)
    assert status == 0, report


@pytest.mark.parametrize(
    ("module", "line", "named"),
    [
        pytest.param(
            "strategies/votes.py",
            "from frontrunner.runtime.errors import BadRequest",
            "frontrunner.strategies.votes -> frontrunner.runtime.errors",
            id="a strategy that imports runtime",
        ),
        pytest.param(
            "runtime/answers/registry.py",
            "from ..config import Settings",
            "frontrunner.runtime.answers.registry -> frontrunner.runtime.config",
            id="answers that know the settings",
        ),
        pytest.param(
            "runtime/events/types.py",
            "def late() -> None:\n    from ..racing.race import Race",
            "frontrunner.runtime.events.types -> frontrunner.runtime.racing.race",
            id="an import inside a function",
        ),
        pytest.param(
            "runtime/racing/spec.py",
            "import vllm",
            "frontrunner.runtime.racing.spec -> vllm",
            id="a race that knows vLLM",
        ),
        pytest.param(
            "runtime/traces/formats.py",
            "from .trace_files import read_traces",
            "frontrunner.runtime.traces",
            id="a circle inside a room",
        ),
    ],
)
def test_an_arrow_upwards_is_named(copy: Path, module: str, line: str, named: str) -> None:
    with (copy / "src/frontrunner" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    status, report = checked(copy)
    assert status == 1, report
    assert named in report, report


def test_a_new_room_must_be_given_its_place(copy: Path) -> None:
    (copy / "src/frontrunner/runtime/attic").mkdir()
    (copy / "src/frontrunner/runtime/attic/__init__.py").touch()
    status, report = checked(copy)
    assert status == 1, report
    assert "attic" in report, report


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, frontrunner; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(done.stdout.split())
