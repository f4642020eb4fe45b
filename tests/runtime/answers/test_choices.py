import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.choices import last_choice, settled_choice

LETTERS = "ABCDEFGHIJ"
HOSTILE = ["answer is ", "(A", "Answer: option ", "\n(", "\\boxed{", " ", "**", "\\text{(", "A ",
           "A, ", "A and ", "A is correct ", "(A) is right? ", "选", "选B吗", "Answer: A? ", "B\n",
           "if the answer is B. ", "not A but ", "\\boxed{A}, ", "C) x\n", "\\boxed\\text{",
           "answer to a b c ", "the correct ", "Ｂ", "答案",
           "\n    ", "Options: ", "which is option ", "\n(b) ", "\\color{a}", "\\large ",
           "Ответ: В", "\nA) is wrong", "cevap ", "it's B. ", "- 5"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is (B).", "B"),
        ("The answer is B", "B"),
        ("Answer: D", "D"),
        ("**Answer:** **D**", "D"),
        ("### Final answer\n\n**C**", "C"),
        ("the correct answer is option E", "E"),
        ("The answer to the second question is G.", "G"),
        ("The right option must be (H).", "H"),
        ("So the answer is therefore F", "F"),
        ("I choose option F", "F"),
        ("Work.\n∴ F", "F"),
        ("Ans. F", "F"),
        ("F seems to be correct.", "F"),
        ("I'd say F.", "F"),
        ("I would go with (D).", "D"),
        ("Option D. It has the right sign.", "D"),
        ("Hence (C) is right.", "C"),
        ("**E** is the best choice.", "E"),
        ("option (b) is correct", "B"),
        ("Therefore, G.", "G"),
        ("The answer is (A). No: the answer is (B).", "B"),
        ("The answer is H. Wait, no, it's G.", "G"),
        ("<answer>A</answer>", "A"),
        ("Answer A is wrong, as is answer B; the answer is [C]", "C"),
        ("The answer is Bob", None),
        ("The answer is B's", None),
        ("The answer is (K)", None),
        ("A B C D", None),
        ("", None),
    ],
)
def test_the_choice_that_is_stated_is_the_answer(text: str, answer: str | None) -> None:
    assert last_choice(text) == answer


@pytest.mark.parametrize(
    "after",
    [
        "Option A looks right at first.",
        "Answer choice (C) has the wrong unit.",
        "Why not the others?\n- Option A: too cold\n- Option E: too dry",
        "Note that E is what many choose.",
        "(A) and (C) are ruled out, and F is not correct.",
        "If A is correct, the sum is odd.",
        "Although (C) seems right.",
        "C fits, too.",
        "If x were negative, C would be correct.",
        "Had the rod been longer, the answer would be C.",
    ],
)
def test_options_that_are_only_mentioned_do_not_count(after: str) -> None:
    assert last_choice(f"The answer is (B). {after}") == "B"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not B.",
        "The answer isn't B.",
        "Option A is wrong.",
        "I don't think the answer is C.",
        "Suppose the answer is D.",
        "Is the answer B?",
        "Could it be that B is correct? I cannot say.",
        "The answer is A or B.",
        "Vitamin C is the best choice for scurvy",
        "The angle at B is right.",
        "答案不是B。",
        "不选B",
        "答えはBではない",
        "La réponse n'est pas B",
        "Antwort B ist falsch",
        "选项 (B) 错误",
        "Option (B) is wrong",
    ],
)
def test_what_is_denied_doubted_or_something_else_does_not_count(text: str) -> None:
    assert last_choice(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not B, it's C.",
        "It is not B but C.",
        "I first thought the answer is B, but the correct one is C.",
        "Some choose B, yet C is correct.",
    ],
)
def test_a_correction_counts(text: str) -> None:
    assert last_choice(text) == "C"


