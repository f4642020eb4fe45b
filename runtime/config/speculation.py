"""``[engine.speculation]``: how draft tokens are made, and how many."""

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from .sections import KindKey, Section, Tokens, Unit

#: Three numbers from TOML: from this many running requests, to this many, K.
Range = Annotated[tuple[PositiveInt, PositiveInt, NonNegativeInt], Field(strict=False)]
Probability = Annotated[float, Field(ge=0, le=1), Unit("probability")]

_METHOD: Final = """How draft tokens are made: ``ngram`` repeats the branch's own text;
``draft_model`` asks a smaller model of the same vocabulary; ``eagle3`` and ``mtp`` ask heads
trained for the model; ``suffix`` is vLLM's suffix decoding (it needs arctic-inference);
``cross_branch`` drafts from the branch, its siblings and earlier races, numbers copied from where
they stood before. Strategies that need log probabilities are refused with any of them."""


#: vLLM's ways to accept draft tokens that the model would not have drawn, and what sets them.
_LOSSY: Final = ("fly", "synthetic")
_HOW_TO_ACCEPT: Final = "rejection_sample_method"


class ExactSpeculation(Section):
    """What leaves the distribution of the output as it is."""

    @model_validator(mode="before")
    @classmethod
    def _is_exact(cls, data: object) -> object:
        keys: dict[str, object] = data if isinstance(data, dict) else {}
        lossy = [name for name in _LOSSY if keys.get(_HOW_TO_ACCEPT) == name]
        lossy += [key for key in keys if key.startswith(tuple(f"{name}_" for name in _LOSSY))]
        if lossy:
            raise ValueError(
                f"{lossy[0]} accepts draft tokens that the model would not have drawn, and votes "
                "over such answers mean nothing: leave it out"
            )
        return data


class NoSpeculation(ExactSpeculation):
    """One token a step."""

    method: Literal["none"] = Field(default="none", description=_METHOD)

    @property
    def draft_model(self) -> str | None:
        """The model that drafts, where there is one."""
        return None


class Speculation(ExactSpeculation):
    """What all methods have."""

    tokens: Tokens = 3
    """K, the most draft tokens of a branch in one step. Not set: with ``tokens_per_batch_size``
    the largest K there."""

    @property
    def draft_model(self) -> str | None:
        """The model that drafts, where there is one."""
        return None

    @property
    def schedule(self) -> tuple[Range, ...]:
        """K by the number of running requests; empty: always the same."""
        return ()

    @property
    def most_tokens(self) -> int:
        """The largest K that may be used."""
        if "tokens" in self.model_fields_set or not self.schedule:
            return self.tokens
        return max(K for _, _, K in self.schedule)


class ScheduledSpeculation(Speculation):
    """What the methods have whose K may change from step to step."""

    # vLLM's suffix decoding is none of them: it asserts that K never changes, or ends the engine.
    tokens_per_batch_size: Annotated[tuple[Range, ...], Field(strict=False)] = ()
    """K by the number of requests that run, as triples of a first and a last number and K:
    ``[[1, 8, 5], [9, 32, 3], [33, 64, 0]]``. The first triple begins at 1, a gap has the K before
    it, and 0 means no drafts. Empty: always ``tokens``."""

    @property
    def schedule(self) -> tuple[Range, ...]:
        return self.tokens_per_batch_size

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
    def _within_tokens(self) -> Self:
        largest = max((K for _, _, K in self.tokens_per_batch_size), default=0)
        if "tokens" in self.model_fields_set and largest > self.tokens:
            raise ValueError(f"tokens_per_batch_size has a K of {largest}, above tokens")
        return self


class NgramSpeculation(ScheduledSpeculation):
    """Drafts repeated from the branch's own text."""

    method: Literal["ngram"] = Field(default="ngram", description=_METHOD)
    ngram_min: Tokens = 2
    """The shortest end of the text that is looked up in what stands before it."""
    ngram_max: Tokens = 4
    """The longest end of the text that is looked up in what stands before it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ngram_min > self.ngram_max:
            raise ValueError("ngram_min must not exceed ngram_max")
        return self


class DraftModelSpeculation(ScheduledSpeculation):
    """Drafts by a smaller model, or by heads trained for the model."""

    method: Literal["draft_model", "eagle3"] = Field(default="draft_model", description=_METHOD)
    model: str
    """The draft model or the heads: a folder (relative to the config file), a hub name, or
    ``demo-draft``."""

    @property
    def draft_model(self) -> str:
        return self.model


class MtpSpeculation(ScheduledSpeculation):
    """Drafts by the model's own heads for several tokens."""

    method: Literal["mtp"] = Field(default="mtp", description=_METHOD)
    model: str | None = None
    """The heads: a folder (relative to the config file) or a hub name. Not set: the model's own."""

    @property
    def draft_model(self) -> str | None:
        return self.model


class SuffixSpeculation(Speculation):
    """vLLM's suffix decoding."""

    method: Literal["suffix"] = Field(default="suffix", description=_METHOD)
    suffix_depth: Tokens = 24
    """The length of the longest match and its continuation together that are kept."""
    suffix_cached_requests: Annotated[NonNegativeInt, Unit("requests")] = 10_000
    """The number of finished requests that drafts are taken from."""
    suffix_factor: Annotated[NonNegativeFloat, Unit("tokens a token")] = 1.0
    """The most draft tokens for each token of the match."""
    min_probability: Probability = 0.1
    """A draft ends at the first token that is less likely than this."""


class CrossBranchSpeculation(ScheduledSpeculation):
    """Drafts from the branch, its siblings and earlier races."""

    method: Literal["cross_branch"] = Field(default="cross_branch", description=_METHOD)
    longest_match: Annotated[int, Field(ge=1, le=64), Unit("tokens")] = 8
    """The length of the longest context that is looked up."""
    min_probability: Probability = 0.1
    """A draft ends where all of it up to there is less likely than this."""
    token_cost: Literal["auto"] | Annotated[NonNegativeFloat, Unit("fixed times of a step")] = (
        "auto"
    )
    """The time to verify one more token, divided by the fixed time of a step. ``auto``: the engine
    measures what steps take, apart for each number of running branches, and verifies as many draft
    tokens as give the most tokens a second, none where none pay. A number is a fixed rule instead:
    the more branches run, the likelier a draft token has to be; 0 drafts whatever it costs."""
    earlier_races: bool = True
    """Whether drafts also come from what earlier races wrote: a cache of earlier outputs, in the
    engine's memory only and bounded by ``memory_mib``. Otherwise from the race's own text alone."""
    memory_mib: Annotated[PositiveFloat, Unit("MiB")] = 64.0
    """The size of the index of earlier text; what was not met for longest is overwritten."""


#: How draft tokens are made, told by ``method``.
SpeculationSettings = Annotated[
    Annotated[NoSpeculation, Tag("none")]
    | Annotated[NgramSpeculation, Tag("ngram")]
    | Annotated[DraftModelSpeculation, Tag("draft_model")]
    | Annotated[DraftModelSpeculation, Tag("eagle3")]
    | Annotated[MtpSpeculation, Tag("mtp")]
    | Annotated[SuffixSpeculation, Tag("suffix")]
    | Annotated[CrossBranchSpeculation, Tag("cross_branch")],
    Discriminator(KindKey("method", "none")),
]
