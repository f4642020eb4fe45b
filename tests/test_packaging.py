"""The distribution ships exactly what the checkout holds, under one name, and stays light."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path
from zipfile import ZipFile

import pytest

import frontrunner

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(frontrunner.__file__).parent


def run_python(code: str) -> list[str]:
    """What an interpreter of its own prints; it finds the package that this one found."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("folder", ["runtime", "strategies"])
def test_every_module_is_reachable_through_the_package(folder: str) -> None:
    ours = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*.py")}
    shipped = {p.relative_to(PACKAGE / folder) for p in (PACKAGE / folder).rglob("*.py")}
    assert ours == shipped


@pytest.mark.slow
def test_the_wheel_holds_every_file(tmp_path: Path) -> None:
    """Built from a copy, because a build leaves folders behind."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("src", "runtime", "strategies", "configs"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignore)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}

    ours = {f"frontrunner/{path.name}" for path in PACKAGE.glob("*.py")} | {"frontrunner/py.typed"}
    ours |= {
        f"frontrunner/{path.relative_to(tmp_path)}"
        for folder in ("runtime", "strategies", "configs")
        for path in (tmp_path / folder).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert ours - shipped == set(), "a kind of file is missing from package-data in pyproject.toml"
    assert shipped - ours == set()


def test_no_generic_top_level_names_are_installed() -> None:
    ours = {name for name, dists in packages_distributions().items() if "frontrunner" in dists}
    assert {name for name in ours if not name.startswith("__editable__")} <= {"frontrunner"}


def test_public_names_resolve_to_their_homes() -> None:
    public = set(frontrunner.__all__) - {"__version__"}
    assert public == set(frontrunner._HOMES)
    assert set(frontrunner.__all__) <= set(dir(frontrunner))
    for name in public:
        home = import_module(frontrunner._HOMES[name])
        assert getattr(frontrunner, name) is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(frontrunner, "Nothing")  # noqa: B009 - the checker must not see it


def test_importing_frontrunner_loads_nothing_heavy() -> None:
    loaded = run_python("import frontrunner, sys; print(*sys.modules)")
    heavy = {"aiohttp", "anyio", "asyncio", "numpy", "pydantic", "torch", "transformers", "vllm"}
    assert not heavy & set(loaded)


def test_importing_strategies_loads_no_runtime_and_no_event_loop() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "strategies").rglob("*.py"))
    ]
    code = "".join(f"import frontrunner.{name}\n" for name in names)
    loaded = run_python(code + "import sys; print(*sys.modules)")
    forbidden = {"anyio", "asyncio", "trio", "frontrunner.runtime", "torch", "vllm"}
    assert not forbidden & set(loaded)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "strategies").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_strategy_names_neither_runtime_nor_an_event_loop_nor_a_clock(path: Path) -> None:
    """Also inside functions and `if TYPE_CHECKING`, where the test above does not look."""
    package = ".".join(("frontrunner", *path.relative_to(ROOT).parent.parts))
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            imported |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    forbidden = ("anyio", "asyncio", "trio", "time", "logging", "structlog", "frontrunner.runtime")
    assert not {
        name for name in imported if any(name == f or name.startswith(f + ".") for f in forbidden)
    }


@pytest.mark.parametrize("folder", ["runtime", "strategies"])
def test_importing_a_folder_by_its_bare_name_is_refused(folder: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True
    )
    assert f"import frontrunner.{folder}" in done.stderr


@pytest.mark.parametrize("name", ["Makefile", "README.md", "pyproject.toml", ".ci/install"])
def test_no_local_path_is_written_down(name: str) -> None:
    """Only places that exist on one machine: homes, mounts, temporary and work folders."""
    text = (ROOT / name).read_text()
    assert not re.findall(r"(?<![\w./:-])/(?:home|Users|root|work|tmp|opt|mnt|srv)/\S*", text)
    assert "file://" not in text


def test_the_version_is_the_changelogs() -> None:
    done = subprocess.run([".ci/release", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"version {frontrunner.__version__}\n"