@pytest.mark.parametrize(
    "text",
    [
        "**C** – A, B and D contradict the law.",
        "The answer is C; option A, although tempting, is wrong.",
        "Only option C satisfies this.",
        "Only C remains.",
        "option (c)",
        "A: wrong. B: wrong. C: correct.",
        "A. Incorrect. B. Incorrect. C. Correct.",
        "C because A and B have the wrong sign.",
        "A is wrong, whereas C is correct.",
        "If we add these up, the answer would be C.",
        "The correct answer is (C), and (D) would be the second best.",
        "The answer is (C), and (D) is a distractor.",
        "Option (C) 12 m",
        "选项 (C) $12$ m。",
        "选项C：对",
    ],
)
def test_what_is_said_of_the_others_chooses_none_of_them(text: str) -> None:
    assert last_choice(text) == "C"


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize(
    "form",
    [
        r"\boxed{%s}", "The answer is (%s).", "Answer: %s", "so:\n(%s)", "%s.", "Answer: `%s`",
        "The answer is %s.", "The answer is %s because it is larger.", "Answer: [%s]",
        "The answer is %s since the rest fails", "The answer is %s and here is why",
        "The answer is %s, as shown.", r"Answer: \(%s\)", r"Answer: $\text{%s}$", "Answer - %s",
        "%s is correct.",
        "Answer：%s", "Final:\n%s", "%s) the 12 meters", "So %s is the right answer.",
        "答案是%s。", "故选：%s", "正解は%sです", "정답은 %s입니다", "Antwort: %s",
        "La réponse est %s.",
        "La respuesta correcta es %s.", "A resposta é a letra %s.", "La risposta è %s.",
        "Ответ: %s",
    ],
)  # fmt: skip
def test_every_letter_may_be_chosen_in_every_form(letter: str, form: str) -> None:
    assert last_choice("We look at them all.\n\n" + form % letter) == letter


@pytest.mark.parametrize(
    "text",
    ["The answer is a matter of taste", "The answer is A matter of taste", "Answer: I think so",
     "The answer is I think", "Answer: A cat", "Answer: a cat", "Answer: e.g. 5",
     "Answer: Depends on it"],
)  # fmt: skip
def test_words_are_no_letters(text: str) -> None:
    assert last_choice(text) is None
    assert last_choice(f"{text}. The answer is B.") == "B"


@given(st.sampled_from(LETTERS))
def test_small_and_wide_letters_count_where_they_are_announced(letter: str) -> None:
    assert last_choice(f"Answer: {letter.lower()}") == letter
    assert last_choice(f"answer: ({letter.lower()}) so it is") == letter
    assert last_choice(f"答案是{chr(ord(letter) + 0xFEE0)}。") == letter


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("C", "C"),
        ("c", "C"),
        (r"\text{(C) 12 apples}", "C"),
        (r"C \text{ 12 apples}", "C"),
        (r"\textit{C}", "C"),
        (r"\mathbf{(C)}\ 12", "C"),
        (r"\text{Option C}", "C"),
        (r"\text{option } C", "C"),
        (r"\text{Option} \; C", "C"),
        (r"\text{option price } C", None),
        ("[C]", "C"),
        ("$C$", "C"),
        ("C: 12", "C"),
        ("C) 12", "C"),
        ("12", None),
        ("Cat", None),
        ("C cat", None),
        ("c = 5", None),
        ("C = mx^2", None),
        ("C(5, 2)", None),
        ("C_2", None),
        ("i.e. 5", None),
    ],
)
def test_a_box_holds_a_letter_or_none(content: str, answer: str | None) -> None:
    assert last_choice(rf"so \boxed{{{content}}}") == answer


def test_a_box_without_a_letter_hides_nothing() -> None:
    assert last_choice(r"It is \boxed{3 \times 10^4}. **Answer: D**") == "D"
    assert last_choice(r"\boxed{D}, that is \boxed{12}") == "D"
    assert last_choice(r"\boxed{D}, which says that option A is too small") == "D"


@pytest.mark.parametrize(
    "text",
    [r"\boxed{A, C}", r"\boxed{C, A}", r"\boxed{A and C}", r"\boxed{A \text{ and } C}",
     r"\boxed{AC}", r"\boxed{A}, \boxed{C}", "The answer is A and C.", "Answer: (A), (C)",
     "The correct answers are C and A", "A and C are correct.", "答案：AC", "A, C"],
)  # fmt: skip
def test_several_letters_are_one_answer(text: str) -> None:
    assert last_choice(text) == "A, C"


def test_the_subject_of_the_next_sentence_is_not_among_them() -> None:
    assert last_choice("The answer is B and C is wrong.") == "B"
    assert last_choice("The answer is A and I am sure.") == "A"
    assert last_choice(r"\boxed{CAB}") is None


def test_what_would_be_counts_where_nothing_else_is_said() -> None:
    assert last_choice("(B). Unless the rod is bent, D would be right.") == "B"
    assert last_choice("If the rod is bent, D would be right.") == "D"


