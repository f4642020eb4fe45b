"""A profile of hardware that is not at hand: what its roofline says, and marked as that."""

from collections.abc import Mapping
from typing import TypeVar

from ..cost_model.acceptance import AcceptanceCount, expected_tokens
from ..errors import BadRequest
from .hardware import HARDWARE, SHAPES, Hardware, ModelShape, cache_tokens, modelled_step_time
from .profile import ForcedPoint, LaunchPoint, PacePoint, Profile, Variant, versions

_BATCHES = tuple(1 << n for n in range(9))
_CONTEXTS = (256, 1024, 4096, 16384)
_KS = (1, 2, 3, 4, 5)
#: Tokens of a question, of the suffix that forces an answer, and of the answer. Assumed.
_PROMPT, _SUFFIX, _ANSWER = 150, 16, 16
#: Steps that a modelled acceptance counts as; large enough that it is what it is said to be.
_STEPS = 1_000_000

T = TypeVar("T")


def modelled_profile(target: str, draft: str | None, acceptance: float) -> Profile:
    """The profile of ``MODEL:HARDWARE`` (as ``qwen2.5-32b:h200``), with ``draft`` (a model's name)
    as its draft model if there is one.

    Args:
        acceptance: probability in [0, 1] that a draft token is accepted. Assumed, not known.

    Raises:
        BadRequest: a name is not known, or the weights do not fit.
    """
    name, _, gpu = target.lower().partition(":")
    shape, hardware = _named("model", SHAPES, name), _named("GPU", HARDWARE, gpu)
    small = None if draft is None else _named("model", SHAPES, draft.lower())
    room = cache_tokens(shape, hardware)
    if not room:
        raise BadRequest(f"the weights of {shape.name} do not fit into one {hardware.name}")
    variants = [_variant(shape, hardware, small, 0, acceptance, room)]
    if small is not None:
        variants += [_variant(shape, hardware, small, k, acceptance, room) for k in _KS]
    return Profile(
        engine="simulated",
        model=shape.name,
        hardware=f"{hardware.name}, by its data sheet",
        settings={},
        quick=False,
        prompt_tokens=_PROMPT,
        max_branches=_BATCHES[-1],
        max_context_tokens=32_768,
        versions=versions(),
        variants=variants,
        cache_tokens=room,
        modelled=True,
    )


def _variant(
    shape: ModelShape,
    hardware: Hardware,
    draft: ModelShape | None,
    k: int,
    acceptance: float,
    room: int,
) -> Variant:
    step = modelled_step_time(shape, hardware, draft)
    yielded = expected_tokens(acceptance, k)
    method = "draft_model" if k else "none"
    speculation = {"method": method}
    if k:
        speculation |= {"model": f"Qwen/{draft.name}-Instruct" if draft else "", "tokens": k}
    fitting = [(b, c) for b in _BATCHES for c in _CONTEXTS if b * c <= room]
    made = Variant(
        name=f"{method}, K={k}" if k else method,
        method=method,
        k=k,
        engine={"speculation": speculation},
        paces=[PacePoint(b, c, 0, step.seconds(b, c, k) / yielded, 0) for b, c in fitting],
        launches=[LaunchPoint(b, c, step.seconds(b, c, 0, c)) for b, c in fitting],
        forced=[
            ForcedPoint(
                b,
                2 * step.seconds(b, _CONTEXTS[1], 0, b * _SUFFIX)
                + _ANSWER * step.seconds(b, _CONTEXTS[1], k) / yielded,
            )
            for b in _BATCHES
        ],
        complete=True,
    )
    if k:
        made.accepted = [AcceptanceCount(k, 0, _STEPS, round(_STEPS * yielded))]
    return made


def _named(kind: str, known: Mapping[str, T], name: str) -> T:
    if name not in known:
        raise BadRequest(f"no {kind} {name!r} is known to simulate; known: {', '.join(known)}")
    return known[name]
