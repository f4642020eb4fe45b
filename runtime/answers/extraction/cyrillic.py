"""Letters of options that are written in Cyrillic, as a keyboard that is set to it does."""

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


def in_latin_letters(text: str) -> str:
    """``text`` with Latin letters for Cyrillic ones that look the same and are stated as an answer.

    A text that labels options by the Cyrillic alphabet stays as it is.
    """
    if text.isascii() or _OWN_LABEL.search(text):
        return text
    return _STATED.sub(lambda m: m["cue"] + m["letter"].translate(_LOOKALIKES), text)
