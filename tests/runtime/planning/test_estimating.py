"""Estimates against real races on the simulated engine, in virtual time."""

from dataclasses import replace
from statistics import fmean

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.cost_model.acceptance import NOTHING_ACCEPTED, Acceptance
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.planning.engine_model import EngineModel, Linear
from frontrunner.runtime.planning.estimating import Candidate, Conditions, Estimator
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.simulation.cells import StrategySpec
from frontrunner.runtime.simulation.recorded_workload import RecordedWorkload
from frontrunner.runtime.traces.recordings import RecordedQuestion

from .simulating import STEP, small_pilot

ACCEPTANCE = Acceptance((0,), (0.6,))
SETTINGS = Settings.from_dict(
    {
        "answers": {"workers": 0},
        "prompt": {"instruction": ""},  # outputs are told apart by what is asked
        "forcing": {"max_tokens": 4, "suffix": "Answer:"},
        "sampling": {"max_tokens": 2000},
        "race": {"return_margin": 0.02},
    }
)


def model(method: str = "none", ks: tuple[int, ...] = (0,)) -> EngineModel:
    return EngineModel(
        method,
        ks,
        STEP,
        NOTHING_ACCEPTED if method == "none" else ACCEPTANCE,
        launch=Linear(STEP.seconds(1, 20), STEP.row),
        forced=Linear(3 * STEP.seconds(1, 200), 3 * STEP.row),
        abort=0.0,
        slow_step=1.2,
        error=None,
    )


MODELS = {"none": model(), "draft_model": model("draft_model", (0, 1, 3))}


def estimator(pilot: list[RecordedQuestion], **more: int) -> Estimator:
    given = Conditions(prompt=4, return_margin=0.02)
    return Estimator(MODELS, pilot, replace(given, **more), draws=12)


def candidate(branches: int, k: int = 0, stop: str = "flip_risk") -> Candidate:
    method = "draft_model" if k else "none"
    return Candidate(
        method, KSchedule.constant(k), branches, StrategySpec("majority", (("stop", stop),))
    )


async def raced(
    pilot: list[RecordedQuestion], wanted: Candidate, deadline: float
) -> list[tuple[RecordedQuestion, Result]]:
    """Races of the pilot's questions on a simulated engine that is just as fast."""
    k = wanted.schedule(1)
    hardware = SimulatedHardware(STEP, ACCEPTANCE, constant_k(k), max_branches=128)
    plain = SimulatedEngine(hardware, RecordedWorkload([], lambda text: ()))
    workload = RecordedWorkload(
        pilot, lambda text: plain.encode_chat([{"role": "user", "content": text}])
    )
    results: list[tuple[RecordedQuestion, Result]] = []
    async with Runtime(SimulatedEngine(hardware, workload), SETTINGS) as runtime:
        for question in pilot:
            result = await runtime.solve(
                question.question or "",
                deadline=deadline,
                branches=wanted.branches,
                seed=1,
                strategy="majority",
                parameters=dict(wanted.strategy.parameters),
            )
            results.append((question, result))
    return results


def asked(pilot: list[RecordedQuestion]) -> list[RecordedQuestion]:
    """With questions of four words each, which differ in the first."""
    return [replace(q, question=f"question-{n} of the pilot") for n, q in enumerate(pilot)]


@pytest.mark.parametrize("stop", ["none", "flip_risk"])
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("branches", [1, 4, 16])
@pytest.mark.parametrize("deadline", [0.8, 30.0])
async def test_races_take_as_long_as_estimated(
    branches: int, k: int, stop: str, deadline: float
) -> None:
    pilot = asked(small_pilot(12))
    wanted = candidate(branches, k, stop)
    expected = estimator(pilot).estimate(wanted, deadline)
    results = await raced(pilot, wanted, deadline)
    times = sorted(result.elapsed for _, result in results)
    # Twelve races of one order of branches each, against twelve orders: means, with some slack.
    assert fmean(times) == pytest.approx(fmean([expected.p50, expected.p95]), rel=0.5)
    if stop == "none" and branches == 16:
        # The longest of 16 varies little.
        assert times[len(times) // 2] == pytest.approx(expected.p50, rel=0.12)
    assert all(result.elapsed <= deadline for _, result in results)
    right = fmean(result.answer in question.right for question, result in results)
    assert right == pytest.approx(expected.accuracy, abs=0.3)


async def test_all_branches_by_a_loose_deadline_are_what_waiting_for_all_gives() -> None:
    pilot = asked(small_pilot(8))
    whole = estimator(pilot).estimate(candidate(16, stop="none"), 1_000.0)
    assert whole.finished == 1.0
    assert whole.tokens == pytest.approx(
        fmean(sum(b.tokens for b in q.branches) for q in pilot), rel=1e-9
    )
    results = await raced(pilot, candidate(16, stop="none"), 1_000.0)
    assert fmean(r.answer in q.right for q, r in results) == pytest.approx(whole.accuracy, abs=0.13)


def test_no_race_is_estimated_to_be_late_and_time_helps() -> None:
    pilot = small_pilot()
    for k in (0, 3):
        accuracies: list[float] = []
        for deadline in (0.05, 0.3, 0.6, 1.2, 5.0):
            found = estimator(pilot).estimate(candidate(8, k), deadline)
            assert found.p50 <= found.p95 <= deadline
            accuracies.append(found.accuracy)
        assert accuracies[-1] > accuracies[1] + 0.1
        assert accuracies[-1] >= max(accuracies) - 0.05


def test_speculation_and_an_empty_engine_make_races_earlier() -> None:
    pilot = small_pilot()
    alone = estimator(pilot).estimate(candidate(8), 30.0)
    fast = estimator(pilot).estimate(candidate(8, 3), 30.0)
    loaded = estimator(pilot, others=40).estimate(candidate(8), 30.0)
    assert fast.p50 < 0.7 * alone.p50
    assert loaded.p50 > 1.3 * alone.p50
    # Without a deadline in sight only the time changes.
    assert fast.accuracy == pytest.approx(alone.accuracy, abs=0.03)
    assert fast.gain_over(alone)[0] == pytest.approx(fast.accuracy - alone.accuracy)


def test_without_forced_answers_a_tight_deadline_has_little() -> None:
    pilot = small_pilot(probes=False)
    given = Conditions(prompt=4, forced=False)
    tight = Estimator(MODELS, pilot, given, draws=8).estimate(candidate(8), 0.4)
    forced = estimator(small_pilot()).estimate(candidate(8), 0.4)
    assert tight.accuracy < forced.accuracy


def test_accuracy_by_tokens_needs_no_seconds() -> None:
    pilot = small_pilot()
    own = estimator(pilot)
    spec = StrategySpec("majority")
    by_tokens = [own.accuracy_by_tokens(spec, 8, tokens) for tokens in (40, 150, 300, 10_000)]
    assert by_tokens[0] < by_tokens[2]
    loose = own.estimate(Candidate("none", KSchedule(), 8, spec), 1_000.0)
    assert by_tokens[-1] == pytest.approx(loose.accuracy, abs=0.02)


def test_the_cache_bounds_the_branches() -> None:
    own = estimator(small_pilot())
    assert own.fitting(16, 100_000)
    assert not own.fitting(16, 500)
    assert own.fitting(1, 500)


def test_a_pilot_without_branches_is_refused() -> None:
    with pytest.raises(BadRequest, match="no whole branch"):
        Estimator(MODELS, [], Conditions(prompt=4))
