import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.last_number import last_number, settled_number

HOSTILE = ["1,", "1,111", "-", "1/", ".", "answer is ", "\n(", "\\boxed{", " ", "−1", "9", "\n",
           "1e", "1 000 ", "1:", "1'", "10^{", "_1", "x_", "\\frac{1}{", "\\frac{1}{2}", "\\sqrt",
           "#### ", "#### 1 wait ", "\u0663", "²", "the final ", "1 1/", "negative ",
           "答案是", "2^", "1.234", "万", "answer is not 1 ", "{1 \\over ", "step 1 ", "is - $",
           "a**", "a1.", "1 000,5 ", "#### 1 a", "#### x=1 "]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 12 and then 15.", "15"),
        ("it costs $1,234.50 in all", "1234.50"),
        ("x = -3", "-3"),
        ("x = \u22123", "-3"),
        ("the difference 8-3", "3"),
        ("8 - 3 is what it is", "3"),
        ("(5)-2", "2"),
        ("3/4 of it", "3/4"),
        ("1,2,3", "3"),
        ("12,34", "34"),
        ("1234,567", "567"),
        ("in 2024.", "2024"),
        (r"\boxed{\frac{1}{2}} of 7", r"\frac{1}{2}"),
        (r"so $\frac{\pi}{2}$", r"\frac{\pi}{2}"),
        (r"so $-\frac{2\sqrt{3}}{5}$", r"-\frac{2\sqrt{3}}{5}"),
        (r"so $\pi$", r"\pi"),
        ("5 \u20137 is what it is", "7"),
        ("\u20137", "-7"),
        ("minus 7", "-7"),
        ("7 people had COVID-19", "7"),
        ("<answer>7</answer> (in 5 s)", "7"),
        ('{"answer": 7, "steps": 5}', "7"),
        ("La respuesta es 7. Hay 5 casos.", "7"),
        ("Die Antwort lautet 7. Es sind 5 Tage.", "7"),
        ("La réponse est 7 (5 jours).", "7"),
        ("Ответ: 7. Всего 5 шагов.", "7"),
        ("La respuesta no es 7. Hay 5 casos.", "5"),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_number_is_the_answer(text: str, answer: str | None) -> None:
    assert last_number(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so $\frac{5}{8}$ of it", "5/8"),
        (r"so $\dfrac58$", "5/8"),
        (r"so $-\tfrac{5}{8}$", "-5/8"),
        (r"so $2\frac{1}{3}$", "7/3"),
        ("2 1/3 cups", "7/3"),
        ("5 / 8", "5/8"),
        (r"$12{,}345$", "12345"),
        (r"$12\,345$", "12345"),
        ("12'345.5 francs", "12345.5"),
        ("12.345,5 Euro", "12345.5"),
        ("12.345.678", "12345678"),
        ("₹12,34,567", "1234567"),
        ("1 234 567", "1234567"),
        ("0,75", "0.75"),
        ("17,5 kg", "17.5"),
        ("Ответ: 17,5", "17.5"),
        ("La réponse est 17,5.", "17.5"),
        ("4,5,6 m", "6"),
        ("around .8", "0.8"),
        ("-.8", "-0.8"),
        ("60%", "60"),
        ("2.5e-7", "2.5e-7"),
        ("3E8", "3e8"),
        (r"3.1 \times 10^{-8}", r"3.1 \times 10^{-8}"),
        ("3.1 × 10⁸ m", r"3.1 \times 10^{8}"),
        ("it is 2^20", "2^{20}"),
        (r"it is 6\sqrt{5}", r"6\sqrt{5}"),
        (r"it is 6\pi", r"6\pi"),
        ("6 million people", "6 million"),
        ("at 9:45", "9:45"),
        ("the ratio 4:3", "4:3"),
        ("on 2031-02-03", "2031-02-03"),
    ],
)
def test_a_number_has_one_spelling(text: str, answer: str) -> None:
    assert last_number(text) == answer
    assert last_number(answer) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 m^2", "6"),
        ("6 cm^{3} in all", "6"),
        ("6 km²", "6"),
        ("6 g of SO2", "6"),
        ("6 g of H_2O", "6"),
        ("let it be 6 for x_1", "6"),
        ("O(n^2)", None),
        ("version v2", None),
        ("0x1F", None),
    ],
)
def test_digits_of_units_and_names_are_no_numbers(text: str, answer: str | None) -> None:
    assert last_number(text) == answer


