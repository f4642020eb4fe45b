"""Whether engines may stand for one another: a race's branches are votes of one model."""

from collections.abc import Sequence

from ...errors import EngineError, EngineStartError
from ..openai.placeholder_ids import read_parts
from ..protocol import Engine, SupportsTokenIds
from .member import Member

#: Tokenizers that cut these alike are taken for the same one: words, spaces, digits, code, scripts
#: and characters of several bytes.
_SAMPLE = (
    "Tom has 47 apples,  3 bags\nof 12; x_1 = \\frac{1}{2}\n\n\tdef f(n): return n**2 # größer "
    "你好 Привет 🙂 \\boxed{1024}"
)


def takes_token_ids(engine: Engine) -> bool:
    """Whether a prompt for it may be token ids of the model's tokenizer."""
    return not isinstance(engine, SupportsTokenIds) or engine.takes_token_ids


def has_token_ids(engine: Engine) -> bool:
    """Whether what it encodes are token ids at once, rather than ids that spell the text."""
    return all(isinstance(part, tuple) for part in read_parts(engine.encode("1 + 1 =")))


async def check_alike(members: Sequence[Member], newcomer: Member) -> None:
    """
    Args:
        members: that are in the pool.
        newcomer: that has started.

    Raises:
        EngineStartError: it serves something else than they do; it says what, and what to do.
        EngineError: it could not be asked.
    """
    for member in members[:1]:
        _check_info(member, newcomer)
        ids, theirs = [await _tokenized(m.engine) for m in (member, newcomer)]
        if ids is not None and theirs is not None and ids != theirs:
            raise EngineStartError(
                f"{_both(member, newcomer)} cut a sample text into different tokens: their "
                "tokenizers differ, and a branch could not go on elsewhere. Give all members the "
                "same model and the same engine.tokenizer"
            )


def _check_info(member: Member, newcomer: Member) -> None:
    ours, theirs = member.engine.info, newcomer.engine.info
    both = _both(member, newcomer)
    if ours.model != theirs.model:
        raise EngineStartError(
            f"{both} serve different models ({ours.model!r} and {theirs.model!r}): a race's "
            "branches are votes of one model. Serve the same one, under the same name"
        )
    if ours.max_context_tokens != theirs.max_context_tokens:
        least = min(ours.max_context_tokens, theirs.max_context_tokens)
        raise EngineStartError(
            f"{both} have contexts of different lengths ({ours.max_context_tokens} and "
            f"{theirs.max_context_tokens} tokens): set max_context_tokens = {least} for all members"
        )
    if takes_token_ids(member.engine) != takes_token_ids(newcomer.engine):
        raise EngineStartError(
            f"of {both} one takes token ids and the other text only, so that a branch could not "
            "go on elsewhere: pool endpoints of one kind"
        )


async def _tokenized(engine: Engine) -> tuple[int, ...] | None:
    """The model's token ids of the sample; None: nobody can be asked."""
    if isinstance(engine, SupportsTokenIds):
        return await engine.tokenized(_SAMPLE)
    try:
        return engine.encode(_SAMPLE)
    except EngineError:
        return None


def _both(one: Member, other: Member) -> str:
    return f"engine.members: {one.name} and {other.name}"
