"""The quickest profile of the real engine: its own paces, predicted by each other."""

from math import inf

import pytest

from frontrunner.runtime.answers import BOXED
from frontrunner.runtime.config import VllmSettings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.protocol import Sampling
from frontrunner.runtime.engines.vllm.start import cpu_cache_gib
from frontrunner.runtime.planning.engine_model import engine_models
from frontrunner.runtime.planning.profile import Profile, Variant, versions
from frontrunner.runtime.planning.profiler import Extent, Profiler, measure_in_turns
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.scheduling.race_factory import make_forcing

EXTENT = Extent((1, 4, 16), (0.5,), tokens=24, repeats=1, questions=1, warm_up=1)


async def test_the_demo_engine_is_profiled(runtime: Runtime) -> None:
    engine = runtime.engine
    variant = Variant("none", "none", 0, {})
    profiler = Profiler(
        engine,
        Sampling(1.0),
        make_forcing(runtime.settings, engine, BOXED, "boxed"),
        runtime.settings.sampling.max_tokens,
        [problem.question for problem in hard_problems("select", 8)],
        EXTENT,
        variant,
    )
    await measure_in_turns([profiler], lambda done, total, what: None, lambda: None)
    assert engine.load().running == 0
    assert not variant.skipped
    assert len(variant.paces) == 6
    assert [p.batch for p in variant.forced] == [1, 4, 16]
    profile = Profile(
        "vllm", "demo", "here", {}, True, profiler.prompt_tokens, 64, 1024, versions(), [variant]
    )
    model = engine_models(profile)["none"]
    # How well it predicts is for tests/benchmarks/planning.py: the machine may be busy here.
    assert all(p.seconds > 0 for p in variant.paces)
    for branches in (1, 16):
        assert 0 < model.tokens_per_second(branches, 200, 0) < inf
        assert 0 < model.forced.seconds(branches) < inf
    cache = profiler.cache_tokens
    assert cache is not None
    settings = runtime.settings.engine
    assert isinstance(settings, VllmSettings)
    # At 2 x 4 layers x 2 heads x 64 numbers of 2 bytes a token, by what it says.
    size = cpu_cache_gib(settings) * 2**30 / (2 * 4 * 2 * 64 * 2)
    assert cache == pytest.approx(size, rel=0.4)
