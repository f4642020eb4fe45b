"""What the members of a pool are doing together."""

from collections.abc import Sequence

from ..protocol import EngineLoad
from .member import Member


def pooled_load(members: Sequence[Member]) -> EngineLoad:
    """The load of all members that serve, as of one engine.

    Step times are means over the members: races begin on the quick ones, and one slow member must
    not make every race too short. A branch's time for a token is the mean over those that run.
    """
    loads = [member.engine.load() for member in members]
    slots = sum(member.slots for member in members)
    used = sum(m.slots * x.cache_usage for m, x in zip(members, loads, strict=True))
    paces = [(x.token_seconds, x.token_batch) for x in loads if x.token_seconds is not None]
    steps = [load.step_seconds for load in loads if load.step_seconds is not None]
    idle = [x.idle_step_seconds for x in loads if x.idle_step_seconds is not None]
    batch = sum(n for _, n in paces)
    accepted = [x.acceptance_length for x in loads if x.acceptance_length is not None]
    pace = None
    if paces:
        weights = [n or 1.0 for _, n in paces]
        pace = sum(s * w for (s, _), w in zip(paces, weights, strict=True)) / sum(weights)
    return EngineLoad(
        running=sum(load.running for load in loads),
        waiting=sum(load.waiting for load in loads),
        cache_usage=used / slots if slots else 0.0,
        step_seconds=sum(steps) / len(steps) if steps else None,
        idle_step_seconds=sum(idle) / len(idle) if idle else None,
        token_seconds=pace,
        token_batch=batch,
        acceptance_length=sum(accepted) / len(accepted) if accepted else None,
    )
