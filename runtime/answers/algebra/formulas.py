r"""Keys of formulas: formulas that are equal have equal keys. Runs in a worker process only.

The key of a constant is its exact value where that is rational, and else its value to
`SIGNIFICANT_DIGITS` digits; that of a formula with variables is its values at `POINTS` fixed
points, which two different formulas share by a chance that can be neglected (Schwartz 1980, "Fast
probabilistic algorithms for verification of polynomial identities"). An equation is known by its
solution where it is linear in its one variable, or in
`z`, `y` or `r`; else by the ratios of its values, so
that a factor on both sides makes no difference.

latex2sympy2_extended reads LaTeX, SymPy evaluates; whatever they raise, and all time and memory
they take, is the worker's to contain. This module imports nothing of Frontrunner.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256
from math import prod
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

SIGNIFICANT_DIGITS = 25
POINTS = 3
# Digits that are computed, beyond those compared: what cancels out costs some.
_WORKING_DIGITS = 50
# A constant this near, relative to itself, to a fraction with a small denominator is that fraction.
_LARGEST_DENOMINATOR = 10**6
_NEARNESS = Fraction(1, 10**40)
# Longer exact values are represented by a digest.
_MAX_EXACT_CHARS = 200
_CONFIG = ConversionConfig(lowercase_symbols=False)
_PRIMED = re.compile(r"([A-Za-z])('{1,3})")
_TRANSPOSED = re.compile(r"([A-Z])\^(?:\{(?:T|\\top)\}|T(?![A-Za-z])|\\top(?![A-Za-z]))")
_DERIVATIVE = re.compile(r"([A-Za-df-z])\^\{\(([1-9])\)\}")  # `f^{(3)}`
# The parser adds whole numbers side by side as if they were mixed numbers, `2(3)` and `(2)(3)`,
# does not read `\frac{1}{2}(3)`, and calls `\pi` and `i` as functions.
_FACTORS = re.compile(
    r"(?<![\w.^_\\{}])\d+(?:\.\d+)?(?= ?\()"
    r"|\)(?= ?\()|\\(?:frac|binom)\{[^{}]*\}\{[^{}]*\}(?= ?\()"
    r"|\\pi(?= ?\()|(?<![A-Za-z\\])i(?= ?\()"
)
_DOUBLE_FACTORIAL = re.compile(r"(?<![\w.!)}^_])(\d{1,3})!!(?!!)")
# The parser takes capital I, with any index, for the imaginary unit, which only programs write so
# (`4*I`), and reads no `e` with an index.
_NO_CONSTANT = re.compile(
    r"(?<![A-Za-z\\\d*])I(?![A-Za-z])|(?<![A-Za-z\\])I(?=_)|(?<![A-Za-z\\])e(?=_)"
)
# The parser takes `d` before a letter or a number for a differential (`d \cdot 2` is its variable
# `d2`). It is one where something is integrated or derived, and else a variable. One that a sum
# runs over keeps its name in all of the formula.
_KEEPS_D = re.compile(
    r"\\i*int(?![a-z])|\\oint|\\partial|_\{d[^\w{}]"
    r"|\\[dt]?frac ?\{d(?:[^{}]|\{[^{}]*\})*\} ?\{d ?\\?[A-Za-z]"
    r"|d(?:\^\{?\d\}?)? ?[A-Za-z]? ?/ ?d ?[A-Za-z]"
)
_VARIABLE_D = re.compile(
    r"\\(?:text|mathrm|mathit|operatorname)\{[^{}]*\}|\\[A-Za-z]+|_\{[^{}]*\}|_d|d(?!_)"
)
# The parser takes all that is multiplied after `\sin B \cdot` for the argument.
_ARGUMENT = re.compile(
    r"(\\(?:sin|cos|tan|cot|sec|csc|ln|log)(?:\^\{?\d\}?)?) ?(\\[a-z]+|[A-Za-z])"
    r"(?= ?(?:\\cdot|\\times|\*|/))"
)
_BRACED_ARGUMENT = re.compile(
    r"(\\(?:ln|lg|log(?:_(?:\w|\{[^{}]*\}))?|(?:sin|cos|tan|cot|sec|csc)(?:\^\{?\d\}?)?)) ?"
    r"\{([^{}]*)\}"
)
# What an equation in several variables is solved for, if it is linear in it: the first of these.
_SOLVED_FOR = ("z", "y", "r")
_SIGNS = {"StrictGreaterThan": ">", "GreaterThan": ">=", "StrictLessThan": "<", "LessThan": "<="}
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


class UnknownFormula(Exception):
    """What this cannot read, or give a value."""


def key_of(latex: str) -> str:
    """The key of a formula in LaTeX without dollar signs.

    A rational constant has the key `str(Fraction)`, infinity `oo`, a range `(1,oo)`.

    Raises:
        UnknownFormula: it is no formula that can be read.
        Exception: whatever the parser and SymPy raise.
    """
    return _key(_read(latex))


def _read(latex: str) -> Any:
    text = _PRIMED.sub(lambda m: f"{m[1]}_{{{'prime' * len(m[2])}}}", latex)
    text = _DERIVATIVE.sub(lambda m: f"{m[1]}_{{{'prime' * int(m[2])}}}", text)
    text = _FACTORS.sub(r"\g<0>\\cdot ", text)
    text = _DOUBLE_FACTORIAL.sub(lambda m: str(prod(range(int(m[1]), 0, -2))), text)
    text = _NO_CONSTANT.sub(lambda m: r"\iota " if m[0] == "I" else r"\varepsilon ", text)
    text = _TRANSPOSED.sub(r"\1_{T}", text)
    if not _KEEPS_D.search(text):
        text = _VARIABLE_D.sub(lambda m: "d_{d}" if m[0] == "d" else m[0], text)
    text = _BRACED_ARGUMENT.sub(r"\1(\2)", text)
    text = _ARGUMENT.sub(r"\1(\2)", text)
    return latex2sympy(text, normalization_config=None, conversion_config=_CONFIG)


def _key(tree: Any) -> str:
    if isinstance(tree, Relational):
        return _relation_key(tree)
    if isinstance(tree, sympy.MatrixBase):
        rows = (",".join(map(_value_key, tree.row(i))) for i in range(tree.rows))
        return f"matrix[{','.join(f'[{row}]' for row in rows)}]"
    if type(tree).__name__ == "FiniteSet":
        keys = sorted({_value_key(value) for value in tree.args})
        return keys[0] if len(keys) == 1 else f"{{{','.join(keys)}}}"
    if isinstance(tree, sympy.Expr):
        return _value_key(tree)
    raise UnknownFormula


# ── values ────────────────────────────────────────────────────────────────────────────────────


def _value_key(expression: Any) -> str:
    expression = _prepared(expression).doit()
    symbols = sorted(expression.free_symbols, key=str)
    points = range(POINTS if symbols else 1)
    at_points = [expression.subs(_point(symbols, k)) for k in points]
    # Powers to a variable are those of complex numbers.
    if not any(power.exp.free_symbols for power in expression.atoms(sympy.Pow)):
        at_points = [_with_real_roots(value) for value in at_points]
    values = [_constant_key(value) for value in at_points]
    if not symbols:
        return values[0]
    if not expression.has(sympy.I):
        values = _real(values)
    if all(value == values[0] for value in values):
        return values[0]  # its variables cancel out
    return f"f({';'.join(values)})"


def _real(values: list[str]) -> list[str]:
    r"""The values without those that are not real, if another one is: a formula of real numbers
    has none there, so `\sqrt{1/n}` is `\frac{1}{\sqrt{n}}`."""
    real = [not value.endswith("i") for value in values]
    pairs = zip(values, real, strict=True)
    return [value if is_real else "none" for value, is_real in pairs] if any(real) else values


def _prepared(expression: Any) -> Any:
    """The formula with exact numbers, the imaginary unit, and symbols for what has no value."""
    replaced: dict[Any, Any] = {
        part: sympy.Symbol(f"[{part}]")
        for part in expression.atoms(AppliedUndef, sympy.Derivative)
        if isinstance(part, AppliedUndef) or not part.args[0].has(part.args[1][0])
    }
    # What a function has to do with the variable that a limit or a sum binds cannot be seen.
    replaced |= {
        part: sympy.Symbol(f"[{part}]")
        for part in expression.atoms(sympy.Limit, sympy.Sum, sympy.Product, sympy.Integral)
        if part.has(AppliedUndef) or _is_indexed(part)
    }
    replaced |= {number: sympy.Rational(str(number)) for number in expression.atoms(sympy.Float)}
    bound = {
        limits[0] for part in expression.atoms(sympy.Sum, sympy.Product) for limits in part.limits
    }
    unit = sympy.Symbol("i")
    if unit in expression.free_symbols and unit not in bound:
        replaced[unit] = sympy.I
    return expression.xreplace(replaced) if replaced else expression


def _is_indexed(part: Any) -> bool:
    r"""Whether what a limit or a sum binds is an index of a symbol: `n` of `a_n`."""
    limits = [part.args[1:2]] if isinstance(part, sympy.Limit) else part.limits
    indices = [symbol.name.partition("_")[2] for symbol in part.atoms(sympy.Symbol)]
    return any(
        re.search(rf"(?<![A-Za-z]){re.escape(str(bound))}(?![A-Za-z])", index)
        for bound, *_ in limits
        for index in indices
    )


def _point(symbols: list[Any], k: int) -> dict[Any, Any]:
    """A value for each variable, the same in every process: between 1/5 and 3, and at the second
    point negative, since `\\sqrt{x^2}` is not `x`."""
    values: dict[Any, Any] = {}
    for symbol in symbols:
        digest = sha256(f"{symbol}:{k}".encode()).digest()
        value = sympy.Rational(200 + int.from_bytes(digest[:4]) % 2800, 1000)
        values[symbol] = -value if k == 1 else value
    return values


def _constant_key(value: Any) -> str:
    value = value.doit()
    if value.is_Rational:
        return _exact_key(value)
    if value in (sympy.oo, -sympy.oo):
        return str(value)
    if value.has(sympy.zoo, sympy.nan, sympy.oo):
        raise UnknownFormula
    real, imaginary = (_evaluated(part) for part in value.evalf(_WORKING_DIGITS).as_real_imag())
    if abs(imaginary) <= abs(real) * 1e-30:
        imaginary = sympy.Integer(0)
    elif abs(real) <= abs(imaginary) * 1e-30:
        real = sympy.Integer(0)
    real_key = _decimal_key(real, value)
    return f"{real_key}+{_decimal_key(imaginary, value)}i" if imaginary else real_key


def _with_real_roots(value: Any) -> Any:
    r"""The value with `\sqrt[3]{-8}` as -2, and so all odd roots of negative numbers.

    SymPy takes the principal root, which is not real.
    """
    return value.replace(
        lambda part: part.is_Pow and part.base == -1 and part.exp.is_Rational and part.exp.q % 2,
        lambda part: (-1) ** part.exp.p,
    )


def _exact_key(value: Any) -> str:
    # In base 16: Python refuses to write long numbers in base 10, which takes quadratic time.
    hexadecimal = f"{int(value.p):x}/{int(value.q):x}"
    if len(hexadecimal) > _MAX_EXACT_CHARS:
        return f"#{sha256(hexadecimal.encode()).hexdigest()}"
    return str(value)


def _evaluated(part: Any) -> Any:
    number = part.evalf(_WORKING_DIGITS)
    if not number.is_number or not number.is_comparable:
        raise UnknownFormula
    return number


def _decimal_key(number: Any, whole: Any) -> str:
    if not number:
        return "0"
    # Of a sum that cancels out, SymPy knows no digit: it is nothing but the error of its terms.
    if number._prec < 20:
        if whole.equals(0):
            return "0"
        raise UnknownFormula
    exact = Fraction(str(number))
    near = exact.limit_denominator(_LARGEST_DENOMINATOR)
    if near and abs(exact - near) < _NEARNESS * abs(exact):
        return str(near)
    return str(sympy.Float(number, SIGNIFICANT_DIGITS))


# ── equations and inequalities ────────────────────────────────────────────────────────────────


def _relation_key(relation: Any) -> str:
    difference = _prepared(relation.lhs - relation.rhs).doit()
    symbols = sorted(difference.free_symbols, key=str)
    sign = _SIGNS.get(type(relation).__name__)
    if isinstance(relation, sympy.Eq):
        named = {str(symbol): symbol for symbol in symbols}
        wanted = (named[name] for name in _SOLVED_FOR if name in named)
        variable = symbols[0] if len(symbols) == 1 else next(wanted, None)
        if (
            variable is not None
            and (solution := _linear_solution(difference, variable)) is not None
        ):
            return _value_key(solution)
        if _vanishes(difference, symbols):
            return f"identity({_value_key(relation.lhs)})"
        return f"eq({_ratios(difference, symbols, lambda first: first)})"
    if sign is None:
        raise UnknownFormula
    if len(symbols) == 1 and (solution := _linear_solution(difference, symbols[0])) is not None:
        rises = difference.diff(symbols[0]).is_positive
        return _ray(_value_key(solution), sign if rises else _FLIPPED[sign])
    if sign in ("<", "<="):
        difference, sign = -difference, _FLIPPED[sign]
    return f"{sign}({_ratios(difference, symbols, sympy.Abs)})"


def _vanishes(difference: Any, symbols: list[Any]) -> bool:
    """Whether both sides of an equation are equal whatever its variables are."""
    return all(_constant_key(difference.subs(_point(symbols, k))) == "0" for k in range(POINTS))


def _linear_solution(difference: Any, variable: Any) -> Any:
    """The variable's value where the difference is nothing, if it is linear in it."""
    slope = sympy.expand(difference).coeff(variable, 1)
    rest = sympy.expand(difference - slope * variable)
    if not slope.free_symbols and slope.is_zero is not False:
        return None
    if rest.has(variable) or slope.has(variable):
        return None
    return -rest / slope


def _ratios(difference: Any, symbols: list[Any], scale: Callable[[Any], Any]) -> str:
    values = [difference.subs(_point(symbols, k)) for k in range(POINTS + 1)]
    by = scale(values[0])
    return ";".join(_constant_key(value / by) for value in values)


def _ray(end: str, sign: str) -> str:
    match sign:
        case ">":
            return f"({end},oo)"
        case ">=":
            return f"[{end},oo)"
        case "<":
            return f"(-oo,{end})"
        case _:
            return f"(-oo,{end}]"
