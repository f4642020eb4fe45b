"""``[engine.speculation]``: how draft tokens are made, and how many."""

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .sections import Section

Method = Literal["none", "ngram", "draft_model", "eagle3", "mtp", "suffix", "cross_branch"]

_DRAFTING: Final = ("ngram", "draft_model", "eagle3", "mtp", "suffix", "cross_branch")
_WITH_MODEL: Final = ("draft_model", "eagle3", "mtp")
#: The methods to which a key means something.
METHODS_OF: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tokens": _DRAFTING,
        # vLLM's suffix decoding asserts that K never changes, and ends the engine if it does.
        "tokens_per_batch_size": tuple(m for m in _DRAFTING if m != "suffix"),
        "model": _WITH_MODEL,
        "ngram_min": ("ngram",),
        "ngram_max": ("ngram",),
        "suffix_depth": ("suffix",),
        "suffix_cached_requests": ("suffix",),
        "suffix_factor": ("suffix",),
        "min_probability": ("suffix", "cross_branch"),
        "longest_match": ("cross_branch",),
        "token_cost": ("cross_branch",),
        "earlier_races": ("cross_branch",),
        "memory_mib": ("cross_branch",),
    }
)
#: Three numbers from TOML: from this many running requests, to this many, K.
Range = Annotated[tuple[PositiveInt, PositiveInt, NonNegativeInt], Field(strict=False)]


class SpeculationSettings(Section):
    """Draft tokens that the model verifies in one step; the output's distribution stays.

    Methods: ``ngram`` repeats the branch's own text; ``draft_model`` asks a smaller model of the
    same vocabulary; ``eagle3`` and ``mtp`` ask heads trained for the model; ``suffix`` is vLLM's
    suffix decoding (needs arctic-inference); ``cross_branch`` drafts from the branch, its siblings
    and earlier races, numbers copied from where they stood before. Strategies that need logprobs
    are refused with any of them.
    """

    method: Method = "none"
    tokens: PositiveInt = 3
    """K: draft tokens a step, at most. With ``tokens_per_batch_size`` the largest K there if it is
    not given."""
    tokens_per_batch_size: Annotated[tuple[Range, ...], Field(strict=False)] = ()
    """K by the number of requests that run: [[1, 8, 5], [9, 32, 3], [33, 64, 0]]; the first begins
    at 1, a gap has the K before it, 0 is none. Empty: ``tokens`` always."""
    model: str | None = None
    """The draft model or the heads: a folder, a hub name, or ``demo-draft``. ``mtp`` takes the
    model's own if none is given."""
    ngram_min: PositiveInt = 2
    ngram_max: PositiveInt = 4
    """Shortest and longest suffix that ``ngram`` looks up."""
    suffix_depth: PositiveInt = 24
    """Tokens of the longest match and its continuation together that ``suffix`` keeps."""
    suffix_cached_requests: NonNegativeInt = 10_000
    """Finished requests that ``suffix`` drafts from."""
    suffix_factor: NonNegativeFloat = 1.0
    """``suffix`` drafts at most this many tokens for each token matched."""
    min_probability: Annotated[float, Field(ge=0, le=1)] = 0.1
    """A draft ends where it is less likely than this (``suffix``: the token; ``cross_branch``: all
    of the draft up to there)."""
    longest_match: Annotated[int, Field(ge=1, le=64)] = 8
    """Tokens of the longest context that ``cross_branch`` looks up."""
    token_cost: NonNegativeFloat = 0.0
    """Time to verify one more token, in units of a step's fixed time: with it, ``cross_branch``
    drafts less the more branches run, as a draft token then has to be likelier to pay."""
    earlier_races: bool = True
    """``cross_branch`` also drafts from what earlier races wrote: a cache of earlier outputs, in
    the engine's memory only, bounded by ``memory_mib``. False: from the race's own text alone."""
    memory_mib: PositiveFloat = 64.0
    """Size of the index of ``cross_branch``; what was not met for longest is overwritten."""

    @field_validator(*METHODS_OF)
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        assert info.field_name is not None
        method = info.data.get("method")
        if value is None or method is None or method in METHODS_OF[info.field_name]:
            return value
        if info.field_name == "tokens_per_batch_size" and method == "suffix":
            raise ValueError('has no meaning with method "suffix", whose K never changes')
        raise ValueError(f'has no meaning with method "{method}"')

    @field_validator("tokens_per_batch_size")
    @classmethod
    def _in_order(cls, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        if ranges and ranges[0][0] != 1:
            raise ValueError("the first range must begin at 1")
        for first, last, _ in ranges:
            if first > last:
                raise ValueError(f"the range from {first} to {last} is empty")
        for (_, last, _), (first, _, _) in pairwise(ranges):
            if first <= last:
                raise ValueError(f"the range from {first} begins before the one to {last} ends")
        if ranges and not any(K for _, _, K in ranges):
            raise ValueError('at least one K must be above 0; for none take method "none"')
        return ranges

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method in ("draft_model", "eagle3") and self.model is None:
            raise ValueError(f'method "{self.method}" needs speculation.model')
        if self.ngram_min > self.ngram_max:
            raise ValueError("ngram_min must not exceed ngram_max")
        largest = max((K for _, _, K in self.tokens_per_batch_size), default=0)
        if "tokens" in self.model_fields_set and largest > self.tokens:
            raise ValueError(f"tokens_per_batch_size has a K of {largest}, above tokens")
        return self

    @property
    def most_tokens(self) -> int:
        """The largest K that may be used."""
        if "tokens" in self.model_fields_set or not self.tokens_per_batch_size:
            return self.tokens
        return max(K for _, _, K in self.tokens_per_batch_size)
