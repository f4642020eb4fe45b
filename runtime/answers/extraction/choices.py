r"""Answers that are options of a multiple choice: the letter that a text states.

A box (``\boxed{…}``) comes first, where models put an answer when they remember to. Text is
hostile: only a bounded tail is searched, by patterns whose repetitions are bounded.
"""

import re
from collections.abc import Iterator
from typing import Final

from .boxed import BOX_SCAN_CHARS, PATTERN_SCAN_CHARS
from .boxes import answers_in_boxes
from .cues import CORRECTIONS, CUES, DOUBT, LISTS, MATCHES, VERDICTS
from .letters import Letters, letters_at
from .option_scripts import in_latin_letters

# Full-width forms and circled letters, as their plain ones.
_PLAIN: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{0x24B6 + index: ord("A") + index for index in range(10)},
    0x3000: " ",
    0xA0: " ",
}
# What may follow a letter in a box: nothing, or the text of its option behind a mark.
_LABELLED: Final = re.compile(
    r"\s*(?:[,;]?\s*\Z|[.:)\]](?![A-Za-z])|\.?\}|(?:—|–|-)\s+[^\W\d_]{2}|\\text\w{0,2}\s?\{\s*[(:.\d]|\\q?quad)"
)
# Places of one kind that are looked at, from the last one.
_MAX_ATTEMPTS: Final = 64
# Characters before a verdict that are searched for its letters, and before a cue for a doubt.
_SUBJECT_CHARS: Final = 48
_DOUBT_CHARS: Final = 60
# Characters before a cue that may make it the heading of a list.
_HEADING_CHARS: Final = 24
# Characters before a statement that may make it one of another case.
_SUPPOSED_CHARS: Final = 160
_CLAUSE: Final = re.compile(
    r"[.!?;:,\n—。，；！？]|\b(?:so|thus|hence|therefore|but|yet|then|and)\b"
)
# What would hold, had something else been so: it is taken only where nothing else is stated.
_WOULD: Final = re.compile(r"\bwould\b", re.I)
_SUPPOSED: Final = re.compile(r"\b(?:if|unless|had|were)\b[^.!?\n]*,[^.!?\n]*\Z", re.I)
# Words after which a bare letter is the subject of what follows: "vitamin B is correct" names none.
_BEFORE_SUBJECT: Final = re.compile(
    r"(?:[.!?,;:(\n—。，；：]|(?:\b(?i:so|thus|hence|therefore|that|only|option|options|choice|letter"
    r"|answer|statement|both|means|think|but|yet|conclude|conclusion|then|clearly|because|since|whereas|while|antwort"
    r"|opción|opção|réponse|alternativa|letra|respuesta|resposta|risposta|opzione|вариант|ответ))\b"
    r"|选项|選項|所以|因此|故|则|選択肢|따라서)[\s*_`#>-]{0,6}\Z"
)
_SUBJECT: Final = re.compile(
    r"(?<![0-9A-Za-z\u00aa-\u04ff'’.\\-])(?:(?:[*_`(\[$]|\\\(){0,6}+[A-J]|\([a-j](?=\))"
    r"|(?i:option|choice|letter)\s[a-j])"
    r"(?![0-9A-Za-z\u00aa-\u04ff'’])"
)
# "Although B is right" says that it is not enough, and "B satisfies this" nothing of the others.
_CONCEDED: Final = re.compile(r"\b(?:although|though)\b[^.!?;:,\n]{0,24}\Z", re.I)
_ONLY: Final = re.compile(r"\bonly\s(?:the\s)?(?:option\s|choice\s|statement\s)?[*_(]{0,3}\Z", re.I)
# After the letters, what makes the statement none.
_TAKEN_BACK: Final = re.compile(
    r"\s*(?:\?|？|if\b|unless\b|(?:is|are|was|would\sbe)\s(?:wrong|incorrect|not|false|ruled|out)\b"
    r"|isn't|不|で(?:は|も)?(?:な|あり)|じゃな|[가이은는]?\s?아[니닙])"
)
_ALONE: Final = re.compile(
    r"(?:\A|[.!?\n]\s{0,4})[*_#>\s]{0,4}(?:[Oo]ption|[Cc]hoice|[Aa]nswer)(?=\s|\()"
)
_SENTENCE_END: Final = re.compile(r"[*_]{0,3}\s{0,3}(?:[.!](?:\s|[*_]|\Z)|\Z|\n)")
# Labels at the beginning of a line: "B) 12 meters", "- **(B)** Paris", "c) 5".
_LABEL: Final = re.compile(
    r"[ \t>#*_•-]{0,8}(?:\(([A-Ja-j])\)\.?|\[([A-J])\]|([A-J])[.):]|([a-j])\)"
    r"|([A-J])(?=[ \t](?:because|since)\b)"
    r"|(?<=\*)([A-J])(?=\*{1,2}[ \t]?[–—-]{1,2}[ \t]))[*_]{0,3}(?=\s)"
    r"(?:[ \t]*\S.*)"
)
# A reply that is nothing but an option with a small letter as its label.
_OPTION_ALONE: Final = re.compile(r"\s*[*_]{0,3}([a-d])\.[*_]{0,3}[ \t]+(?![a-z]\.)\S[^\n]*\s*")
# A reply that is nothing but an option with its name: "选项 (B) 3.3".
_NAMED_ALONE: Final = re.compile(
    r"\s*[*_]{0,3}(?:[Oo]ption|[Cc]hoice|选项|選項|選択肢)\s?(?:\(([A-J])\)|([A-J])[.:)])[*_]{0,3}"
    r"(?:(?:[ \t]+|(?=[^\x00-\x7f]))\S[^\n]*)?\s*"
)
# What a label's line may say of its option.
_REFUSED: Final = re.compile(
    r"\b(?:is|are)\s(?:wrong|incorrect|false|not|too)\b|[.):\]][*_\s]{1,4}(?:wrong|incorrect|false|no)\b"
    r"|错误|錯誤|不正[确確]|不[对對]|有[误誤]",
    re.I,
)
_NOT_FIRST: Final = tuple("BCDEFGHIJ")
# A last line that is a small letter, other than what is a number of a list or a constant.
_SMALL: Final = re.compile(
    r"\s*(?:\(([a-hj])\)|([a-hj])\)|[*_]{1,3}\(?([a-hj])\)?[*_]{1,3}|([a-dfgh]))\.?\s*"
)
# What shows that no further letter follows one.
_GOES_ON: Final = re.compile(
    r"[ ]?(?:[.:!\n。！]|(?!(?:and|or|und|oder|et|ou|y|o|e|и|или)\b)\w+\W)"
)
_BARE_LINE: Final = re.compile(r"(?!\s*[-*•]\s+[A-J]\s+\S)[ \t>#•-]{0,8}(?=\S)")


