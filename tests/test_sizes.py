"""Classes, functions and signatures stay small enough to be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [
    *sorted((ROOT / "runtime").rglob("*.py")),
    *sorted((ROOT / "strategies").rglob("*.py")),
    *sorted((ROOT / "src/frontrunner").glob("*.py")),
]
#: Lines of a class and of a function, and parameters without ``self``.
MAX_CLASS_LINES, MAX_LINES, MAX_PARAMETERS = 300, 60, 7
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def too_large(node: Definition) -> str | None:
    """What is too large of it; None: nothing."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if isinstance(node, ast.ClassDef):
        return f"{lines} lines" if lines > MAX_CLASS_LINES else None
    if is_compiled(node):
        # numba's kernels take arrays one by one, and a call in them costs what it computes.
        return None
    parameters = parameter_count(node.args)
    if lines > MAX_LINES:
        return f"{lines} lines"
    return f"{parameters} parameters" if parameters > MAX_PARAMETERS else None


def is_compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return any(isinstance(d, ast.Name) and d.id in ("njit", "njit_kept") for d in decorators)


def parameter_count(arguments: ast.arguments) -> int:
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    bound = bool(named) and named[0] in ("self", "cls")
    rest = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return len(named) - bound + len(rest)


def definitions(source: str) -> Iterator[Definition]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_nothing_is_too_large() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {node.name}": problem
        for path in MODULES
        for node in definitions(path.read_text(encoding="utf-8"))
        if (problem := too_large(node)) is not None
    }
    assert not found, "split these"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("def f(a, b, *, c, d, e, f, g): ...", None, id="seven parameters"),
        pytest.param("def f(a, b, *, c, d, e, f, g, h): ...", "8 parameters", id="eight"),
        pytest.param("def f(a, b, c, d, e, f, *g, **h): ...", "8 parameters", id="open ones"),
        pytest.param("def f(self, a, b, c, d, e, f, g): ...", None, id="self does not count"),
        pytest.param("@njit\ndef f(a, b, c, d, e, f, g, h): ...", None, id="a kernel"),
        pytest.param("def f():" + "\n    x" * 60, "61 lines", id="a long function"),
        pytest.param("class C:" + "\n    x = 1" * 300, "301 lines", id="a long class"),
        pytest.param("class C:" + "\n    x = 1" * 299, None, id="a class of 300 lines"),
    ],
)
def test_what_is_too_large(source: str, problem: str | None) -> None:
    (node,) = definitions(source)
    assert too_large(node) == problem
