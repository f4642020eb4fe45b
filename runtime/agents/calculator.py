"""A calculator for branches: exact, bounded, and safe with whatever a model writes."""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, factorial, gcd, isqrt, lcm
from typing import Annotated, Final

from pydantic import Field

from .tools import Tool, ToolError

#: Characters of an expression, and digits of a number on the way.
_LONGEST, _MOST_DIGITS = 400, 1_000
_MAX_BITS: Final = int(_MOST_DIGITS * 3.33)
#: Digits that a number which has no end is told with.
_DIGITS: Final = 12
_SIGNS: Final = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "\0"})
_GROUPED: Final = re.compile(r"\d,\d{3}(?!\d)")
#: A numbered line. Such lines are no arithmetic otherwise: a number never follows another.
_NUMBERED: Final = re.compile(r"(\d{1,2})[.):][ \t]+(?=\S)")
_OPERATORS: Final = ("+", "-", "*", "/", "%")

_BINARY: Final[Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
}


def calculate(expression: str) -> str:
    """The value of an arithmetic expression, exactly: ``"2/3 + 1"`` is ``"5/3 (about
    1.66666666667)"``, and a root that has no end is said to be about what it is.

    Knows ``+ - * / // % **`` (also ``^``, ``×`` and ``÷``), brackets, and ``abs``, ``min``,
    ``max``, ``round``, ``floor``, ``ceil``, ``sqrt``, ``gcd``, ``lcm``, ``factorial``, ``comb``.

    Numbered lines are steps, each of which goes on from the result before it: of the three lines
    ``12 + 3``, ``1. * 4`` and ``2. - 5`` it is ``"55"``. A small model needs no brackets then.

    Raises:
        ToolError: it is none, or takes too much; it says what to change.
    """
    if len(expression) > _LONGEST:
        raise ToolError(f"an expression of more than {_LONGEST} characters: take it in steps")
    text = expression.translate(_SIGNS).replace("\0", "**").strip()
    if _GROUPED.search(text) and "(" not in text:
        raise ToolError("write numbers without commas: 1000 for 1,000")
    value: Fraction | None = None
    try:
        for step in _steps(text):
            value = _Reading(step.encode(), value).value(_parsed(step))
    except ZeroDivisionError:
        raise ToolError("a division by zero") from None
    except RecursionError:
        raise ToolError("the expression is nested too deeply: take it in steps") from None
    assert value is not None  # there is a step
    return _told(value)