def test_a_last_line_counts_but_not_the_end_of_a_list() -> None:
    assert last_choice("A. 1\nB. 2\nso:\n(B)") == "B"
    assert last_choice("it must be\n**C**\n") == "C"
    assert last_choice("A) 1\nB) 2\n\nSo we are left with\n\nB) 2") == "B"
    assert last_choice("A) 1\nB) 2\nC) 3") is None
    assert last_choice("First the answer is A.\n\nFinal:\nB") == "B"


@pytest.mark.parametrize(
    "stated",
    ["The answer is (C).", "Answer: C", "**C**", "C", "C is correct.", "**Answer: C**",
     r"\boxed{C}", "The answer is C) 12 apples.", "正解はCです", "Respuesta: C",
     "**C) 12 apples**", "C. 12 apples"],
)  # fmt: skip
@pytest.mark.parametrize(
    "options",
    ["A) is too small. B) too.", "A: no\nB: no\nE: no", "A. Low\nB. Low\nE. High",
     "(A) 5 fails.\n(E) 9 fails.", "- A: low\n- E: high", "**A)** low\n**B)** low",
     "- **(A)** low\n- **(E)** high", "* [A] low\n* [E] high", "E) 30 apples would be the sum."],
)  # fmt: skip
def test_labels_of_options_after_a_statement_never_replace_it(stated: str, options: str) -> None:
    assert last_choice(f"{stated}\n\n{options}") == "C"


def test_an_option_that_a_reason_names_is_not_chosen_beside_the_answer() -> None:
    assert last_choice("The answer is C, as choice (E) shows.") == "C"
    assert last_choice("A resposta é C, as alternativas B e D falham.") == "C"


@pytest.mark.parametrize(
    "text",
    ["Options: A, B, C", "**Choices:** A, B", "Possible answers: B, C", "The options are A, B, C.",
     "The answer choices are A and B", "I do not think it's B.", "I am not sure that it is D.",
     "It is unlikely that it's D.", "I can't say it is C.", "thus\n\n(C) 5 is wrong"],
)  # fmt: skip
def test_headings_of_lists_and_doubts_state_nothing(text: str) -> None:
    assert last_choice(text) is None
    assert last_choice(f"{text}\n\nAnswer: D") == "D"


@pytest.mark.parametrize("letter", "ABC")
@pytest.mark.parametrize(
    "after",
    ["so that is it", "according to the map", "in that year", "under these rules", "only.",
     "after all.", "then.", "clearly.", "however one counts", "per the map", "at best.", "over D.",
     "thus we stop", "without doubt", "among them"],
)  # fmt: skip
def test_a_letter_is_one_before_what_follows_no_article(letter: str, after: str) -> None:
    assert last_choice(f"The answer is {letter} {after}") == letter


@pytest.mark.parametrize(
    "words", ["family.", "highly ordered state", "simple rule", "reply.", "very long walk", "cat"]
)
def test_an_article_is_no_letter(words: str) -> None:
    assert last_choice(f"The answer is A {words}") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is D - 30.", "D"),
        ("The answer is D - 30 apples.", "D"),
        ("The answer is D - 3x", None),
        (r"\boxed{D - 30}", None),
        ("so\n\n(b)", "B"),
        ("so\n\nb)", "B"),
        ("so\n\n(b) 30", "B"),
        ("so\n\nb) 30", "B"),
        ("so\n\n**b**", "B"),
        ("so\n\nb", "B"),
        ("(a) 20\n(b) 30", None),
        ("a) 20\nb) 30\nc) 40", None),
        ("b. 30 metres", "B"),
        ("a. 20\nb. 30", None),
        ("n = a + b\n\ne", None),
        ("Hence option b is correct.", "B"),
        ("Vitamin b is correct", None),
    ],
)
def test_small_letters_and_values_behind_a_letter(text: str, answer: str | None) -> None:
    assert last_choice(text) == answer


@pytest.mark.parametrize(
    "content",
    [r"\huge C", r"\displaystyle C", r"\color{blue}C", r"\textcolor{blue}{\text{(C)}}",
     r"\Large\textbf{C}", r"{\color{blue}{C}}", "C,"],
)  # fmt: skip
def test_sizes_and_colours_of_a_box_do_not_matter(content: str) -> None:
    assert last_choice(rf"\boxed{{{content}}}") == "C"


