import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.code_blocks import last_block, normalised_code


def block(code: str, language: str = "python", fence: str = "```") -> str:
    return f"Here it is:\n{fence}{language}\n{code}\n{fence}\nDone."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (block("x = 1"), "x = 1"),
        (block("x = 1") + "\n" + block("x = 2", "py"), "x = 2"),
        (block("x = 1", "", "~~~"), "x = 1"),
        (block("a\n```\nb", "", "````"), "a\n```\nb"),
        (block("x = 1") + "\n```python\nx = ", "x = 1"),
        (block("x = 1") + "\n```\n\n```", "x = 1"),
        ("```python\nx = 1", None),
        ("`x = 1`", None),
        ("```x = 1```", None),
        ("   ```\nx\n   ```", "x"),
        ("", None),
    ],
)
def test_the_last_complete_block_is_the_answer(text: str, answer: str | None) -> None:
    assert last_block(text) == answer


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 1",
        "def f(x):  # adds one\n  return x+1\n\n",
        "# a program\ndef f( x ) :\n\n\treturn (x + 1)",
    ],
)
def test_comments_and_layout_make_no_other_program(other: str) -> None:
    assert normalised_code(other) == normalised_code("def f(x):\n    return x + 1")


def test_other_code_is_another_program() -> None:
    assert normalised_code("x = 1") != normalised_code("x = 2")
    assert normalised_code("x = '# 1'") != normalised_code("x = ''")
    assert normalised_code("SELECT 1;") != normalised_code("SELECT 2;")


def test_what_is_not_python_loses_trailing_blanks_and_empty_lines_only() -> None:
    assert normalised_code("SELECT 1;  \n\n  FROM t;") == "SELECT 1;\n  FROM t;"


@given(st.text(max_size=80))
def test_what_is_normal_stays_so(code: str) -> None:
    normal = normalised_code(code)
    assert normalised_code(normal) == normal


@given(st.sampled_from(["x = 1", "for i in y:\n    f(i)", "a = [1, 2]\nb = a"]), st.text("# ab"))
def test_a_comment_after_a_program_changes_nothing(code: str, comment: str) -> None:
    assert normalised_code(f"{code}\n# {comment}") == normalised_code(code)


@pytest.mark.parametrize(
    "unit",
    ["(", "[", "{", "{a:", "-", "~", "not ", "lambda: ", "a.", "a(", "a[", "a**", "a if b else ",
     "x\n", "if x:\n ", "1+", "()", "f(", "lambda x=", "'", '"""', "\\\n", "`", "```", "```\n",
     "```a`", "~~~", "\n```x", "f'{", "await ", "yield ", "*", "@a\n", "a:", "a=", "a,", "a;",
     "\t", "0x", "9", "é", "\0", "\ud800", "elif x:\n", "def f():", "class A:", "match x:\n"],
)  # fmt: skip
def test_hostile_code_takes_no_time_to_speak_of(unit: str) -> None:
    # A reader that takes exponential or quadratic time is noticed by the test run's time limit,
    # one that overflows the stack by the end of the process.
    hostile = unit * (1_000_000 // len(unit))
    last_block(hostile)
    last_block(hostile + "\n" + block("x = 1", fence="`" * 40))
    for length in (18, 19, 200, 4_000, 8_192):
        normalised_code((unit * length)[:length])
        normalised_code((unit * length)[: length - 1] + "0")