@pytest.mark.parametrize(
    "before", ["是", "答えは", "답은", "равно ", "(", "=", "is: ", "_", "**", '"']
)
@pytest.mark.parametrize("sign", ["-", "\u2212"])
def test_a_sign_counts_behind_any_script_and_markup(before: str, sign: str) -> None:
    assert last_number(f"{before}{sign}9,876 ") == "-9876"
    assert last_number(f"{before}9,876元") == "9876"


@pytest.mark.parametrize("text", ["-$9,876", "−€9,876", "$-9,876", "-Rs9,876", "negative 9876"])
def test_a_sign_counts_before_a_currency(text: str) -> None:
    assert last_number(f"loss: {text}") == "-9876"
    assert last_number("- $5 for tea") == "5"  # the sign of a list


@pytest.mark.parametrize("zero", ["\u0660", "\u06f0", "\u0966", "\uff10"])
def test_digits_of_other_scripts_count(zero: str) -> None:
    digits = "".join(chr(ord(zero) + digit) for digit in (4, 0, 2))
    assert last_number(f"= {digits}") == "402"
    assert last_number("= \u0663\u066b\u0665 \u0661\u066c\u0662\u0663\u0664") == "1234"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### 31\n\nQuestion 2: what is 5+6?", "31"),
        ("The answer is 31. I checked it in 3 ways.", "31"),
        ("**Answer:** $31$\n\nThat took 4 steps.", "31"),
        ("The answer is 31, since 30 + 1 = 31. See 5.", "31"),
        ("The answer is 30 + 1 = 31. See 5.", "31"),
        ("The answer is 30. No: the answer is 31, by rule 2.", "31"),
        ("The answer is 30. Wait, I forgot one: it is 31", "31"),
        ("答案是31。我验算了2次。", "31"),
        ("The answer to part 1: 5. So in all it is 31", "31"),
        ("The answer is unclear. I tried 31", "31"),
    ],
)
def test_a_number_that_is_stated_as_the_answer_counts_first(text: str, answer: str) -> None:
    assert last_number(text) == answer


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u2009"])
def test_blanks_group_digits(blank: str) -> None:
    assert last_number(f"it costs 25{blank}000 francs") == "25000"
    assert last_number(f"25{blank}000.") == "25000"
    assert last_number(f"25{blank}000,75 €") == "25000.75"
    assert last_number(f"-2{blank}500,5") == "-2500.5"
    assert last_number(f"2{blank}500{blank}000") == "2500000"
    assert last_number("After step 3 450 are left") == "450"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("7 ½ hours", "15/2"),
        ("6 m**2", "6"),
        ("it is **6**", "6"),
        (r"so ${5 \over 8}$", "5/8"),
        (r"so $\nicefrac{5}{8}$", "5/8"),
        ("6 mg of PM2.5", "6"),
        ("- $60", "-60"),
        ("x = - $60", "-60"),
        ("- $60\n- $70", "70"),
        ("a balance of \u2013$60", "-60"),
        ("60 \u2013$70", "70"),
        ("it leaves 4 (mod 9)", "4"),
        (r"so $x \equiv 4 \pmod{9}$", "4"),
    ],
)
def test_other_spellings_of_fractions_powers_and_signs(text: str, answer: str) -> None:
    assert last_number(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is not 30; it is 31.", "31"),
        ("The answer is not 30 but 31.", "31"),
        ("The answer isn't 30, it's 31", "31"),
        ("The answer is 31. The answer is not 30.", "31"),
        ("The answer is not 30.", None),
        ("It is 31, not 30.", "31"),
        ("We get 31, and not \u20ac30", "31"),
        ("It is 30, not to forget 31", "31"),
    ],
)
def test_what_is_denied_is_no_answer(text: str, answer: str | None) -> None:
    assert last_number(text) == answer


@pytest.mark.parametrize("line", ["31", "31.", "**31**", "31 dollars", "31 dollars per day",
                                  "x = 31", "31元", "31 km/h", "31 USD"])  # fmt: skip
def test_hashes_before_a_number_state_it(line: str) -> None:
    assert last_number(f"#### {line}\n\nThat took 4 steps.") == "31"


@pytest.mark.parametrize(
    "title", ["Step 2", "2. Sum", "2) Sum", "**2.** Sum", "Part 2", "2 Adding up", "Way 2: sums"]
)
def test_hashes_before_a_title_state_nothing(title: str) -> None:
    assert last_number(f"#### {title}\nSo it is 31") == "31"


@given(st.integers(-(10**12), 10**12), st.text(alphabet="ab .,()-\n", max_size=20))
def test_a_number_is_found_with_and_without_commas(number: int, after: str) -> None:
    assert last_number(f"so it is {number}{' ' + after}") == str(number)
    assert last_number(f"so it is {number:,}{' ' + after}") == str(number)