def test_a_result_may_be_said_to_be_an_option() -> None:
    assert last_choice(r"So \boxed{30}, which is option C.") == "C"
    assert last_choice(r"So \boxed{30} (option C)") == "C"
    assert last_choice("If we halve it, we get 15, which is option B.") is None
    assert last_choice("The answer is C. Halving gives 15, which is option B.") == "C"


@pytest.mark.parametrize(
    "text",
    ["答案C", "Правильный ответ C", "Ответ: С", "Отговор: С", "सही विकल्प C है", "התשובה היא C",
     "Jawapan: C", "Cevap C", "Đáp án đúng: C", "Het juiste antwoord is C", "Odpowiedź: C",
     "답변: C", "答：C", "答复：C", "الجواب النهائي: C", "إجابة: C", "উত্তরঃ C", "Ìdáhùn: C",
     "Відповідь: C", "الإجابة الصحيحة هي C", "Svar: C", "Odpověď: C", "Odgovor: C", "Vastus: C"],
)  # fmt: skip
def test_more_languages_state_an_answer(text: str) -> None:
    assert last_choice(text) == "C"


def test_a_cyrillic_letter_counts_unless_the_options_are_cyrillic() -> None:
    assert last_choice("Ответ: А.") == "A"
    assert last_choice("А) 1\nБ) 2\nВ) 3\n\nОтвет: В") is None
    assert last_choice("Ответ: В этом городе") is None


@pytest.mark.parametrize(
    "cue", ["الإجابة: %s", "الجواب: %s.", "উত্তর: %s", "उत्तर: (%s)", "答案：%s。", "答え：%s"]
)
@pytest.mark.parametrize("alphabet", ["أبجد", "কখগঘ", "कखगघ", "甲乙丙丁", "アイウエ"])
def test_alphabets_whose_letters_number_options_count_behind_an_answer(
    cue: str, alphabet: str
) -> None:
    assert [last_choice(cue % letter) for letter in alphabet] == ["A", "B", "C", "D"]
    assert last_choice(f"{alphabet[1]} {alphabet[2]}") is None


@given(st.text(max_size=60) | st.text(alphabet="ABI abi(),.*:answeris\n", max_size=60))
def test_any_text_has_letters_or_none_and_they_stay_what_they_are(text: str) -> None:
    answer = last_choice(text)
    if answer is not None:
        letters = answer.split(", ")
        assert letters == sorted(set(letters))
        assert set(letters) <= set(LETTERS)
        assert last_choice(answer) == answer


@given(st.sets(st.sampled_from(LETTERS), min_size=1))
def test_what_is_found_is_found_in_itself(letters: set[str]) -> None:
    answer = ", ".join(sorted(letters))
    assert last_choice(answer) == answer


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_choice(hostile)
    if not unit.startswith("\\boxed{A"):
        assert last_choice(hostile + "\n\nThe answer is (B)") == "B"


# ── a forced answer that is being written ─────────────────────────────────────────────────────────

SLOT = "The answer is ("


@pytest.mark.parametrize(
    ("said", "at", "answer"),
    [
        ("B) 12 metres", "B) 12 ", "B"),
        ("C.", "C.", "C"),
        ("D\n", "D\n", "D"),
        ("A) since", None, "A"),
        ("B because it", "B because ", "B"),
        ("B) and (C) are right", "B) and (C) are ", "B, C"),
        ("none of them", None, None),
    ],
)
def test_a_letter_is_settled_as_soon_as_no_other_can_follow(
    said: str, at: str | None, answer: str | None
) -> None:
    settled = [n for n in range(len(said) + 1) if settled_choice(SLOT + said[:n]) is not None]
    assert (said[: settled[0]] if settled else None) == at
    assert {settled_choice(SLOT + said[:n]) for n in settled} <= {answer}
    assert last_choice(SLOT + said) == answer


@pytest.mark.parametrize("text", ["Answer: I and II", "Answer: I, III", "The answer is I & IV."])
def test_statements_by_roman_numerals_are_no_choice(text: str) -> None:
    assert last_choice(text) is None


@pytest.mark.parametrize(
    "text", ["The energy is \\boxed{3.2}.\n\n**A", "Answers: A;", "\\boxed{12}. The answer is C"]
)
def test_a_box_of_another_kind_and_a_list_settle_no_letter(text: str) -> None:
    assert settled_choice(text) is None
