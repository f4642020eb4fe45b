"""Tells a tokenizer that loses text, with which a model reads and writes what nobody said.

``transformers`` (5.0 on, issues 45488 and 48206) makes some tokenizers anew from the class that
their tokenizer_config.json names, instead of reading tokenizer.json: byte-level ones that are
called ``LlamaTokenizerFast`` (DeepSeek's, and models that were made of them) lose all spaces,
unless it knows the model's type or name. Nothing fails: answers are only worse, and ``Ġ`` stands
in them.
"""

from typing import Any, Final

from ..errors import EngineStartError

_SAMPLE: Final = "Tom has 3 apples.\n\nHow many, in all?"
#: How vocabularies write a space, and a line break.
_INNER: Final = ("\u0120", "\u010a", "\u2581")


def check_spelling(tokenizer: Any) -> None:
    """
    Args:
        tokenizer: of the ``transformers`` library.

    Raises:
        EngineStartError: a text does not come back from it; it says how to mend that.
    """
    if not hasattr(tokenizer, "decode"):
        return
    back: Any = tokenizer.decode(tokenizer.encode(_SAMPLE, add_special_tokens=False))
    if not isinstance(back, str):
        return
    if " " in back.strip() and not any(mark in back for mark in _INNER):
        return
    raise EngineStartError(
        f"the model's tokenizer loses text: {_SAMPLE!r} comes back as {back[:80]!r}. The library "
        "takes it for another kind than its tokenizer.json describes: copy the model's folder, and "
        'in its tokenizer_config.json set "tokenizer_class": "PreTrainedTokenizerFast"'
    )
