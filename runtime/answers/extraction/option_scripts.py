"""Letters of options in other scripts: Cyrillic ones that look Latin, and those of alphabets whose
first letters number options as A, B, C and D do."""

import re
from typing import Final

# Those that look like an option's letter, after a word for "answer".
_LOOKALIKES: Final = str.maketrans("АВСЕ", "ABCE")
_STATED: Final = re.compile(
    r"(?P<cue>\b(?i:ответ(?:ом)?|відповідь|адказ|отговор(?:ът)?|одговор(?:от)?|вариант|варіант|буква"
    r"|літера)(?:\s(?:это|является|є|е)\b)?[\s*_:(\[\"«—–-]{1,6})(?P<letter>[АВСЕ])"
    r"(?=[*_)\]\"».,;:!]|\s{0,4}(?:\n|\Z))"
)
# Labels that only the Cyrillic alphabet has: what looks like a B is its third letter then.
_OWN_LABEL: Final = re.compile(r"(?<!\w)[БГД](?:[).:]|(?!\w))")


# The first letters of alphabets, in the order in which options have them.
_ALPHABETS: Final = ("أبجد", "কখগঘ", "অবডঢ", "कखगघ", "甲乙丙丁", "アイウエ")
_LATIN: Final = {
    ord(letter): "ABCD"[index] for alphabet in _ALPHABETS for index, letter in enumerate(alphabet)
}
_STATED_ELSEWHERE: Final = re.compile(
    r"(?P<cue>(?:(?:ال)?(?:إجابة|جواب)(?:\s(?:الصحيحة|النهائية|النهائي|الصحيح|هي|هو)){0,2}|উত্তর|उत्तर"
    r"|答案|答え|正解)(?:是|为|は)?\s?[:：ঃ]?\s{0,3}[*_(\[\"]{0,3})"
    rf"(?P<letter>[{''.join(_ALPHABETS)}])(?=[*_)\]\".،。।]|\s{{0,4}}(?:\n|\Z))"
)


def in_latin_letters(text: str) -> str:
    """``text`` with Latin letters for those of other scripts that are stated as an answer.

    Cyrillic ones are if they look the same; a text that labels options by the Cyrillic alphabet
    stays as it is.
    """
    if text.isascii():
        return text
    text = _STATED_ELSEWHERE.sub(lambda m: m["cue"] + m["letter"].translate(_LATIN), text)
    if _OWN_LABEL.search(text):
        return text
    return _STATED.sub(lambda m: m["cue"] + m["letter"].translate(_LOOKALIKES), text)
