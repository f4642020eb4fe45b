"""A profile of a simulated engine finds the model that it was simulated by."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.cost_model.acceptance import Acceptance
from frontrunner.runtime.cost_model.step_time import StepPoint, median_error
from frontrunner.runtime.engines.protocol import Chunk, Generation, Sampling
from frontrunner.runtime.engines.simulated import SimulatedEngine
from frontrunner.runtime.planning.engine_model import engine_models
from frontrunner.runtime.planning.profile import Profile, ProfileError, Variant
from frontrunner.runtime.planning.profiler import Extent, Profiler, measure_in_turns
from frontrunner.runtime.racing.spec import Forcing

from .simulating import QUESTIONS, STEP, simulated_engine

pytestmark = pytest.mark.anyio


def profile_of(*variants: Variant) -> Profile:
    return Profile("simulated", "m", "h", {}, False, 10, 64, 4096, variants=list(variants))


def profiler(engine: SimulatedEngine, variant: Variant, *, quick: bool = True) -> Profiler:
    forcing = Forcing("Answer:", engine.encode("Answer:"), 4)
    extent = Extent.of(engine.info.max_branches, quick=quick)
    return Profiler(engine, Sampling(1.0), forcing, 800, QUESTIONS, extent, variant)


async def measured(
    variant: Variant,
    engine: SimulatedEngine,
    *,
    quick: bool = False,
    saves: list[int] | None = None,
) -> Variant:
    notes = [] if saves is None else saves
    await engine.start()
    await measure_in_turns(
        [profiler(engine, variant, quick=quick)],
        lambda done, total, what: None,
        lambda: notes.append(len(variant.done)),
    )
    assert engine.load().running == 0
    await engine.aclose()
    return variant


async def test_the_step_time_of_the_engine_is_found() -> None:
    variant = await measured(Variant("none", "none", 0, {}), simulated_engine())
    assert variant.complete
    assert not variant.skipped
    model = engine_models(profile_of(variant))["none"]
    assert model.error is not None
    assert model.error < 0.03
    grid = [StepPoint(b, c, 0, STEP.seconds(b, c)) for b in (1, 8, 40, 64) for c in (50, 500)]
    assert median_error(model.step, grid) < 0.03


async def test_speculation_is_found_with_its_acceptance() -> None:
    acceptance = Acceptance((0,), (0.6,))
    none = await measured(Variant("none", "none", 0, {}), simulated_engine(), quick=True)
    three = await measured(
        Variant("draft", "draft_model", 3, {}),
        simulated_engine(k=3, acceptance=acceptance),
        quick=True,
    )
    one = await measured(
        Variant("draft 1", "draft_model", 1, {}),
        simulated_engine(k=1, acceptance=acceptance),
        quick=True,
    )
    model = engine_models(profile_of(none, three, one))["draft_model"]
    assert model.ks == (0, 1, 3)
    assert model.acceptance.at(30) == pytest.approx(0.6, abs=0.06)
    assert model.error is not None
    assert model.error < 0.05
    for batch, k in ((1, 1), (8, 3), (32, 3)):
        assert model.step.seconds(batch, 100, k) == pytest.approx(
            STEP.seconds(batch, 100, k), rel=0.05
        )


async def test_engines_are_measured_in_turns() -> None:
    variants = [Variant("none", "none", 0, {}), Variant("draft", "draft_model", 1, {})]
    engines = [simulated_engine(), simulated_engine(k=1, acceptance=Acceptance((0,), (0.6,)))]
    for engine in engines:
        await engine.start()
    apart: list[float] = []

    def save() -> None:
        one, other = (len(v.done) / p.total for v, p in zip(variants, profilers, strict=True))
        apart.append(abs(one - other))

    profilers = [profiler(e, v) for e, v in zip(engines, variants, strict=True)]
    progress: list[tuple[int, int]] = []
    await measure_in_turns(profilers, lambda done, of, what: progress.append((done, of)), save)
    assert all(v.complete for v in variants)
    assert max(apart) <= 1 / min(p.total for p in profilers) + 1e-9
    assert progress == sorted(progress)
    assert progress[-1] == (sum(p.total for p in profilers),) * 2


@pytest.mark.parametrize(
    ("method", "table", "warm"),
    [
        ("cross_branch", {}, True),
        ("cross_branch", {"earlier_races": False}, False),
        ("draft_model", {}, False),
    ],
)
async def test_what_drafts_from_earlier_races_is_measured_warm(
    method: str, table: dict[str, Any], warm: bool
) -> None:
    asked: list[Generation] = []

    class Engine(SimulatedEngine):
        async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
            asked.append(request)
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    yield chunk

    plain = simulated_engine(k=1)
    engine = Engine(plain.hardware, plain.workload)
    await engine.start()
    variant = Variant("v", method, 1, {"speculation": {"method": method, **table}})
    measuring = profiler(engine, variant)
    await measuring.warm_up()
    assert len(asked) == (2 * 32 if warm else 0)
    assert variant.done == []
    variant.done += [name for name, _ in measuring._left]
    await profiler(engine, variant).warm_up()  # nothing to measure: nothing to warm up for
    assert len(asked) == (2 * 32 if warm else 0)


async def test_rounds_of_forced_answers_and_aborts_are_timed() -> None:
    variant = await measured(Variant("none", "none", 0, {}), simulated_engine(), quick=True)
    assert [p.batch for p in variant.forced] == [1, 4, 16, 64]
    by_batch = {p.batch: p.seconds for p in variant.forced}
    # The step under way, taking in the suffixes, a token more: each at the batch's step time.
    assert 2 * STEP.seconds(16, 20) < by_batch[16] < 6 * STEP.seconds(16, 60)
    for point in variant.aborts:
        assert point.told == 0.0
        # The step under way is the only thing in the next one's way.
        assert point.freed <= STEP.seconds(point.batch, 200) + 1e-9


async def test_what_was_measured_is_not_measured_again() -> None:
    saves: list[int] = []
    variant = await measured(Variant("none", "none", 0, {}), simulated_engine(), quick=True)
    names, paces = list(variant.done), len(variant.paces)
    variant.complete = False
    del variant.done[-3:], variant.aborts[-1:], variant.forced[-1:], variant.launches[-1:]
    await measured(variant, simulated_engine(), quick=True, saves=saves)
    assert variant.complete
    assert sorted(variant.done) == sorted(names)
    assert len(variant.paces) == paces
    assert len(saves) == 3


async def test_a_batch_that_does_not_fit_the_cache_is_left_out_and_said() -> None:
    variant = await measured(
        Variant("none", "none", 0, {}),
        simulated_engine(cache_tokens=900, max_branches=16),
        quick=True,
    )
    assert variant.complete
    assert any(name.startswith("pace of 16") for name in variant.skipped)
    assert any(p.batch == 1 for p in variant.paces)


@pytest.mark.parametrize("most", [1, 2, 3, 7, 64, 100])
@pytest.mark.parametrize("quick", [True, False])
def test_an_extent_reaches_from_one_branch_to_all(most: int, quick: bool) -> None:
    batches = Extent.of(most, quick=quick).batches
    assert (batches[0], batches[-1]) == (1, most)
    assert list(batches) == sorted(set(batches))
    assert not quick or len(batches) <= 4


def test_a_profile_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    profile = profile_of(Variant("none", "none", 0, {"speculation": {"method": "none"}}))
    profile.write(path)
    assert Profile.read(path) == profile
    assert [p.name for p in tmp_path.iterdir()] == ["profile.json"]


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "no profile"), (b"{}", "no profile .engine"), (b"[1]", "no profile")],
)
def test_what_is_no_profile_is_said(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=match):
        Profile.read(path)
    with pytest.raises(ProfileError, match="cannot be read"):
        Profile.read(tmp_path / "none.json")