def last_choice(text: str) -> str | None:
    """The letter A to J that the text chooses, or several, as ``A, C``.

    It is in the last box that holds one, or else in what the text states last: "the answer is B"
    and its like, in the languages that ``cues`` knows, "B is correct", "I choose B", or a last
    line that is only the letter. Options that are only mentioned, doubted or denied are not
    chosen, and nothing is where two are left open ("A or B"). Without a statement, the last line
    counts that is only a letter, wherever it stands, or else a last line that begins with the
    letter as the label of its option; such lines after a statement explain options and never
    replace what was stated. Applied to its own result it changes nothing.
    """
    if boxed := _boxed_choice(text):
        return boxed
    tail = "\n" + in_latin_letters(text[-PATTERN_SCAN_CHARS:].translate(_PLAIN))
    stated = [*_after_cues(tail), *_before_verdicts(tail), *_last_line(tail)]
    last = max(stated, default=(0, ""))
    chosen = last[1] if last[0] >= 0 else ""
    for find in (_alone, _matched, _line_of_a_letter, _first_label, _last_label, _only_label):
        chosen = chosen or find(tail)
    return chosen or last[1] or None


def settled_choice(text: str) -> str | None:
    """``last_choice`` of a text that begins with a statement, such as "The answer is", and is still
    being written, once nothing that follows is likely to change it; None: not yet."""
    chosen = last_choice(text)
    if chosen is None or _boxed_choice(text):
        return chosen
    cue = CUES.search(text)
    letters = letters_at(text, cue.end()) if cue else None
    if letters is None or letters.chosen != chosen:
        return None
    return chosen if _GOES_ON.match(text, letters.end) else None


