from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontrunner.runtime.answers import canonicalize
from frontrunner.runtime.answers.equivalence.canonical import MAX_RULED_CHARS
from frontrunner.runtime.answers.equivalence.structure import Formula, Leaf, structure_of


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        (r"$x+1$", "x+1"),
        (r"\(x + 1\)", "x+1"),
        (r"\left( 1, 2 \right)", "(1,2)"),
        (r"\left. x \right|", "x|"),
        (r"a\!b\,c\;d", "a b c d"),
        (r"2\,x", "2x"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (r"\dfrac{x}{2}", r"\frac{x}{2}"),
        (r"\tfrac x2", r"\frac{x}{2}"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"√2", r"\sqrt{2}"),
        (r"2 \pi r", r"2\pi r"),
        ("2πr", r"2\pi r"),
        ("x²", "x^2"),
        (r"x^{2}", "x^2"),
        (r"x^{2}3", "x^{2}3"),
        (r"x \leq 3", r"x\le3"),
        ("x ≤ 3", r"x\le3"),
        (r"\text{Yes}", "yes"),
        ("Yes.", "yes"),
        ("New  York", "new york"),
        ("AB", "AB"),
        ("x+Y", "x+Y"),
        (r"\textbf{(C)}", "C"),
        (r"\boxed{x}", "x"),
        ("y = 2x + 1", "2x+1"),
        (r"x \in [0, 1]", "[0,1]"),
        ("x = 1, y = 2", "x=1,y=2"),
        ("x =", "x="),
        (r"1 \text{ or } 2", "1,2"),
        ("(1,234)", "(1,234)"),
        ("1 2 3", "1 2 3"),
        ("a\u200bb\u202ec\0", "abc"),
        ("\ud800x", "x"),
        ("x^2!", "x^2!"),
        ("", ""),
        ("$ $", ""),
    ],
)
def test_an_answer_has_a_canonical_spelling(answer: str, form: str) -> None:
    assert canonicalize(answer).form == form
    assert canonicalize(answer).number is None


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("42", 42),
        ("$42$", 42),
        (r"\$42.50", Fraction(85, 2)),
        ("42.", 42),
        ("+42", 42),
        ("-42", -42),
        ("\u221242", -42),
        ("0042", 42),
        ("-0", 0),
        ("4 2", None),
        ("٤٢", 42),
        ("４２", 42),
        ("x = 42", 42),
        ("x_{1}=42", 42),
        ("42%", 42),
        (r"42\%", 42),
        (r"42^\circ", 42),
        (r"42^{\circ}", 42),
        ("42°", 42),
        (r"42\text{ cm}^2", 42),
        (r"42\,\mathrm{cm}", 42),
        ("42 apples", 42),
        ("42 or more", None),
        ("1,234,567", 1_234_567),
        ("-1,234.5", Fraction(-2469, 2)),
        ("1{,}234", 1234),
        (r"1,\!234", 1234),
        (r"1\,234", 1234),
        ("12,34", None),
        (".5", Fraction(1, 2)),
        ("0.50", Fraction(1, 2)),
        ("½", Fraction(1, 2)),
        ("2/4", Fraction(1, 2)),
        ("-2/4", Fraction(-1, 2)),
        (r"\frac{2}{4}", Fraction(1, 2)),
        (r"\dfrac24", Fraction(1, 2)),
        (r"\frac2{4}", Fraction(1, 2)),
        (r"\frac{2}4", Fraction(1, 2)),
        (r"-\frac{-2}{4}", Fraction(1, 2)),
        ("1/0", None),
        ("1/2/3", None),
        ("1e5", 100_000),
        (r"1.5 \times 10^{-3}", Fraction(3, 2000)),
        ("1e1000", None),
        ("1 000 000", 1_000_000),
        ("1, 234", 1234),
        ("0, 234", None),
        ("²", None),
        ("9" * 64, 10**64 - 1),
        ("9" * 65, None),
        ("0." + "0" * 60 + "1", Fraction(1, 10**61)),
        ("0." + "0" * 100 + "1", None),
        ("9" * 1000, None),
    ],
)
def test_a_number_is_read_exactly(answer: str, number: Fraction | int | None) -> None:
    assert canonicalize(answer).number == number


@given(st.fractions(), st.integers(1, 1000))
def test_equal_numbers_have_equal_forms_however_they_are_written(value: Fraction, n: int) -> None:
    top, bottom = value.numerator * n, value.denominator * n
    spellings = [f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"${-top} / -{bottom}$"]
    forms = {canonicalize(spelling) for spelling in spellings}
    assert {form.number for form in forms} == {value}
    assert len(forms) == 1


@given(st.decimals(-(10**9), 10**9, places=6))
def test_decimals_are_exact(value: object) -> None:
    assert canonicalize(str(value)).number == Fraction(str(value))


HOSTILE_PIECES = [
    *"$.,;%()[]{}^_=+-/! 059aAx",
    *["\\", "\\!", "\\,", "\\left", "\\text{", "\\frac", "\\sqrt", "{,}", "\\%", "\\circ", "or"],
    *["½", "π", "√", "²", "−", "\u202e", "\0", "\n", "É", "٣", "，", "\\in", "Yes", " cm", "\\le"],
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(HOSTILE_PIECES), max_size=40).map("".join)))
@example("\\text{" * 100 + "5" + "}" * 100)
@example("½" * 100)
@example("π" * 1000)
@example("1/" * 500)
def test_the_canonical_form_is_its_own_canonical_form(answer: str) -> None:
    canonical = canonicalize(answer)
    assert canonicalize(canonical.form) == canonical
    assert len(canonical.form) <= MAX_RULED_CHARS


@pytest.mark.parametrize("unit", ["(", "{", "\\text{", "\\frac", " ", ", ", "π", "\0", "\ud800"])
def test_a_million_characters_become_a_short_form(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    canonical = canonicalize(text)
    assert len(canonical.form) < 100
    assert canonical != canonicalize(text + "x")
    assert isinstance(structure_of(canonical), Leaf)


@pytest.mark.parametrize(
    "form",
    [
        "",
        "x" * 513,
        "(" * 17 + "1" + ")" * 17,
        r"\frac{" * 17,
        "1" * 65 + "x",
        "9^9^9^9^9^9",
        "5!!!!!",
        "9**9**9**9**9**9",
        "yes",
        "listen",
        "new york",
        canonicalize("long " * 1000).form,
    ],
)
def test_what_a_parser_should_not_see_is_compared_as_text(form: str) -> None:
    assert isinstance(structure_of(canonicalize(form)), Leaf)


@pytest.mark.parametrize(
    "form", ["x+1", "A", "ab", r"\sqrt{8}", "x^2+y^2+z^2", r"\frac{1}{x}", "2m", r"\sin x"]
)
def test_mathematics_is_given_to_a_parser(form: str) -> None:
    assert structure_of(canonicalize(form)) == Formula(form)
