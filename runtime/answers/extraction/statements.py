r"""Answers that a sentence states: ``The answer is therefore **3.5**, since …`` states ``3.5``."""

import re
from typing import Final

# Words before an answer that are no part of it.
_BEFORE: Final = re.compile(
    r"(?:[\s:：=→⇒>#,]|(?:therefore|thus|then|hence|simply|just|clearly|indeed|exactly|precisely"
    r"|now|so|actually|definitely|certainly|probably|likely|approximately|about|roughly|around"
    r"|equal\sto|equals|given\sby|found\sto\sbe|in\sfact|of\scourse|as\sfollows|the\sfollowing"
    r"|obviously|finally|also|again|still|always|only)(?=[\s:,*$\\`])[,:]?)++"
)
# Where a sentence is over, or goes on with something other than the answer: its reason, a remark.
_END: Final = re.compile(
    r"(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<line>\n)"
    r"|(?P<stop>(?<!\.)[.!?;](?=[\"'”’»*_$)`\]]{0,4}(?:\s|\Z))|(?<=\d)\.(?=[A-Z][a-z])|[。！？；])"
    r"|(?P<reason>\s*,?\s(?:since|because|considering|according\sto|which\smeans"
    r"|as\s(?:required|desired|expected|needed|shown|above|it|we|the|this|given|stated|found|per"
    r"|explained|well|that)|given\sthat|so\sthat"
    r"|and\s(?:the\s(?:proof|answer|solution|result|claim|problem|task)|here|this|that|we|it|I|so|not|hence|therefore|thus))\b"
    r"|\s?,\s(?:which|who|whose|where|whereas|but|although|though|while|hence|thus|therefore|so|if|provided"
    r"|when|however|that\sis|not|rather|instead|as|for|obtained|after|by|right|correct|or\s"
    r"(?:approximately|about|equivalently|roughly))\b"
    r"|\s?,\s(?:in\stotal|in\sall|altogether|all\stold)\b"
    r"|\s?,\s(?:i\.e\.|e\.g\.)(?!\w)"
    r"|\s[—–]\s|\s--\s|(?<=\w)—(?=\w)"
    r"|\s\((?:since|because|see|which|approx\w*|about|or|i\.e|e\.g|rounded|not|where|from|by|as"
    r"|option|choice)\b)"
)
# A stop that ends no sentence follows one of these, or an initial.
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:St|Dr|Mr|Mrs|Ms|Mt|Ft|Prof|Sgt|Gen|Lt|Capt|vs|No|approx|ca|cf|sq|eq|Fig|al|Jr|Sr)"
    r"|(?:\b[A-Za-z]\.)+[A-Za-z])\Z"
)
_INITIAL: Final = re.compile(r"(?:\b[A-Z][a-z]+\s|(?:\A|\s)(?:[A-Z]\.\s?)+)[A-Z]\Z")
# Another initial comes: "J. K. Rowling".
_ANOTHER: Final = re.compile(r"(?<=\b[A-Z]\.)\s?[A-Z]\.")
_SENTENCE: Final = re.compile(
    r"\s+(?:(?:The|It|This|We|So|That|I|Let|If|In|Note|To|Since|Because|Therefore|Thus|Hence|You"
    r"|However|He|She|They|There|Here|For|As|A|An|My|Our|But|And|Both|Option|Now|Is|Are|Wait|No)\b"
    r"|[^A-Z\s])|\s*\Z"
)
_WORD_BEFORE: Final = 24
# What "the answer is" may be followed by without an answer being stated.
_NO_ANSWER: Final = re.compile(
    r"(?:correct|right|wrong|incorrect|valid|invalid|unclear|clear|reasonable|consistent"
    r"|obvious|here|below|above|unique|ready|complete|plausible|verified|confirmed|accurate"
    r"|inaccurate|unknown|needed|required|known|good|sound|supposed|expected|based|asked|wanted"
    r"|also|indeed|that|what|whether|when|how|why|if|either|neither|going|being|in|on|at(?!\s(?:most|least))|of|from"
    r"|to|not|never|n't|written|stated|simplified|boxed|already|as|independent|close|likely"
    r"|fully|always|really|still)(?:[\s,.:;!?]+[\s\S]*)?|\W*"
)
# A box that was cut off, or is empty: `extract_answer` found nothing in it.
_BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)")
_DELIMITERS: Final = (
    ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"),
    ("“", "”"), ("«", "»"), ('"', '"'), ("'", "'"), ("「", "」"), ("_", "_"),
)  # fmt: skip
_MAX_PASSES: Final = 8


def stated(text: str) -> str | None:
    r"""The answer that a sentence states, given what follows "the answer is".

    It ends with the sentence, or before the reason or remark that the sentence goes on with, but
    not at a decimal point, in brackets, or after an abbreviation. Words that lead to it
    ("therefore"), markup, dollar signs and other delimiters around it are no part of it. None
    where nothing is stated: "correct", "not 5". Applied to its own result it changes nothing.
    """
    for _ in range(_MAX_PASSES):
        before, text = text, _without_delimiters(first_clause(text))
        if text == before:
            break
    else:
        return None
    return None if _NO_ANSWER.fullmatch(text) or _BOX.search(text) else text


def first_clause(text: str) -> str:
    """The beginning of ``text`` up to the end of its sentence, or to a reason or remark in it.

    Lines before any letter or digit, and words such as "therefore", are no part of it.
    """
    begin = _BEFORE.match(text)
    text = text[begin.end() :] if begin else text
    depth = 0
    for match in _END.finditer(text):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth = max(0, depth - 1)
        elif match["line"]:
            if any(map(str.isalnum, text[: match.start()])):
                return text[: match.start()]
        elif depth == 0 and match.start() and not _goes_on(text, match):
            return text[: match.start()]
    return text


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether a stop belongs to an abbreviation or a name, with more of the sentence behind it."""
    if match[0] != ".":
        return False
    before = text[max(0, match.start() - _WORD_BEFORE) : match.start()]
    if _ABBREVIATION.search(before) or _ANOTHER.match(text, match.end()):
        return True
    return _INITIAL.search(before) is not None and not _SENTENCE.match(text, match.end())


def _without_delimiters(text: str) -> str:
    text = text.strip().strip("*`").strip()
    if not text.endswith("...") and not re.search(r"\b\w\.\w\.\Z", text):
        text = text.rstrip(".,;:!。，；：、")
    for opening, closing in _DELIMITERS:
        inner = text[len(opening) : -len(closing)]
        if len(text) > len(opening) + len(closing) - 1 and (
            text.startswith(opening) and text.endswith(closing) and opening not in inner
        ):
            return inner.strip()
    if text.startswith("$$") and text.count("$") == 2:
        return text[2:].strip()
    if text.startswith(("\\[", "\\(")) and text.count("\\]") + text.count("\\)") == 0:
        return text[2:].strip()
    if text.count("$") == 1:  # a currency, or a formula that was cut
        text = text.removeprefix("\\").strip("$")
    return text.strip()