def _boxed_choice(text: str) -> str:
    contents = answers_in_boxes(text[-BOX_SCAN_CHARS:])
    return next(filter(None, (_choice_in_box(c.translate(_PLAIN)) for c in contents)), "")


def _choice_in_box(content: str) -> str:
    letters = letters_at(content, 0)
    if letters is None:
        return ""
    if letters.marked and _labels(content, letters.end):
        return letters.chosen
    return letters.chosen if _LABELLED.match(content, letters.end) else ""


def _labels(content: str, end: int) -> bool:
    """Whether what ends there may be the label of what follows, rather than a factor of it."""
    return not content[end : end + 1].strip() or content[end] in ".:)\\"


def _after_cues(text: str) -> Iterator[tuple[int, str]]:
    for cue in [*CUES.finditer(text)][-_MAX_ATTEMPTS:]:
        letters = letters_at(text, cue.end())
        if letters and not _heads_list(text, cue) and _stands(text, cue.start(), letters):
            yield _place(text, cue, cue.end()), letters.chosen
    for cue in [*CORRECTIONS.finditer(text)][-_MAX_ATTEMPTS:]:
        letters = letters_at(text, cue.end(), small=False)
        if not letters or not letters.chosen or not _SENTENCE_END.match(text, letters.end):
            continue
        if not (cue["it"] and _doubted(text[max(0, cue.start() - _DOUBT_CHARS) : cue.start()])):
            yield cue.end(), letters.chosen


def _heads_list(text: str, cue: re.Match[str]) -> bool:
    headings = LISTS.finditer(text, max(0, cue.start() - _HEADING_CHARS), cue.end())
    return any(heading.end() > cue.start() for heading in headings)


def _before_verdicts(text: str) -> Iterator[tuple[int, str]]:
    for verdict in [*VERDICTS.finditer(text)][-_MAX_ATTEMPTS:]:
        begin = max(0, verdict.start() - _SUBJECT_CHARS - _DOUBT_CHARS)
        window = text[begin : verdict.start()]
        for subject in _SUBJECT.finditer(window, max(0, len(window) - _SUBJECT_CHARS)):
            letters = letters_at(window, subject.start())
            if letters is None or letters.end != len(window) or not letters.chosen:
                continue
            before = window[: subject.start()]
            if _CONCEDED.search(before) or (verdict["fits"] and not _ONLY.search(before)):
                continue
            marked = letters.marked or not subject[0].isalpha()
            if (marked or _BEFORE_SUBJECT.search(before)) and not _doubted(before):
                yield _place(text, verdict, begin + subject.start()), letters.chosen
            break


def _place(text: str, said: re.Match[str], position: int) -> int:
    """A position, or one before all others, for what is said of another case: "if n were even, C
    would be correct"."""
    before = text[max(0, said.start() - _SUPPOSED_CHARS) : said.start()]
    supposed = _WOULD.search(said[0]) is not None and _SUPPOSED.search(before) is not None
    return position - len(text) - 1 if supposed else position


def _stands(text: str, start: int, letters: Letters) -> bool:
    if not letters.chosen or _TAKEN_BACK.match(text, letters.end):
        return False
    return not _doubted(text[max(0, start - _DOUBT_CHARS) : start])


