import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.code_blocks import last_block, normalised_code


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


PROGRAM = "def area(r):\n    return 3 * r * r"


@pytest.mark.parametrize(
    "after",
    [
        block("12", ""),
        block("area = 12", "").replace("Here it is", "Output"),
        block("Area: 12", "text"),
        block('{"area": 12}', "json"),
        block("pip install areas", "bash"),
        block("$ python area.py\n12", "console"),
        block(">>> area(2)\n12"),
        block("print(area(2))  # 12"),
        block("result = area(2)\nprint(result)"),
        block("for r in range(3):\n    print(area(r))", ""),
        block("def test_area():\n    assert area(1) == 3"),
        block("if __name__ == '__main__':\n    area(2)"),
        block("class Areas(unittest.TestCase):\n    def one(self):\n        area(1)"),
        block("class TestAreas:\n    def setup(self):\n        self.a = area(1)"),
        block("@pytest.fixture()\ndef one():\n    return 1\n\ndef test_it(one):\n    area(one)"),
        block("assert area(1) == 3"),
        block("# Notes", "markdown"),
    ],
)
def test_what_only_shows_a_program_is_not_it(after: str) -> None:
    assert last_block(block(PROGRAM) + "\n" + after) == PROGRAM
    assert last_block(after) is not None


@pytest.mark.parametrize(
    "better",
    [
        block("def area(r):\n    return 3.14 * r * r"),
        block("def area(r):\n    return 3.14 * r * r", ""),
        block("import math\n\ndef disc(r):\n    return area(r)"),
        block("class Disc(Shape):\n    def area(self):\n        return area(self.r)"),
        block("y = 2"),
        block("area = lambda r: 3.14 * r * r"),
        block("SELECT 1;", "sql"),
        block("for f in *; do\n  echo $f\ndone", "bash"),
    ],
)
def test_a_later_program_is_the_answer(better: str) -> None:
    assert last_block(block(PROGRAM) + "\n" + better) == last_block(better)


def test_examples_are_known_in_other_languages() -> None:
    program = "int area(int r) {\n  return 3 * r * r;\n}"
    for example in ("int main() {\n  return area(2);\n}", 'printf("%d", area(2));'):
        assert last_block(block(program, "c") + "\n" + block(example, "c")) == program
    program = "const area = (r) => 3 * r * r;"
    assert last_block(block(program, "js") + block("console.log(area(2));", "js")) == program


@pytest.mark.parametrize(
    "text",
    [
        "1. So:\n   ```python\n   if x:\n       y = 1\n   ```",
        "- a\n  - b\n\n      ```py\n      if x:\n          y = 1\n      ```",
        "- ```py\n  if x:\n      y = 1\n  ```",
        "> ```\n> if x:\n>     y = 1\n> ```",
        "\t```\n\tif x:\n\t    y = 1\n\t```",
        "```python3\r\nif x:\r\n    y = 1\r\n```\r\n",
        "  ```{.python}\nif x:\n    y = 1\n```",
    ],
)
def test_what_a_block_has_from_a_list_or_a_quotation_is_no_part_of_it(text: str) -> None:
    assert last_block(text) == "if x:\n    y = 1"


def test_a_fence_inside_a_program_does_not_close_it() -> None:
    code = 'def f():\n    """\n    ```\n    f()\n    ```\n    """'
    assert last_block(block(code)) == code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#define SIZE 1", "#define SIZE 2"),
        ("#define SIZE 1\nx = SIZE", "#define SIZE 2\nx = SIZE"),
        ("#include <a.h>", "#include <b.h>"),
        ("#if DEBUG\nx = 1\n#endif", "#if TRACE\nx = 1\n#endif"),
        ("# One title", "# Another title"),
        ("# One title\n\nWord", "# Another title\n\nWord"),
        ("# One title\n\n- item", "# Another title\n\n- item"),
        ("# One title\nAuthor: Bob", "# Another title\nAuthor: Bob"),
        ("#!/bin/sh\nx=1", "#!/bin/bash\nx=1"),
        ("#main { }", "#side { }"),
        ("x = '#{y}'", 'x = "#{y}"'),
    ],
)
def test_lines_with_a_hash_are_no_comments_in_other_languages(one: str, other: str) -> None:
    assert normalised_code(one) != normalised_code(other)


@pytest.mark.parametrize(
    "other",
    ["# why\nx = 1\nf(x)", "#!/usr/bin/env python3\nx = 1\nf(x)", "# include the tax\nx=1\nf(x)",
     "x = 1\r\nf( x )", "x = 1; f(x)"],
)  # fmt: skip
def test_comments_of_python_are(other: str) -> None:
    assert normalised_code(other) == normalised_code("x = 1\nf(x)")


def test_tabs_and_blanks_before_a_line_are_the_same() -> None:
    assert normalised_code("int f() {\n\treturn 1;\n}") == "int f() {\n    return 1;\n}"


@given(
    st.text(alphabet="xµ\x0c\x0b\x1c\u2028 +-=#\n\t\\'\"()1:", max_size=30)
    | st.lists(
        st.sampled_from(["x", "µ", " ", "\x0c", "\n", "\t", "=", "-", "1", "#c", "#define A", "'",
                         "if x:", "\\", "ﬁ", '"""', "f'{", "}", "(", ")", "pass"]),
        max_size=16,
    ).map("".join)
)  # fmt: skip
def test_what_is_normal_stays_so_whatever_python_makes_of_it(code: str) -> None:
    normal = normalised_code(code)
    assert normalised_code(normal) == normal


@given(st.text(alphabet="ab =\n()\t#:1", min_size=1, max_size=40))
def test_a_block_that_is_fenced_again_is_the_same(code: str) -> None:
    found = last_block(f"~~~\n{code}\n~~~")
    assert (found is None) is (not code.strip())
    if found is not None:
        assert last_block(f"~~~\n{found}\n~~~") == found