def _steps(text: str) -> list[str]:
    """The expressions to work out in turn, in which ``_`` is the result before."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    labels = [_NUMBERED.match(line) for line in lines]
    first = 1 if labels and labels[0] is None else 0
    numbers = [label and int(label[1]) for label in labels[first:]]
    if len(lines) < 2 or numbers != list(range(1, len(numbers) + 1)):
        return [text.replace("\n", " ").rstrip("=").strip()]
    steps = [line[label.end() if label else 0 :] for line, label in zip(lines, labels, strict=True)]
    for number, step in enumerate(steps[1:], start=2 - first):
        if not step.startswith(_OPERATORS):
            raise ToolError(f"step {number} goes on from the one before: begin it with + - * or /")
    return [steps[0].rstrip("= "), *("_ " + step.rstrip("= ") for step in steps[1:])]


def _parsed(expression: str) -> ast.expr:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what the compiler frowns upon
            return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ToolError(
            f"{expression.removeprefix('_ ')[:80]!r} is no arithmetic: numbers, + - * / // % ** "
            "and brackets"
        ) from None


class _About(Fraction):
    """A number that is not exact."""


class _Reading:
    """Works out a parsed expression, in which ``_`` is what was worked out before."""

    def __init__(self, source: bytes, before: Fraction | None) -> None:
        self._source, self._before = source, before

    def value(self, node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                return _bounded(Fraction(number))
            case ast.Constant(value=float()):
                return self._decimal(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _like(-(value := self.value(operand)), value)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _combined(op, self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS:
                values = [self.value(each) for each in given]
                return _like(_bounded(_called(name, values)), *values)
            case ast.Call(func=ast.Name(id=name)):
                raise ToolError(f"there is no {name[:40]}; there are {', '.join(_FUNCTIONS)}")
            case ast.Name(id="_") if self._before is not None:
                return self._before
            case ast.Name(id=name):
                raise ToolError(f"{name[:40]} has no value: put its number there")
            case _:
                raise ToolError("only numbers, + - * / // % **, brackets and functions are known")

    def _decimal(self, node: ast.expr) -> Fraction:
        """As it is written: a float would have rounded it."""
        written = self._source[node.col_offset : node.end_col_offset].decode()
        _, _, exponent = written.lower().partition("e")
        if exponent and abs(int(exponent)) > _MOST_DIGITS:
            raise ToolError(f"a number of more than {_MOST_DIGITS} digits")
        return _bounded(Fraction(written))


def _combined(op: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    if isinstance(op, ast.Pow):
        return _like(_power(left, right), left, right)
    if type(op) not in _BINARY:
        raise ToolError("only + - * / // % ** are known")
    return _like(_bounded(_BINARY[type(op)](Fraction(left), Fraction(right))), left, right)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator == 2 and exponent.numerator in (1, -1):
        root = _sqrt(base)
        return root if exponent > 0 else _like(1 / Fraction(root), root)
    if exponent.denominator != 1:
        raise ToolError("only whole numbers and 1/2 may be exponents")
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size > 1 and abs(exponent) * (size - 1) > _MAX_BITS:
        raise ToolError(f"a number of more than {_MOST_DIGITS} digits")
    return Fraction(base) ** exponent.numerator


def _sqrt(value: Fraction) -> Fraction:
    if value < 0:
        raise ToolError("the root of a negative number")
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    scale = 10 ** (2 * _DIGITS)
    return _About(isqrt(value.numerator * scale * scale // value.denominator), scale)


def _whole(value: Fraction, most: int) -> int:
    if value.denominator != 1 or not 0 <= value <= most:
        raise ToolError(f"a whole number from 0 to {most} is expected, not {_told(value)}")
    return int(value)


_FUNCTIONS: Final[Mapping[str, Callable[..., Fraction | int]]] = {
    "abs": lambda x: abs(Fraction(x)),
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "round": lambda x, *digits: round(Fraction(x), *(_whole(d, 100) for d in digits)),
    "floor": lambda x: x // 1,
    "ceil": lambda x: -(-x // 1),
    "sqrt": _sqrt,
    "gcd": lambda *x: gcd(*(_whole(abs(v), 10**_MOST_DIGITS) for v in x)),
    "lcm": lambda *x: lcm(*(_whole(abs(v), 10**50) for v in x)),
    "factorial": lambda x: factorial(_whole(x, 400)),
    "comb": lambda n, k: comb(_whole(n, 1000), _whole(k, 1000)),
}


def _called(name: str, given: list[Fraction]) -> Fraction:
    try:
        came = _FUNCTIONS[name](*given)
    except (TypeError, ValueError):
        raise ToolError(f"{name} takes another number of arguments") from None
    return came if isinstance(came, Fraction) else Fraction(came)


def _like(value: Fraction, *of: Fraction) -> Fraction:
    """``value``, not exact if one of those is not that it was made of."""
    if isinstance(value, _About) or not any(isinstance(each, _About) for each in of):
        return value
    return _About(value.numerator, value.denominator)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise ToolError(f"a number of more than {_MOST_DIGITS} digits")
    return value


def _told(value: Fraction) -> str:
    if isinstance(value, _About):
        return f"about {_decimal(value)}"
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 and (exact := _exact_decimal(value)) is not None:
        return exact
    return f"{value.numerator}/{value.denominator} (about {_decimal(value)})"


def _exact_decimal(value: Fraction) -> str | None:
    """Of a fraction whose decimals end; None: there are many."""
    for places in range(1, 60):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}}"
            sign = "-" if value < 0 else ""
            return f"{sign}{digits[:-places]}.{digits[-places:]}"
    return None


def _decimal(value: Fraction) -> str:
    try:
        return f"{float(value):.{_DIGITS}g}"
    except OverflowError:
        size = len(str(abs(value.numerator) // value.denominator)) - 1
        return f"{'-' if value < 0 else ''}1e{size}"


async def _calculator(
    expression: Annotated[str, Field(description="Such as (3 + 4) * 12 / 5.")],
) -> str:
    """Works out arithmetic exactly."""
    return calculate(expression)


#: The calculator as a tool of races.
calculator: Final = Tool(_calculator, name="calculator", timeout=2.0)