def _doubted(before: str) -> bool:
    """Whether the clause before a statement makes it a condition, a question or a denial."""
    begin = 0
    for match in _CLAUSE.finditer(before):
        begin = match.end()
    return DOUBT.search(before, begin) is not None


def _last_line(text: str) -> Iterator[tuple[int, str]]:
    """The last line, if it is a letter alone, and no list's end."""
    content = text.rstrip()
    start = content.rfind("\n") + 1
    line = content[start:]
    chosen = _bare(line)
    if chosen and chosen != _bare(content[:start].rstrip().rpartition("\n")[2], ahead=1):
        yield start, chosen
    small = _SMALL.fullmatch(line)
    if small and not _ends_list(content[:start], small[small.lastindex or 0]):
        yield start, small[small.lastindex or 0].upper()


def _last_label(text: str) -> str:
    """The label that the last line begins with, if it ends no list."""
    before, _, line = text.rstrip().rpartition("\n")
    label = _labelled(line)
    if label is None or _ends_list(before, label) or _REFUSED.search(line):
        return ""
    return label.upper()


def _first_label(text: str) -> str:
    """The label that the first line begins with, if no list of all options can begin so."""
    label = _labelled(_first_line(text))
    return label if label in _NOT_FIRST else ""


def _first_line(text: str) -> str:
    return text.lstrip().partition("\n")[0]


def _ends_list(before: str, label: str) -> bool:
    """Whether the line with a label before it has the one that comes before in the alphabet."""
    labels = (_labelled(line) for line in reversed(before.split("\n")))
    earlier = next((found for found in labels if found is not None), None)
    return earlier is not None and ord(label) - ord(earlier) == 1


def _bare(line: str, ahead: int = 0) -> str:
    """The letters of a line that holds nothing else; ``ahead``: the next one in the alphabet."""
    begin = None if LISTS.match(line) else _BARE_LINE.match(line)
    letters = letters_at(line, begin.end(), small=False) if begin else None
    if letters is None or line[letters.end :].strip(" \t.*_)") or not letters.chosen:
        return ""
    return (
        chr(ord(letters.chosen) + ahead) if ahead and len(letters.chosen) == 1 else letters.chosen
    )


def _labelled(line: str) -> str | None:
    match = _LABEL.fullmatch(line)
    return match[match.lastindex or 0] if match else None


def _alone(text: str) -> str:
    """The option that a sentence consists of ("Option B."), if it is the only one of its kind."""
    found: set[str] = set()
    for cue in _ALONE.finditer(text):
        letters = letters_at(text, cue.end(), small=False)
        if letters is None and (small := letters_at(text, cue.end())) and small.marked:
            letters = small
        if letters and _SENTENCE_END.match(text, letters.end):
            found.add(letters.chosen)
    return found.pop() if len(found) == 1 else ""


def _matched(text: str) -> str:
    """The option that a result is said to be ("5, which is option B"), if it is the only one."""
    found: set[str] = set()
    for cue in [*MATCHES.finditer(text)][-_MAX_ATTEMPTS:]:
        letters = letters_at(text, cue.end(), small=False)
        before = text[max(0, cue.start() - _DOUBT_CHARS) : cue.start()]
        if letters and _SENTENCE_END.match(text, letters.end) and not DOUBT.search(before):
            found.add(letters.chosen)
    return found.pop() if len(found) == 1 else ""


def _line_of_a_letter(text: str) -> str:
    """The last line that is only letters."""
    return next(filter(None, map(_bare, reversed(text.split("\n")))), "")


def _only_label(text: str) -> str:
    """The label that the first line begins with, if no other option has one."""
    alone = _OPTION_ALONE.fullmatch(text) or _NAMED_ALONE.fullmatch(text)
    if alone is not None and not _REFUSED.search(text):
        return alone[alone.lastindex or 0].upper()
    labels = {label for label in map(_labelled, text.split("\n")) if label}
    line = _first_line(text)
    if len(labels) != 1 or not _labelled(line) or _REFUSED.search(line):
        return ""
    return labels.pop().upper()
