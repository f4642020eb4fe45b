"""Which of several code blocks is the program, and which only show what it does."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .fences import Block
from .python_source import parsed

# Blocks, from the last one. Each may cost an attempt to parse it.
MAX_BLOCKS: Final = 16
# Languages, as fences name them, of what is no program where a program stands beside it.
_ASIDE: Final = re.compile(
    r"out(?:put)?|std(?:out|err|in)|text|te?xt|plain(?:text)?|none|console|terminal|logs?|pycon"
    r"|doctest|results?|traceback|errors?|trace|input|diff|patch|http|json[c5l]?|ya?ml|toml|xml|csv"
    r"|tsv|ini|properties|markdown|md|mermaid|latex|tex|math|rst"
)
_SHELL: Final = re.compile(
    r"bash|sh|shell|zsh|fish|shell-?session|sh-session|powershell|pwsh|ps1?|cmd|bat(?:ch)?|dos"
)
_SCRIPT: Final = re.compile(
    r"^(?:#!|[ \t]{0,40}(?:for|while|until|if|case|function|param|foreach)\b|\w+[ \t]?\(\))", re.M
)
_PROMPT: Final = re.compile(r"\s*(?:>>> |\$ |In \[\d+\]:|[\w@:~-]{1,40}[$#] |PS [A-Z]:)")
# The line before a block that shows what a program does.
_SHOWN: Final = re.compile(
    r"\b(?:outputs?|prints?|printed|displays?|yields|results?|examples?|usage|e\.g|sample|demo"
    r"|run(?:s|ning)?|execut\w*|expected|gives|console|terminal|stdout|install\w*|calls?|called"
    r"|tests?|testing|tests?\scases?|tr(?:y|ied)\sit|invo\w+|compil\w+"
    r"|ausgabe|beispiel|salida|ejemplo|sortie|exemple|sa[ií]da|exemplo|esempio)\b"
    r"|输出|示例|例子|运行|用法|测试|結果|结果|出力|使用例|実行|출력|예시|вывод|пример",
    re.I,
)
# What a program defines in the languages that spell it with a word, or like C.
_DEFINED: Final = re.compile(
    r"\b(?:def|fn|func|fun|function|sub|class|struct|interface|trait|impl|enum|module|defun|define"
    r"|defn|procedure)[ \t]{1,4}\(?(?:\([^()\n]{0,60}\)[ \t]?)?(?:self\.)?([A-Za-z_]\w*)"
    r"|\b(?:const|let|var)[ \t]{1,4}([A-Za-z_]\w*)[ \t]?=[ \t]?(?:async[ \t])?"
    r"(?:function\b|\([^()\n]{0,80}\)[ \t]?=>|\w+[ \t]?=>)"
    r"|^[ \t]{0,40}(?!return\b|else\b|new\b)[A-Za-z_][\w:<>,*&\[\] \t]{0,60}?[ \t*&]"
    r"([A-Za-z_]\w*)[ \t]?\([^(){};\n]{0,120}\)[ \t]?(?:const[ \t]?)?(?:throws[ \t]\w+[ \t]?)?"
    r"\n?[ \t]{0,40}\{"
    r"|^([a-z_][\w']*)[ \t]::",
    re.M,
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_CODE_LINE: Final = re.compile(
    r"[;{}][ \t]*$|^[ \t]*(?:def|class|return|import|from|fn|func|function|const|let|var|public"
    r"|private|static|using|package|#include|select|insert|create|update|delete|with)\b"
    r"|^[ \t]*[A-Za-z_]\w*[ \t]?(?:[-+*/]|:)?=[^=]",
    re.M | re.I,
)
# Definitions that call a program rather than being one.
_ENTRY: Final = re.compile(
    r"main|Main|Program|Demo|Example|[Tt]est\w*|\w+Tests?|example\w*|demo\w*"
)


def last_program(blocks: Sequence[Block]) -> str | None:
    """The code of the last block that is a program, or else of the last block.

    A block after a program is passed over if it is output, data or prose by its language, shell
    commands, a session with a prompt, bare text that is not code or is announced as something
    shown, or an example: code that uses what the program defines and defines nothing of its own.
    """
    chosen: _Sketch | None = None
    for block in blocks[-MAX_BLOCKS:]:
        sketch = _Sketch(block)
        if chosen is None or chosen.is_aside or not _only_shows(sketch, chosen):
            chosen = sketch
    return None if chosen is None else chosen.block.code


@dataclass
class _Sketch:
    """A block, and what is needed of it to tell a program from what shows one."""

    block: Block

    @cached_property
    def is_aside(self) -> bool:
        """Whether the block is no program where there is one beside it."""
        language, code = self.block.language, self.block.code
        if _SHELL.fullmatch(language):
            return not _SCRIPT.search(code)
        if _ASIDE.fullmatch(language) or _PROMPT.match(code):
            return True
        return not language and not self._looks_like_code

    @cached_property
    def _looks_like_code(self) -> bool:
        if _is_json(self.block.code):
            return False
        module = self.module
        if module is not None:
            return not all(isinstance(s, ast.Expr) and _is_plain(s.value) for s in module.body)
        return _CODE_LINE.search(self.block.code) is not None

    @cached_property
    def module(self) -> ast.Module | None:
        """The tree of what is Python or may be."""
        language = self.block.language
        if language and not language.startswith(("py", "sage", "ipython")):
            return None
        return parsed(self.block.code)

    @cached_property
    def defined(self) -> frozenset[str]:
        """The functions and classes that the block defines, wherever."""
        if self.module is None:
            found = _DEFINED.finditer(self.block.code)
            return frozenset(match[match.lastindex or 0] for match in found)
        return frozenset(
            node.name
            for node in ast.walk(self.module)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        )

    @cached_property
    def of_tests(self) -> frozenset[str]:
        """Classes of tests, with what they define, and fixtures, in a Python program."""
        if self.module is None:
            return frozenset()
        return frozenset(
            node.name
            for statement in self.module.body
            if _is_of_tests(statement)
            for node in ast.walk(statement)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        )

    @cached_property
    def assigned(self) -> frozenset[str]:
        """The variables that a Python program sets."""
        if self.module is None:
            return frozenset()
        nodes = ast.walk(self.module)
        return frozenset(
            n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        )

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.block.code))

    @property
    def only_calls(self) -> bool:
        """Whether a Python program is nothing but calls: it prints what another one set."""
        return self.module is not None and all(
            isinstance(s, ast.Expr | ast.Assert | ast.Import | ast.ImportFrom)
            for s in self.module.body
        )


def _only_shows(later: _Sketch, program: _Sketch) -> bool:
    """Whether ``later`` shows what ``program`` does, and is not a program in its place."""
    if later.is_aside:
        return True
    if not later.block.language and program.block.language and _SHOWN.search(later.block.lead):
        # What is printed may look like code.
        return not later.defined
    if any(not _ENTRY.fullmatch(name) for name in later.defined - later.of_tests):
        return False
    defined = {name for name in program.defined if not _ENTRY.fullmatch(name)}
    if defined & later.assigned:  # a shorter definition of the same
        return False
    if defined & later.words:
        return True
    return later.only_calls and bool(program.assigned & later.words)


def _is_of_tests(statement: ast.stmt) -> bool:
    match statement:
        case ast.ClassDef(name=name, bases=bases):
            return name.startswith("Test") or any(map(_is_test_case, bases))
        case (
            ast.FunctionDef(name=name, decorator_list=marks)
            | ast.AsyncFunctionDef(name=name, decorator_list=marks)
        ):
            return name.startswith("test") or any(map(_is_fixture, marks))
    return False


def _is_fixture(mark: ast.expr) -> bool:
    """``pytest.fixture``, or what it is called with."""
    match mark.func if isinstance(mark, ast.Call) else mark:
        case ast.Name(id="fixture") | ast.Attribute(attr="fixture"):
            return True
    return False


def _is_test_case(base: ast.expr) -> bool:
    """``TestCase``, ``unittest.TestCase`` and its kin."""
    match base:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.endswith("TestCase")
    return False


def _is_plain(value: ast.expr) -> bool:
    """Whether an expression calls and makes nothing: a value that was printed, or a word."""
    return not any(
        isinstance(n, ast.Call | ast.Lambda | ast.comprehension) for n in ast.walk(value)
    )


def _is_json(code: str) -> bool:
    if code.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(code)
    except (ValueError, RecursionError):
        return False
    return True
