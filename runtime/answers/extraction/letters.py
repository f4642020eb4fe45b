r"""Letters of options as they are written: ``(B)``, ``**C**``, ``\text{A}``, ``A and C``."""

import re
from dataclasses import dataclass
from typing import Final

_FONT: Final = (
    r"\\(?:text(?:bf|it|rm|sf|tt|up)?|math(?:rm|bf|it|sf|tt)|boldsymbol|bm|bf|rm|mbox|underline|emph"
    r"|boxed|fbox|[Ll]arger?|LARGE|[Hh]uge|normalsize|small|(?:display|text|script)style|bfseries"
    r"|itshape|textnormal|operatorname)\b\s?"
)
_COLOUR: Final = r"\\(?:text)?color\s?\{[\w!]{1,24}\}"
# What may stand before and behind a letter: markup, quotes, brackets, delimiters, fonts of TeX.
_OPEN: Final = rf"(?:[\s*_`\"'“”‘’«»「『【〈\[{{$<(]|\\[(\[{{,;: ]|{_FONT}|{_COLOUR})"
_CLOSE: Final = r"(?:[*_`\"”’»」』】〉\]}$>)]|'(?!\w)|\\[)\]}])"
_NAMED: Final = (
    r"(?:(?i:(?:the|both|die|la|el|los|las|le|les|l['’]|il)\s?)?(?:(?i:options?|choices?"
    r"|answers?|letters?|statements?|antwort(?:en)?|réponses?|alternatives?"
    r"|(?:[ao]s?\s)?(?:alternativas?|opç(?:ão|ões)|letras?)|opci(?:ón|ones)|lettres?|opzion[ei]|letter[ae]|вариант\w?|букв\w"
    r"|optie|phương án|pilihan|विकल्प)\b[\s:}]{0,3})?|选项|選項|選択肢|보기)?"
)
# Letters and digits of the scripts that separate words by blanks: behind a letter they make it part
# of a word or of a name. Chinese, Japanese and Korean go on without a blank.
_WORD: Final = r"0-9A-Za-z\u00aa-\u024f\u0370-\u03ff\u0400-\u04ff"
_NO_PART: Final = (
    rf"(?![{_WORD}]|['’_-][{_WORD}]|[+#^&@%/=~]|\s?[=≤≥≠≈^+×÷]|\s[<>]\s|\s\*\s"
    r"|\s-(?:\d|\s\d[\d.,]{0,20}+[A-Za-z(^*+=\\])"
    r"|\s?\\(?:cdot|times|frac|in|le|ge|ne|leq|geq|neq|to|cup|cap)\b)"
)
_LETTER: Final = re.compile(
    rf"(?P<before>{_OPEN}{{0,12}}+){_NAMED}(?P<open>{_OPEN}{{0,8}}+)"
    rf"(?P<letter>[A-Ja-j]|[A-F]{{2,6}}){_NO_PART}(?P<close>{_CLOSE}{{0,8}}+)(?P<end>){_NO_PART}"
)
_AND: Final = re.compile(
    rf"(?:[\s*_}}]|\\[,;: ]|\\q?quad\b){{0,6}}(?:{_FONT}\{{\s*)?"
    r"(?P<sign>,\s?(?:and|or)\b|[,，、;/]|\\?&|\+|(?:and|or|und|oder|et|ou|y|o|e|и|или)\b|和|及|或|と|와|과)"
    r"(?:[\s}]|\\[,;: ]|\\q?quad\b){0,6}"
)
_IS_NAMED: Final = re.compile(r"[^\W\d_]{3}")
_EITHER: Final = re.compile(r"\b(?:or|oder|ou|o|или)\b|或")
_MAX_LETTERS: Final = 9
# What makes the last letter the subject of a sentence of its own.
_SUBJECT: Final = re.compile(
    r"\s{1,3}(?:is|was|has|does|looks|seems|fails|would\sbe\san?|would\sbe\sthe)\b"
)
# What may follow A and I, which are words of English too, and small letters.
_CLOSED: Final = re.compile(
    r"</|\s{0,3}(?:[.,;:!)\]—–。，；：、！」』]|\Z|\n|\\|→|->?\s(?=[^\W\d_]{2}))(?:(?<=\s)|(?![^\W_]))|\s{0,3}[.,](?=[^\W\d_]{2})"
    r"|\s?[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af]"
)
# Conjunctions, prepositions and adverbs that no article stands before; adverbs that may stand
# before an adjective ("A clearly better one") only where a clause ends behind them.
_REASON: Final = re.compile(
    r"\s{1,3}(?:because|since|as|and|is|for|given|due|by|which|where|when|while|but|not|rather"
    r"|instead|based|here|with|from|so|thus|hence|therefore|then|although|though|whereas|however"
    r"|according|under|in|into|on|onto|at|after|before|against|among|across|along|during|within"
    r"|without|through|throughout|per|via|over|of|until|except|despite|regardless|only|alone|unless"
    r"|whenever|wherever|again|anyway|indeed|meaning|assuming|considering"
    r"|weil|denn|da|parce|car|porque|pois|ya|perché|poiché|так|потому"
    r"|und|et|y|e|и|est|es|ist|è|é)(?![\w'’-])(?<!\sper(?=\s(?:capita|cent)))|\s{1,3}\(|\s{0,3}\*"
    r"|\s{1,3}(?:too|now|still|overall|to\sme"
    r"|(?!famil|repl|suppl|assemb|anoma|monopo|bul|bel|jel|li|al)[a-z]{3,12}ly)(?=\s{0,2}(?:[.,;:!)*]|\n|\Z))"
)
_NOT_I: Final = re.compile(
    r"\s{0,3},?\s{0,3}(?:as\san?\b|and\smy\b|with\b|for\sone\b|too\b"
    r"|(?:and|or|&)?\s{0,2}(?:I{2,3}|IV|V|VI)\b)"  # statements by Roman numerals
)


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters that stand in a text as one answer.

    Attributes:
        chosen: them, such as ``B`` or ``A, C``, sorted; empty where it is left open ("A or C").
        end: where they end in the text.
        marked: whether the last one has brackets or markup of its own, as labels have.
    """

    chosen: str
    end: int
    marked: bool


def letters_at(text: str, position: int, *, small: bool = True) -> Letters | None:
    """The letters A to J that stand at a position of ``text``, or None.

    A letter of a word, of a name or of a formula is none. An A or I without brackets or markup
    counts only where what follows is no sentence that it begins as a word, and a small letter only
    where nothing of a sentence follows.

    Args:
        small: whether small letters count.
    """
    first = _LETTER.match(text, position)
    if first is None:
        return None
    found, signs = _joined(text, first)
    # "B and C is wrong": what is not closed is the subject of another sentence.
    closed = len(found) > 1 and (_is_closed(text, found[-1]) or _is_marked(found[-1]))
    if len(found) > 1 and (not closed or _SUBJECT.match(text, found[-1].end("end"))):
        found, signs = [first], ""
    if len(found) == 1 and not _counts(text, first, small):
        return None
    if not small and not all(match["letter"].isupper() for match in found):
        return None
    letters = {letter.upper() for match in found for letter in match["letter"]}
    chosen = "" if _EITHER.search(signs) else ", ".join(sorted(letters))
    return Letters(chosen, found[-1].end("end"), _is_marked(found[-1]))


def _joined(text: str, first: re.Match[str]) -> tuple[list[re.Match[str]], str]:
    """Letters with nothing but a comma or an "and" between them, and those signs."""
    found, signs = [first], ""
    while len(found) <= _MAX_LETTERS:
        joint = _AND.match(text, found[-1].end("end"))
        following = _LETTER.match(text, joint.end()) if joint else None
        if joint is None or following is None:
            break
        if following["letter"].isupper() is not first["letter"].isupper():
            break
        if joint["sign"] == ";" and _IS_NAMED.search(following[0]):
            break  # "B; option D is wrong" begins another statement
        found.append(following)
        signs += f" {joint['sign']}"
    return found, signs


def _counts(text: str, match: re.Match[str], small: bool) -> bool:
    """Whether a letter that stands alone is one, rather than a word, a name or a variable."""
    letter, end = match["letter"], match.end("end")
    if len(letter) > 1:
        return list(letter) == sorted(set(letter)) and _is_closed(text, match)
    if letter.islower():
        because = letter not in "ai" and _REASON.match(text, end) is not None
        return small and (because or _is_marked(match) or _is_closed(text, match))
    if _is_marked(match) or letter not in "AI":
        return True
    if letter == "I" and _NOT_I.match(text, end):
        return False
    return _is_closed(text, match) or _REASON.match(text, end) is not None


def _is_marked(match: re.Match[str]) -> bool:
    return bool(match["close"].strip("$ "))


def _is_closed(text: str, match: re.Match[str]) -> bool:
    return _CLOSED.match(text, match.end("end")) is not None