@given(
    st.text(max_size=40)
    | st.text(alphabet="0123 .,:/-^_{}'eEx\\$%²٣万½", max_size=30)
    | st.lists(
        st.sampled_from(
            [r"\frac", "{1}", "{2}", "1", "2/3", " ", r"\times", "10", "^", "3", r"\sqrt", "-",
             "e5",
             "million", ",", "000", ".", r"\pi", "1/2", "#### ", "x"]
        ),
        max_size=12,
    ).map("".join)
)  # fmt: skip
def test_what_is_found_is_found_in_itself(text: str) -> None:
    number = last_number(text)
    assert number is None or last_number(number) == number != ""


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_number(hostile)
    assert last_number(hostile + " so. The answer is 7") == "7"


# ── a forced answer that is being written ─────────────────────────────────────────────────────────

SLOT = "The answer is "


@pytest.mark.parametrize(
    ("said", "at", "answer"),
    [
        ("8 apples", "8 a", "8"),
        ("8.\nAnd so", "8.\n", "8"),
        ("8. So", "8. ", "8"),
        ("8.5 km", "8.5 k", "8.5"),
        ("1,234 gold", "1,234 g", "1234"),
        ("$12 each", "$12 ea", "12"),
        ("**7**\n", "**7**\n", "7"),
        ("40% of", "40%", "40"),
        ("3/4 of", "3/4 o", "3/4"),
        ("-5 degrees", "-5 de", "-5"),
        ("2 million people", "2 million p", "2 million"),
        ("3 miles", "3 mile", "3"),
        ("he has 6 now", "he has 6 n", "6"),
    ],
)
def test_a_number_is_settled_as_soon_as_nothing_can_belong_to_it(
    said: str, at: str, answer: str
) -> None:
    text = SLOT + said
    settled = [n for n in range(len(said) + 1) if settled_number(SLOT + said[:n]) is not None]
    assert said[: settled[0]] == at
    assert {settled_number(SLOT + said[:n]) for n in settled} == {answer}
    assert last_number(text) == answer


@pytest.mark.parametrize(
    "said", ["", "8", "8 ", "8.", "1,", "8/", "8 x", "8 m", "3 + 5", "3 + 5 = 8", "8e", "unknown"]
)
def test_a_number_that_may_still_go_on_is_not_settled(said: str) -> None:
    assert settled_number(SLOT + said) is None


def test_a_number_that_nothing_states_is_not_settled() -> None:
    assert settled_number("he has 3 + 5 apples. ") is None
    assert settled_number(r"so \boxed{7} and") == "7"


@given(
    st.lists(st.sampled_from(HOSTILE), max_size=30).map("".join), st.sampled_from(["", " ", " a "])
)
def test_what_is_settled_is_what_is_found(text: str, more: str) -> None:
    settled = settled_number(SLOT + text + more)
    assert settled is None or last_number(SLOT + text + more) is not None


NUMBERS = [
    "1,234", "1 234", "1.234,5", "3/4", "3 1/2", "2^{10}", "5 million", r"6 \times 10^{23}",
    "6×10²³", "1e5", "12:30", "2024-05-01", "5%", r"$\frac{3}{4}$", r"\frac34", r"\frac{\pi}{2}",
    r"\frac{\sqrt{3}}{2}", r"{1 \over 2}", r"2\sqrt{3}", "√2", "-5", "−5", ".5", "1{,}234",
    r"1\,234", "1'234", "5万", "3:2", r"2\pi", r"\pi/2", "10**3", "x = 5", "2+3 = 5", "**5**",
    "1,50,000",
]  # fmt: skip


@given(
    st.sampled_from(["The answer is ", "#### ", "答案是", "La respuesta es ", "Answer: "]),
    st.sampled_from(NUMBERS),
    st.sampled_from(["", " apples.", ". So\n", "\n", " and that is it.\n", "元。"]),
)
def test_a_number_cut_anywhere_is_settled_as_what_the_whole_text_says(
    cue: str, number: str, more: str
) -> None:
    text = cue + number + more
    settled = {settled_number(text[:end]) for end in range(len(text) + 1)} - {None}
    assert settled <= {last_number(text)}


@pytest.mark.parametrize("currency", ["€", " €", "$", " $"])
def test_a_comma_before_a_currency_behind_the_number_is_decimal(currency: str) -> None:
    assert last_number(f"En tout 12,75{currency}.") == "12.75"
